"""What is kept of a run: made anew when the run changes, and at once unless it takes over a second to make."""

from pathlib import Path

import pytest

from graddiag.run import Run
from tests.dashboards.synthetic import Growing, Made
from ui import results


class Clock:
    """Seconds that pass as the test says; an analysis takes as many as it is told."""

    def __init__(self, takes: float) -> None:
        self.now, self.takes = 100.0, takes

    def monotonic(self) -> float:
        return self.now

    def count(self, run: Run) -> int:
        self.now += self.takes
        return len(run.steps)


@pytest.mark.parametrize(
    ("takes", "waited", "seen"), [(0.9, 0.0, 20), (1.5, 2.9, 10), (1.5, 3.1, 20)], ids=["quick", "slow", "later"]
)
def test_a_result_of_a_growing_run_lags_if_it_is_slow_to_make(
    root: Path, monkeypatch: pytest.MonkeyPatch, takes: float, waited: float, seen: int
) -> None:
    clock = Clock(takes)
    monkeypatch.setattr(results.time, "monotonic", clock.monotonic)
    results._kept.clear()
    run = Growing(root, Made("grows", status="running", traced=False))
    run.grow(to=10)
    assert results.of(results.open_run(run.link), clock.count) == 10
    run.grow(to=20)
    clock.now += waited
    assert results.of(results.open_run(run.link), clock.count) == seen
    run.writer.close()
    assert results.of(results.open_run(run.link), clock.count) == 20


def test_analyses_are_given_the_same_run_until_it_changes(root: Path) -> None:
    """So that one finds what another has read."""
    run = Growing(root, Made("grows", status="running", traced=False))
    run.grow(to=10)
    opened = results.open_run(run.link)
    assert results.read(opened) is results.read(results.open_run(run.link))
    run.grow(to=20)
    assert len(results.read(results.open_run(run.link)).steps) == 20
    assert len(results.of_all([results.open_run(run.link)], lambda runs: runs[0]).steps) == 20
    run.writer.close()
