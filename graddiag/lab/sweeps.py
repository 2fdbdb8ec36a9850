"""An experiment as a spec: arms x lengths x seeds, out of a TOML file or a dict, and which of its runs are there."""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from graddiag import schema
from graddiag.errors import InputError, SettingError
from graddiag.lab.next_symbol import TEXT_DIGEST
from graddiag.lab.search import SearchSpec
from graddiag.lab.settings.declared import checked, with_present_names
from graddiag.lab.spec import TrainingSpec, training_spec
from graddiag.lab.tasks import make_task
from graddiag.lab.toml_lines import line_of
from graddiag.lab.training import Plan
from graddiag.store import read_manifests, remote_url, slug, trash_run

_OWN: Final = {"task": 'task = "..."', "seed": "seeds = [...]", "length": "lengths = [...]"}


class SweepSpec(BaseModel):
    """An experiment: every arm at every length with every seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="The experiment, and the folder of its runs.")
    task: str = Field(description="The task of every arm.")
    model: str = Field(description="The network of an arm that names none.")
    settings: dict[str, Any] = Field({}, description="Settings of every arm.")
    arms: dict[str, dict[str, Any]] = Field(
        min_length=1,
        description="What each arm changes, by its name, `model` too. The others are compared with `baseline`.",
    )
    seeds: tuple[int, ...] = Field((0,), min_length=1, description="Seeds; each trains every arm.")
    lengths: tuple[int, ...] = Field((), description="Lengths T; none takes the task's own.")
    search: SearchSpec | None = Field(None, description="What stops trainings early, see below; none stops nothing.")


@dataclass(frozen=True)
class Standing:
    """The state of an experiment: what is recorded, what failed before, and what is still to be trained."""

    finished: tuple[Path, ...]
    failed: tuple[Path, ...]
    waiting: tuple[Plan, ...]


def read_sweep(path: Path) -> SweepSpec:
    """The spec in a TOML file.

    Raises:
        InputError: the file cannot be read or is not TOML.
        SettingError: a key that is missing, unknown or of the wrong kind; it is named, with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        given = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"sweep {path}: it cannot be read ({error}); give a TOML file.") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"sweep {path}: it is not TOML ({error}).") from error
    try:
        return sweep_spec(given)
    except SettingError as error:
        line = line_of(text, error.key)
        at = f"sweep {path}" + ("" if line is None else f", line {line}")
        raise SettingError(str(error).replace("sweep", at, 1), error.key) from None


def sweep_spec(given: Mapping[str, Any]) -> SweepSpec:
    """The spec of an experiment, its arms checked one by one.

    Raises:
        SettingError: as ``read_sweep``.
    """
    try:
        spec = checked(SweepSpec, given, "a sweep")
    except SettingError as error:
        raise SettingError(f"sweep: {error}", error.key) from None
    plan_sweep(spec)
    return spec


def plan_sweep(spec: SweepSpec) -> tuple[Plan, ...]:
    """All trainings of an experiment: by length, then by seed, then by arm.

    Raises:
        SettingError: a setting that no arm may have, or a value that cannot be meant; arm and key are named.
    """
    for key in ("seeds", "lengths"):
        values = getattr(spec, key)
        if len(set(values)) < len(values):
            raise SettingError(f"sweep: {key} {list(values)}: give each once.", (key,))
    names = [slug(arm) for arm in spec.arms]
    twice = next((arm for place, arm in enumerate(spec.arms) if names[place] in names[:place]), None)
    if twice is not None:
        raise SettingError(
            f"sweep: arms {list(spec.arms)}: two of them are alike as the names of folders.", ("arms", twice)
        )
    plans = tuple(
        Plan(_training(spec, arm, seed, length), _run_name(spec, arm, seed, length), spec.name, arm, spec.search)
        for length in spec.lengths or (None,)
        for seed in spec.seeds
        for arm in spec.arms
    )
    longest = max(plan.spec.steps for plan in plans)
    if spec.search is not None and spec.search.scheduler is not None and not spec.search.rungs(longest):
        raise SettingError(
            f"sweep: search: grace {spec.search.grace}: no training has more steps than that, and {longest} is the "
            "most; give less, so that there is a rung.",
            ("search", "grace"),
        )
    return plans


