"""The runs of an experiment: arms x seeds x lengths of the sequence, which of them succeeded, and how each went."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.intervals import Interval, exact_interval
from graddiag.analysis.optimization.curves import logged_scalars
from graddiag.analysis.values import Floats, Ints, Result, Source, source_of
from graddiag.analysis.words import number, plural, scalar_title
from graddiag.run import Run, numbers

ERROR: Final = "error"
VALIDATION_ERROR: Final = "validation_error"
_UNTIL_ERROR: Final = "until_error"
_SOLVED_ERROR: Final = "solved_error"  # of a task that counts as solved at another error than others
_SOLVABLE: Final = ("distance", "chance_error", _UNTIL_ERROR)
_LOW_ERROR: Final = 0.05
_LOW_VALIDATION_ERROR: Final = 0.01  # Pascanu, Mikolov & Bengio (2013), section 4.1
_FINAL_SHARE: Final = 0.05
_POINTS: Final = 200  # of a curve among many
_GOAL, _BETTER, _CHANCE = "goal", "better", "chance"  # keys of a configuration: a scalar, its direction, guessing
_HIGHER: Final = ("acc", "reward", "return", "score", "bleu", "r2", "auc")  # in the name of what is better when higher
LENGTH: Final = "length"
_NOT_VARIED: Final = frozenset({"seed", LENGTH, "clip", "threads", "every"})


@dataclass(frozen=True)
class Goal:
    """What counts as a success: the scalar ``name`` at most ``below``, in the mean over the last 5% of the steps; at
    least that where ``better`` is "higher". A validation error counts as it was last measured."""

    name: str
    below: float
    better: Literal["lower", "higher"] = "lower"

    @property
    def words(self) -> str:
        side = "at most" if self.better == "lower" else "at least"
        when = "when last measured" if self.name == VALIDATION_ERROR else "over the last 5% of the steps"
        return f"{scalar_title(self.name).lower()} {side} {number(self.below)} {when}"

    def reached_by(self, value: float) -> bool:
        """Whether ``value`` is a success; NaN is none, nor is inf of either sign."""
        return math.isfinite(value) and (value <= self.below if self.better == "lower" else value >= self.below)


@dataclass(frozen=True)
class Member:
    """One run: its length (None if its configuration names none), its course in at most 200 points (steps [n], values
    [n], NaN where a stretch holds nothing finite), its value at the end (NaN and inf as logged, None if it was not) and
    whether that is a success. settings: the numbers of its configuration that differ within the experiment."""

    source: Source
    status: str
    length: int | None
    steps: Ints
    values: Floats
    nonfinite: int
    final: float | None
    success: bool | None
    largest_norm: float | None
    settings: Mapping[str, float]


@dataclass(frozen=True)
class Rate:
    """Successes among the runs of one arm at one length; interval: 95%, exact (Clopper & Pearson)."""

    arm: str
    length: int | None
    successes: int
    runs: int
    interval: Interval


@dataclass(frozen=True)
class Experiment(Result):
    """All runs of an experiment against one goal; arms in the order in which they come, lengths ascending."""

    goal: Goal
    members: tuple[Member, ...]
    arms: tuple[str, ...]
    lengths: tuple[int | None, ...]
    rates: tuple[Rate, ...]
    missing: str | None = None

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        told = "; ".join(f"{arm} {_sum(rate for rate in self.rates if rate.arm == arm)}" for arm in self.arms)
        return f"Runs that succeeded ({self.goal.words}): {told}.{self._broken}"

    @property
    def _broken(self) -> str:
        """How many runs of each arm ended in NaN or inf, where any did: they count as not successful."""
        broken = Counter(
            each.source.arm_label for each in self.members if each.final is not None and not math.isfinite(each.final)
        )
        told = ", ".join(f"{count} of {arm}" for arm, count in broken.items())
        return f" Ended in NaN or inf, counted as failed: {told}." if told else ""

    @property
    def shared(self) -> Mapping[str, str]:
        """What is the same in all runs, of arm, length and seed; the settings of the members are those that differ."""
        told: dict[str, list[Any]] = {
            "arm": [each.source.arm_label for each in self.members],
            LENGTH: [each.length for each in self.members],
            "seed": [each.source.seed for each in self.members],
        }
        return {name: str(found[0]) for name, found in told.items() if len(set(found)) == 1 and found[0] is not None}

    def to_frame(self) -> pd.DataFrame:
        """A row a run."""
        rows = [
            {
                "run": each.source.run,
                "arm": each.source.arm_label,
                "seed": each.source.seed,
                "status": each.status,
                LENGTH: each.length,
                f"{self.goal.name}_at_end": each.final,
                "success": each.success,
                "largest_norm": each.largest_norm,
                **each.settings,
            }
            for each in self.members
        ]
        return pd.DataFrame(rows)


def goals(runs: Sequence[Run]) -> tuple[Goal, ...]:
    """What the runs could be held to, the likeliest first.

    First the goal that their configurations name, where they say what guessing reaches (see ``known_goal``). Then the
    validation error at most 1%, or that at which the runs were to end where it is more, if all have it; and the
    error at most 5%, or at most that at which the runs were to end as solved where it is more, if their task can be
    solved: if their configurations name its distance, the error of guessing or when to end. A text, e.g., cannot. Then
    the loss and other scalars that people logged, at most half of their usual value in the first steps.
    """
    logged = dict.fromkeys(name for run in runs for name in logged_scalars(run))
    own = {column.name for column in schema.TABLES[schema.TABLE_STEPS].columns} - {schema.LOSS}
    solved = _solved(runs)
    first = (schema.LOSS,) if solved is None else (ERROR, schema.LOSS)
    named = sorted((name for name in logged if name not in own), key=lambda name: tuple(name != each for each in first))
    found = [Goal(name, solved if name == ERROR and solved is not None else _half(runs, name)) for name in named]
    known = known_goal(runs)
    return tuple(found) if known is None else (known, *(goal for goal in found if goal.name != known.name))


def known_goal(runs: Sequence[Run]) -> Goal | None:
    """What the configurations themselves say is a success; None where they say nothing, or not all runs the same.

    ``goal`` and ``chance``: halfway from guessing to a perfect score, which is 0 for a goal that is better when lower,
    and 1 for one that is better when higher and whose chance lies between 0 and 1, such as an accuracy. Else the
    validation error, or without it the error, if the task of the runs can be solved.
    """
    named = {_named_goal(run) for run in runs}
    if len(named) == 1 and (goal := named.pop()) is not None:
        return goal
    for name, low in ((VALIDATION_ERROR, _LOW_VALIDATION_ERROR), (ERROR, _LOW_ERROR)):
        solved = _solved(runs, low)
        if solved is not None and all(name in logged_scalars(run) for run in runs):
            return Goal(name, solved)
    return None


def _named_goal(run: Run) -> Goal | None:
    config = run.manifest.config
    name, guessed, better = config.get(_GOAL), config.get(_CHANCE), config.get(_BETTER)
    chance = float(guessed) if guessed is not None and _is_number(guessed) else math.nan
    if not isinstance(name, str) or math.isnan(chance) or name not in logged_scalars(run):
        return None
    if better == "higher" or (better is None and any(part in name.lower() for part in _HIGHER)):
        return Goal(name, (1 + chance) / 2, "higher") if 0 <= chance < 1 else None
    return Goal(name, chance / 2) if chance > 0 else None


def final_value(run: Run, name: str) -> float | None:
    """The mean of the scalar ``name`` over the last 5% of the steps that have it; None where none has.

    Of the validation error it is the last value: it was measured on many sequences.
    """
    frame = run.read(schema.TABLE_STEPS)
    values, missing = numbers(frame[name]) if name in frame else (np.zeros(0), np.zeros(0, dtype=bool))
    return _final(values[~missing], name)


def _final(values: Floats, name: str) -> float | None:
    if name == VALIDATION_ERROR and len(values):
        return float(values[-1])
    return float(values[-max(1, math.ceil(len(values) * _FINAL_SHARE)) :].mean()) if len(values) else None


def experiment(runs: Sequence[Run], goal: Goal) -> Experiment:
    """Every one of ``runs`` against ``goal``, and the rate of success of each arm at each length.

    A run that ended in NaN or inf did not succeed; one that never logged the scalar is left out of the rates.

    Source: Clopper & Pearson (1934) for the interval of a rate.
    """
    varied = _varied(runs)
    members = tuple(_member(run, goal, varied) for run in runs)
    arms = tuple(dict.fromkeys(each.source.arm_label for each in members))
    lengths = tuple(sorted({each.length for each in members}, key=lambda length: length or 0))
    rates = tuple(rate for arm in arms for length in lengths if (rate := _rate(members, arm, length)))
    missing = None if rates else f"{scalar_title(goal.name)} was logged in none of {plural(len(runs), 'run')}."
    return Experiment(goal, members, arms, lengths, rates, missing)


def _rate(members: Sequence[Member], arm: str, length: int | None) -> Rate | None:
    found = [each.success for each in members if each.source.arm_label == arm and each.length == length]
    known = [each for each in found if each is not None]
    return Rate(arm, length, sum(known), len(known), exact_interval(sum(known), len(known))) if known else None


def _member(run: Run, goal: Goal, varied: Sequence[str]) -> Member:
    frame = run.read(schema.TABLE_STEPS)
    steps = frame[schema.STEP].to_numpy(dtype=np.int64)
    values, missing = numbers(frame[goal.name]) if goal.name in frame else (np.full(len(steps), np.nan), steps >= 0)
    steps, values = steps[~missing], values[~missing]
    norms, _ = numbers(frame[schema.GRAD_NORM])
    finite = norms[np.isfinite(norms)]
    final = _final(values, goal.name)
    at, course = _course(steps, values)
    config = run.manifest.config
    return Member(
        source_of(run),
        run.manifest.status,
        run.length,
        at,
        course,
        int((~np.isfinite(values)).sum()),
        final,
        None if final is None else goal.reached_by(final),
        float(finite.max()) if len(finite) else None,
        {name: float(config[name]) for name in varied if _is_number(config.get(name))},
    )


def _course(steps: Ints, values: Floats) -> tuple[Ints, Floats]:
    """At most 200 points: the mean of the finite values of each chunk."""
    if not len(values):
        return steps, values
    edges = np.unique(np.linspace(0, len(values), min(_POINTS, len(values)) + 1).astype(int))[:-1]
    finite = np.isfinite(values)
    total = np.add.reduceat(np.where(finite, values, 0.0), edges)
    count = np.add.reduceat(finite.astype(np.float64), edges)
    return steps[edges], np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _varied(runs: Sequence[Run]) -> list[str]:
    """The numbers of the configurations that are not the same in all runs."""
    found: dict[str, set[float]] = {}
    for run in runs:
        for name, value in run.manifest.config.items():
            if _is_number(value) and name not in _NOT_VARIED:
                found.setdefault(name, set()).add(float(value))
    return [name for name, values in found.items() if len(values) > 1]


def _solved(runs: Sequence[Run], low: float = _LOW_ERROR) -> float | None:
    """The error at which the task of the runs is solved, ``low`` or what their configurations say, or more; None where
    nothing says that it can be."""
    own: list[Any] = [run.manifest.config.get(_SOLVED_ERROR) for run in runs]
    said = [value for run in runs for name in _SOLVABLE if (value := run.manifest.config.get(name)) is not None]
    asked: list[Any] = [run.manifest.config.get(_UNTIL_ERROR) for run in runs]
    return max([low, *(float(each) for each in (*own, *asked) if _is_number(each))]) if said else None


def _half(runs: Sequence[Run], name: str) -> float:
    firsts = []
    for run in runs:
        frame = run.read(schema.TABLE_STEPS)
        values = numbers(frame[name])[0] if name in frame else np.zeros(0)
        firsts += values[np.isfinite(values)][:1].tolist()
    return float(f"{np.median(firsts) / 2:.3g}") if firsts else 0.0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _sum(rates: Any) -> str:
    found = list(rates)
    return f"{sum(rate.successes for rate in found)} of {sum(rate.runs for rate in found)}"
