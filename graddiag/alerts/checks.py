"""The diagnosis beside a training: how often it is made, what is new in it, and who is called."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graddiag.alerts.alert import Alert, Callback, Key, Problem, problems
from graddiag.errors import SettingError, StopTraining

if TYPE_CHECKING:
    from graddiag.analysis import Diagnosis

MOST_SHARE: Final = 0.02
"""Of the training's time that diagnoses may take: after one that took a second the next comes fifty seconds later."""


class FindingChecks:
    """Diagnoses a run every ``every`` steps, and calls back for what appears and what clears.

    A check that took c seconds is followed by none for c / MOST_SHARE seconds, however many steps there are meanwhile.
    The steps after the last check are checked when the run ends, which a run shorter than ``every`` does only then.
    A callback that raises is warned of once and called further; a diagnosis that raises ends the checks, with a
    warning. ``StopTraining`` of a callback goes to ``stop`` when all have been called; at the end of the run there is
    nothing to stop.

    diagnose: the diagnosis of now. clock: seconds.
    """

    def __init__(
        self,
        callbacks: Sequence[Callback],
        every: int,
        path: Path,
        diagnose: "Callable[[], Diagnosis]",
        stop: Callable[[StopTraining], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._callbacks = callbacks
        self._every = every
        self._path = path
        self._diagnose = diagnose
        self._stop = stop
        self._clock = clock
        self._steps = 0  # since the last check
        self._last = 0
        self._not_before = 0.0
        self._known: Mapping[Key, Problem] = {}
        self._ended = self._warned = False

    def __call__(self, step: int) -> None:
        """A step has ended.

        Raises:
            StopTraining: as ``stop`` does.
        """
        self._steps, self._last = self._steps + 1, step
        if self._steps < self._every or self._clock() < self._not_before:
            return
        stops = self._check()
        if stops:
            self._stop(stops[0])

    def at_end(self) -> None:
        """The run has ended."""
        if self._steps:
            self._check()

    def _check(self) -> list[StopTraining]:
        """Diagnoses and calls; gives the stops that were asked for."""
        self._steps = 0
        if self._ended:
            return []
        alerts = self._new(self._last)
        return [reason for alert in alerts for each in self._callbacks if (reason := self._call(each, alert))]

    def _new(self, step: int) -> list[Alert]:
        began = self._clock()
        try:
            diagnosis = self._diagnose()
            found = problems(diagnosis)
        except Exception as error:  # the training continues, whatever the diagnosis meets
            self._ended = True
            self._warn(f"The diagnosis of run {self._path} failed at step {step}: {_described(error)} No more is made.")
            return []
        ended = self._clock()
        self._not_before = ended + (ended - began) / MOST_SHARE
        before, self._known = self._known, found
        cleared = [(key, before[key], True) for key in before if key not in found]
        appeared = [(key, found[key], False) for key in found if key not in before]
        return [self._alert(step, diagnosis, *each) for each in (*cleared, *appeared)]

    def _alert(self, step: int, diagnosis: "Diagnosis", key: Key, problem: Problem, cleared: bool) -> Alert:
        kind, name = key
        advice = None if cleared else problem.advice
        run = diagnosis.source.run
        return Alert(run, self._path, step, name, kind, cleared, problem.title, problem.sentence, advice, diagnosis)

    def _call(self, callback: Callback, alert: Alert) -> StopTraining | None:
        try:
            callback(alert)
        except StopTraining as reason:
            return reason
        except Exception as error:  # the training continues, whatever the callback meets
            if not self._warned:
                self._warned = True
                self._warn(f"A callback of on_finding raised at step {alert.step}: {_described(error)}")
        return None

    def _warn(self, message: str) -> None:
        warnings.warn(f"{message} The training is unaffected.", RuntimeWarning, stacklevel=2)


def checked_callbacks(given: Any, every: int) -> tuple[Callback, ...]:
    """The callbacks that ``on_finding`` was given: none, one, or several.

    Raises:
        SettingError: one that cannot be called, or ``every`` below 1.
    """
    if every < 1:
        raise SettingError(f"watch(check_every={every}): it cannot be below 1 (every step).")
    several = () if given is None else tuple(given) if isinstance(given, list | tuple) else (given,)
    for each in several:
        if not callable(each):
            raise SettingError(
                f"watch(on_finding={each!r}): pass a function that takes an alert, e.g. graddiag.alerts.print_alert."
            )
    return several


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}."