def standing(plans: Sequence[Plan], root: Path, *, retry: bool = False) -> Standing:
    """What of ``plans`` lies finished under ``root``, whatever its folder is called: it is not trained again.

    Two trainings are one where ``content_hash`` says so. A failed one is not tried again without ``retry``; one that a
    search stopped counts as finished as long as there is a search.
    """
    folder = root / slug(str(plans[0].experiment), fallback="experiment")
    there = {(content_hash(m.config), m.arm): (path, m.status) for path, m in _manifests(folder)}
    found = [(plan, there.get((_hash_of(plan.spec), plan.arm))) for plan in plans]
    ended = [(plan, at) for plan, at in found if at is not None and _has_ended(plan, at[1])]
    failed = [at[0] for _, at in found if at is not None and at[1] == "failed" and not retry]
    left_alone = {*(at[0] for _, at in ended), *failed}
    waiting = tuple(plan for plan, at in found if at is None or at[0] not in left_alone)
    return Standing(tuple(at[0] for _, at in ended), tuple(failed), waiting)


def _has_ended(plan: Plan, status: str) -> bool:
    return status == "finished" or (status == schema.STOPPED and plan.search is not None)


def clear(plans: Sequence[Plan], root: Path, *, gone: bool = False) -> None:
    """Puts what is there of ``plans``, runs that failed or were interrupted, into the trash of ``root``. gone: their
    workers are known to be gone, so that those that read as running are moved too. Under a URL they stay where they
    are, and what is trained anew gets a number behind its name."""
    if remote_url(root) is not None:
        return
    folder = root / slug(str(plans[0].experiment), fallback="experiment")
    wanted = {(_hash_of(plan.spec), plan.arm) for plan in plans}
    for path, manifest in _manifests(folder):
        left = manifest.status != "finished" and (gone or manifest.status != "running")
        if left and (content_hash(manifest.config), manifest.arm) in wanted:
            trash_run(root, path.relative_to(root).as_posix(), killed=gone)


def content_hash(config: Mapping[str, Any]) -> str:
    """Of everything a training is made of: all settings, the seed among them, and the text that it reads.

    A setting at its default counts as one that is not there, so that runs from before it existed are known again.
    """
    present = with_present_names(TrainingSpec, config)
    made_of = {name: present.get(name) for name in (*TrainingSpec.model_fields, TEXT_DIGEST)}
    made_of["text"] = None  # the text counts, not where it lies
    defaults = {name: field.default for name, field in TrainingSpec.model_fields.items()}
    made_of = {name: value for name, value in made_of.items() if value is not None and value != defaults.get(name)}
    return hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()


def _hash_of(spec: TrainingSpec) -> str:
    return content_hash({**spec.model_dump(mode="json"), **make_task(spec).config})


def _manifests(folder: Path) -> list[tuple[Path, Any]]:
    return list(read_manifests(folder))


def _training(spec: SweepSpec, arm: str, seed: int, length: int | None) -> TrainingSpec:
    changed = {name.replace("-", "_"): value for name, value in (spec.settings | spec.arms[arm]).items()}
    model = changed.pop("model", spec.model)
    own = next((name for name in _OWN if name in changed), None)
    if own is not None:
        place, key = _place(spec, arm, own)
        raise SettingError(f"sweep: {place}: {own} is not set here but as {_OWN[own]} of the sweep.", key)
    try:
        return training_spec(spec.task, model, **changed, seed=seed, length=length)
    except SettingError as error:
        name = error.key[0] if error.key else str(error).partition(":")[0].partition(" ")[0]
        place, key = _place(spec, arm, name)
        raise SettingError(f"sweep: {place}: {error}", key) from None


def _place(spec: SweepSpec, arm: str, name: str) -> tuple[str, tuple[str, ...]]:
    """Where a setting of ``arm`` was given: in words, and as the path of its key."""
    for words, path, given in (
        (f"arm {arm!r}", ("arms", arm), spec.arms[arm]),
        ("settings", ("settings",), spec.settings),
    ):
        written = next((each for each in given if each.replace("-", "_") == name), None)
        if written is not None:
            return words, (*path, written)
    elsewhere = {"task": "task", "model": "model", "seed": "seeds", "length": "lengths"}
    return f"arm {arm!r}", (elsewhere[name],) if name in elsewhere else ("arms", arm)


def _run_name(spec: SweepSpec, arm: str, seed: int, length: int | None) -> str:
    return f"{arm}-length{length}-seed{seed}" if len(spec.lengths) > 1 else f"{arm}-seed{seed}"
