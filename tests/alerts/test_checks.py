"""When the diagnosis is made beside a training, what is new in it, and who is called."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from graddiag.alerts import MOST_SHARE, Alert, FindingChecks, checked_callbacks, print_alert, stop
from graddiag.analysis import Diagnosis
from graddiag.errors import SettingError, StopTraining
from tests.alerts.diagnoses import diagnosis_with

HEALTHY, STUCK, VANISHING = diagnosis_with("learning"), diagnosis_with("stuck"), diagnosis_with("stuck", "vanishing")


class Clock:
    """Seconds that pass by hand; a diagnosis takes ``cost``."""

    def __init__(self, cost: float = 0.0) -> None:
        self.now, self.cost = 0.0, cost

    def __call__(self) -> float:
        return self.now


class Case:
    """Checks of diagnoses given in their order; ``called`` has the alerts, ``stopped`` the stops."""

    def __init__(self, *diagnoses: Diagnosis | Exception, every: int = 1, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.made = 0
        self.called: list[Alert] = []
        self.stopped: list[StopTraining] = []
        self._diagnoses: Iterator[Any] = iter(diagnoses)
        self.checks = FindingChecks(
            (self.called.append,), every, Path("runs/r"), self._diagnose, self.stopped.append, self.clock
        )

    def _diagnose(self) -> Diagnosis:
        self.made += 1
        self.clock.now += self.clock.cost
        found = next(self._diagnoses)
        if isinstance(found, Exception):
            raise found
        return found

    def check(self, steps: int) -> None:
        for step in range(steps):
            self.checks(step)

    @property
    def listed(self) -> list[tuple[int, str, str, bool]]:
        return [(each.step, each.kind, each.name, each.cleared) for each in self.called]


def test_a_finding_is_called_once_and_once_more_when_it_clears() -> None:
    case = Case(HEALTHY, STUCK, VANISHING, VANISHING, HEALTHY, HEALTHY, STUCK)
    for step in range(7):
        case.checks(step)
    assert case.listed == [
        (1, "outcome", "stuck", False),
        (2, "cause", "vanishing", False),
        (4, "outcome", "stuck", True),
        (4, "cause", "vanishing", True),
        (6, "outcome", "stuck", False),
    ]
    appeared, cleared = case.called[1], case.called[3]
    assert str(appeared) == (
        f"made, step 2: {appeared.title}. The evidence of vanishing. Do first: Do something about vanishing."
    )
    assert str(cleared) == f"made, step 4: cleared: {appeared.title}. Now: {HEALTHY.headline}."
    assert appeared.diagnosis is VANISHING
    assert cleared.advice is None


def test_it_is_made_every_so_many_steps() -> None:
    case = Case(*[HEALTHY] * 9, every=3)
    made = []
    for step in range(20):
        case.checks(step)
        made.append(case.made)
    assert [step for step, (a, b) in enumerate(zip([0, *made], made, strict=False)) if b > a] == [2, 5, 8, 11, 14, 17]


def test_a_check_that_takes_long_makes_the_interval_longer() -> None:
    """Each check takes a second, each step a tenth of one."""
    case = Case(*[HEALTHY] * 99, every=5, clock=Clock(cost=1.0))
    made, total = 0, 2000
    for step in range(total):
        case.clock.now += 0.1
        before = case.made
        case.checks(step)
        made += case.made - before
    training = total * 0.1
    assert made == 1 + int((training - 0.5) // (1.0 / MOST_SHARE + 0.1 * 0))
    assert (made - 1) * 1.0 <= MOST_SHARE * training


def test_of_cheap_checks_none_is_passed_over() -> None:
    case = Case(*[HEALTHY] * 99, every=5, clock=Clock(cost=0.005))
    for step in range(100):
        case.clock.now += 0.1
        case.checks(step)
    assert case.made == 20


def test_a_callback_that_raises_is_warned_of_once_and_called_further() -> None:
    case, calls = Case(STUCK, HEALTHY, STUCK), count()

    def broken(alert: Alert) -> None:
        next(calls)
        raise ValueError("no such room")

    case.checks._callbacks = (broken, case.called.append)
    with pytest.warns(RuntimeWarning, match="on_finding raised at step 0: ValueError: no such room") as warned:
        case.check(3)
    assert (len(warned), next(calls), len(case.called)) == (1, 3, 3)


def test_a_diagnosis_that_raises_ends_the_checks() -> None:
    case = Case(ValueError("damaged"), STUCK)
    with pytest.warns(RuntimeWarning, match=r"diagnosis of run runs/r failed at step 0: ValueError: damaged") as warned:
        case.check(3)
    assert (case.made, case.called, len(warned)) == (1, [], 1)


def test_stop_training_stops_when_all_have_been_called() -> None:
    case = Case(VANISHING)
    case.checks._callbacks = (stop, case.called.append)
    case.checks(7)
    assert [str(each) for each in case.stopped] == [str(case.called[0])]
    assert len(case.called) == 2


def test_what_has_cleared_stops_nothing() -> None:
    case = Case(STUCK, HEALTHY)
    case.checks(0)
    case.checks._callbacks = (stop,)
    case.checks(1)
    assert case.stopped == []


def test_the_steps_after_the_last_check_are_checked_at_the_end() -> None:
    short = Case(VANISHING, every=200)
    short.check(3)
    assert (short.made, short.called) == (0, [])
    short.checks.at_end()
    assert short.listed == [(2, "outcome", "stuck", False), (2, "cause", "vanishing", False)]
    checked = Case(STUCK, HEALTHY, every=3)
    checked.check(3)
    checked.checks.at_end()
    assert checked.made == 1
    none = Case(STUCK)
    none.checks.at_end()
    assert none.made == 0


def test_the_end_is_checked_however_long_the_check_before_it_took() -> None:
    case = Case(HEALTHY, STUCK, every=1, clock=Clock(cost=100.0))
    case.check(2)
    assert case.made == 1
    case.checks.at_end()
    assert case.listed == [(1, "outcome", "stuck", False)]


def test_at_the_end_there_is_nothing_to_stop() -> None:
    case = Case(VANISHING, every=9)
    case.checks._callbacks = (stop, case.called.append)
    case.check(3)
    case.checks.at_end()
    assert (case.stopped, len(case.called)) == ([], 2)


def test_a_diagnosis_that_raised_is_not_made_again_at_the_end() -> None:
    case = Case(ValueError("damaged"), STUCK)
    with pytest.warns(RuntimeWarning, match="failed at step 0"):
        case.check(2)
    case.checks.at_end()
    assert (case.made, case.called) == (1, [])


def test_what_cannot_be_called_is_refused() -> None:
    assert checked_callbacks(None, 200) == ()
    assert checked_callbacks(stop, 200) == (stop,)
    assert checked_callbacks([stop, print_alert], 1) == (stop, print_alert)
    with pytest.raises(SettingError, match=r"watch\(on_finding='stop'\): pass a function that takes an alert"):
        checked_callbacks("stop", 200)
    with pytest.raises(SettingError, match=r"watch\(check_every=0\): it cannot be below 1"):
        checked_callbacks(stop, 0)
