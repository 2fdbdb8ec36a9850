"""Experiments: the runs made to be compared, and what they are called."""

from collections.abc import Collection, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

from graddiag import schema
from graddiag.errors import SettingError
from graddiag.lab.settings import RecordingSettings
from graddiag.lab.spec import TrainingSpec
from graddiag.lab.training import Plan
from graddiag.store import is_taken

CLIP_OFF: Final = "clip off"
CLIP_ON: Final = "clip on"
BASELINE: Final = schema.BASELINE_ARM


def plan_run(spec: TrainingSpec, experiment: str | None = None) -> Plan:
    """A single training; its arm is its clip policy."""
    return Plan(spec, run_name(spec), experiment, arm=CLIP_OFF if spec.clip == "none" else CLIP_ON)


def plan_pair(spec: TrainingSpec, seeds: Sequence[int], experiment: str) -> tuple[Plan, ...]:
    """For each seed the training with clipping off and with the clip policy of ``spec``; all else is equal.

    So the two arms of a seed are bit-identical until the first step at which clipping changes a gradient.

    Raises:
        SettingError: a spec that clips nothing, no seed, or one seed twice.
    """
    if spec.clip == "none":
        raise SettingError(
            "clip 'none': a pair compares clipping off and on; give the policy of its second arm, e.g. norm:1.0."
        )
    _check_seeds(seeds)
    arms = ((CLIP_OFF, "none"), (CLIP_ON, spec.clip))
    specs = [(arm, with_settings(spec, seed=seed, clip=clip)) for seed in seeds for arm, clip in arms]
    return tuple(Plan(one, run_name(one), experiment, arm) for arm, one in specs)


def plan_arms(arms: Mapping[str, TrainingSpec], seeds: Sequence[int], experiment: str) -> tuple[Plan, ...]:
    """For each seed a training of every arm, by the arm's name; the first one is what the others are held against.

    Raises:
        SettingError: fewer than two arms, no seed, or one seed twice.
    """
    if len(arms) < 2:
        raise SettingError(f"arms {list(arms)}: an experiment compares two or more.")
    _check_seeds(seeds)
    return tuple(
        Plan(with_settings(spec, seed=seed), f"{arm}-seed{seed}", experiment, arm)
        for seed in seeds
        for arm, spec in arms.items()
    )


def unnamed_changes(baseline: TrainingSpec, arm: TrainingSpec, named: Collection[str]) -> dict[str, tuple[Any, Any]]:
    """Settings in which an arm differs from the baseline without naming them, with the value of each.

    An arm of another model takes the defaults that suit that model; what is compared then is more than the model. How
    often it is recorded does not count.
    """
    before, after = baseline.model_dump(), arm.model_dump()
    aside = {*named, *RecordingSettings.model_fields}
    return {name: (before[name], after[name]) for name in after if name not in aside and before[name] != after[name]}


def _check_seeds(seeds: Sequence[int]) -> None:
    if not seeds or len(set(seeds)) < len(seeds):
        raise SettingError(f"seeds {list(seeds)}: give one or more, each once, for example 0,1,2.")


def with_settings(spec: TrainingSpec, **settings: object) -> TrainingSpec:
    """The spec with some settings changed, and checked again."""
    return TrainingSpec.model_validate({**spec.model_dump(), **settings})


def run_name(spec: TrainingSpec) -> str:
    return f"{spec.model}-{spec.clip.replace(':', '-')}-seed{spec.seed}"


def experiment_name(spec: TrainingSpec) -> str:
    """A readable name for a pair: task, model and clip policy."""
    return f"{spec.task}-{spec.model}-{spec.clip.replace(':', '-')}"


def unused_experiment(spec: TrainingSpec, root: Path | str) -> str:
    """``experiment_name``, with a number behind it if runs of that name lie under ``root`` already."""
    base = experiment_name(spec)
    names = (base if number == 1 else f"{base}-{number}" for number in count(1))
    return next(name for name in names if not is_taken(root, name))
