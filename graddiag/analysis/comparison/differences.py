"""What differs between runs that are compared: their settings, and from which step on their numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from graddiag import schema
from graddiag.analysis.clipping.statistics import clip_statistics
from graddiag.analysis.values import Floats, Ints
from graddiag.run import Run, RunManifest, numbers

_FIELDS: Final = (schema.TASK, schema.MODEL, schema.CLIP, "loss_reduction", "every", "graddiag_version")
_NESTED: Final = ("config", "versions")

# what tells the runs of one arm apart, or goes by another name, is no difference between arms
_EXPECTED: Final = frozenset({"config.seed", "config.clip", "config.command"})


@dataclass(frozen=True)
class Difference:
    """A setting that is not the same in all arms: its name, and its value in each (several, if it varies inside)."""

    key: str
    values: Mapping[str, str]


def differences(runs: Sequence[tuple[str, RunManifest]]) -> tuple[Difference, ...]:
    """The settings, by arm, that are not the same in every arm; a setting that an arm has not is "not set"."""
    settings: dict[str, dict[str, list[str]]] = {}
    arms = list(dict.fromkeys(arm for arm, _ in runs))
    flat = [(arm, dict(_settings(manifest))) for arm, manifest in runs]
    for key in dict.fromkeys(key for _, values in flat for key in values):
        found: dict[str, list[str]] = {arm: [] for arm in arms}
        for arm, values in flat:
            found[arm].append(values.get(key, "not set"))
        settings[key] = found
    return tuple(
        Difference(key, {arm: ", ".join(dict.fromkeys(values)) for arm, values in found.items()})
        for key, found in settings.items()
        if key not in _EXPECTED and len({frozenset(values) for values in found.values()}) > 1
    )


def _settings(manifest: RunManifest) -> Iterator[tuple[str, str]]:
    for name in _FIELDS:
        value = getattr(manifest, name)
        yield name, "not set" if value is None else str(value)
    for name in _NESTED:
        yield from _flattened(name, getattr(manifest, name))


def _flattened(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}.{key}"
        if isinstance(value, Mapping):
            yield from _flattened(name, value)
        else:
            yield name, str(value)


_COMPARED: Final = (schema.LOSS, schema.GRAD_NORM, schema.GRAD_NORM_CLIPPED)


@dataclass(frozen=True)
class FirstDivergence:
    """The first step at which the loss, or the norm before or after clipping, differs in a single bit (None: at none
    of the steps that both have), and the first step at which the second run was clipped (None: never)."""

    seed: int | None
    runs: tuple[str, str]
    first_different_step: int | None
    first_clipped_step: int | None
    compared_steps: int


def first_divergence(baseline: Run, treated: Run) -> FirstDivergence:
    """Where ``treated`` leaves ``baseline``. Two arms that differ in clipping alone part at the first clipped step."""
    (steps_a, values_a), (steps_b, values_b) = _columns(baseline), _columns(treated)
    both, at_a, at_b = np.intersect1d(steps_a, steps_b, return_indices=True)
    a, b = values_a[at_a], values_b[at_b]
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    differ = ~same.all(axis=1)
    return FirstDivergence(
        baseline.manifest.seed,
        (baseline.name, treated.name),
        int(both[differ][0]) if differ.any() else None,
        clip_statistics(treated).first_clipped_step,
        len(both),
    )


def _columns(run: Run) -> tuple[Ints, Floats]:
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, *_COMPARED])
    values = np.stack([numbers(frame[name])[0] for name in _COMPARED], axis=1)
    return frame[schema.STEP].to_numpy(dtype=np.int64), values
