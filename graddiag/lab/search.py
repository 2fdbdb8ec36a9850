"""Which trainings of a sweep are stopped early: the table ``[search]``, and what is asked after each step.

A training is stopped by its diagnosis, where a cause or outcome of ``stop_on`` appears, or by ASHA, the asynchronous
successive halving of Ray Tune, which compares it with the others. It is a run as any other, with the status
``stopped`` and the reason as its error.

Source: Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht & Talwalkar (2020), A system for massively parallel
hyperparameter tuning, algorithm 2.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from graddiag.alerts import Alert, Callback, alert_names
from graddiag.errors import SettingError, StopTraining

_SHARE: Final = 10  # a rung compares means over the last tenth of the steps before it,
_LEAST: Final = 10  # and at least over so many steps

Judge = Callable[[int, float], bool]
"""Whether a training may continue, of a rung and its value there."""


class SearchSpec(BaseModel):
    """What stops trainings of a sweep early; finished ones are those that nothing stopped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stop_on: tuple[str, ...] = Field(
        (), description="Causes and failed outcomes of the diagnosis at which a training ends, e.g. exploding."
    )
    scheduler: Literal["asha"] | None = Field(
        None,
        description="asha: at each rung a training continues only where its metric is among the best 1 / reduction of "
        "those that came there before. It needs the engine ray.",
    )
    metric: str = Field(
        "loss",
        description="Scalar that asha compares: its mean over the last tenth of the steps before a rung, at least ten.",
    )
    mode: Literal["min", "max"] = Field("min", description="Whether a low metric is good, or a high one.")
    grace: int = Field(
        100,
        ge=1,
        description="Steps before the first rung; rungs are at grace, grace times reduction, and so on. Also how often "
        "a training is diagnosed, in about 2% of the time at most.",
    )
    reduction: int = Field(3, ge=2, description="Of the trainings at a rung, 1 in so many continues.")

    @field_validator("stop_on")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = alert_names()
        unknown = next((name for name in names if name not in known), None)
        if unknown is not None:
            raise SettingError(f"search: stop_on {unknown!r}: it is none of {', '.join(known)}.", ("search", "stop_on"))
        return names

    @model_validator(mode="after")
    def _stops_something(self) -> "SearchSpec":
        if self.scheduler is None and not self.stop_on:
            raise SettingError(
                'search: it stops nothing; give stop_on = ["exploding"], scheduler = "asha", or both.', ("search",)
            )
        return self

    def rungs(self, steps: int) -> tuple[int, ...]:
        """The rungs of a training of ``steps`` steps, by how many steps come before each; none without a scheduler."""
        if self.scheduler is None:
            return ()
        count = 0 if steps <= self.grace else 1 + int(math.log(steps / self.grace, self.reduction))
        rungs = (self.grace * self.reduction**place for place in range(count + 1))
        return tuple(rung for rung in rungs if rung < steps)


class EarlyStop(StopTraining):
    """Ends a training that a search stops; its text is the reason."""


def stop_at(names: Iterable[str]) -> Callback:
    """A callback of ``on_finding`` that ends the training at a cause or outcome of ``names``.

    Raises:
        EarlyStop: by the callback.
    """
    wanted = frozenset(names)

    def stop(alert: Alert) -> None:
        if alert.name in wanted and not alert.cleared:
            raise EarlyStop(f"{alert.name} at step {alert.step:,}: {alert.sentence}")

    return stop


def rung_value(values: Mapping[int, float], rung: int) -> float | None:
    """The mean of a scalar, by step, over the last tenth of the steps before ``rung``, at least ten; where it was not
    measured in these, its last value before. NaN where one is NaN or inf; None where there is none."""
    before = [step for step in values if step < rung]
    if not before:
        return None
    start = rung - max(_LEAST, rung // _SHARE)
    counted = [values[step] for step in before if step >= start] or [values[max(before)]]
    return math.fsum(counted) / len(counted) if all(map(math.isfinite, counted)) else math.nan


class Rungs:
    """Asked after each step of a training; at a rung it asks ``judge`` whether the training may continue."""

    def __init__(self, search: SearchSpec, steps: int, judge: Judge) -> None:
        self._search = search
        self._judge = judge
        self._left = list(search.rungs(steps))
        self._values: dict[int, float] = {}

    def __call__(self, step: int, scalars: Mapping[str, float]) -> str | None:
        """Why the training ends after ``step``; None where it continues. scalars: what was measured at the step.

        Raises:
            SettingError: the metric has not been logged before the first rung.
        """
        name = self._search.metric
        if name in scalars:
            self._values[step] = scalars[name]
        if not self._left or step + 1 < self._left[0]:
            return None
        rung = self._left.pop(0)
        value = rung_value(self._values, rung)
        if value is None:
            logged = ", ".join(scalars)
            raise SettingError(
                f"search: metric {name!r} was not logged in the first {rung} steps; these were: {logged}."
            )
        if not math.isfinite(value):
            return f"asha: {name} is NaN or inf before step {rung:,}"
        if self._judge(rung, value):
            return None
        share = f"best 1 in {self._search.reduction}"
        return f"asha: {name} {value:.4g} at step {rung:,} is not among the {share} of the trainings before it"
