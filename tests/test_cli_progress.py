"""Time left, by a clock of the test's own: of trainings that take minutes, one and several at a time."""

import pytest
from rich.progress import Progress

from graddiag.cli.progress import runs_bar, work_bar
from graddiag.cli.timeleft import TimeLeft
from graddiag.lab import plan_run, training_spec
from graddiag.presets.bench import Progress as Work


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def left(ends: list[float], total: int, seen_at: float) -> float | None:
    """What is said to be left at ``seen_at`` of ``total`` parts that are done at ``ends``, looked at every second."""
    clock, column = Clock(), TimeLeft()
    progress = Progress(get_time=clock)
    progress.add_task("", total=total)
    (task,) = progress.tasks
    found = None
    while clock.now <= seen_at:
        progress.update(task.id, completed=sum(end <= clock.now for end in ends))
        found = column.seconds(task)
        clock.now += 1
    return found


def test_one_at_a_time() -> None:
    assert left([60.0, 120.0, 180.0], 20, seen_at=59) is None
    assert left([60.0, 120.0, 180.0], 20, seen_at=60) == pytest.approx(19 * 60)
    assert left([60.0, 120.0, 180.0], 20, seen_at=150) == pytest.approx(18 * 60 - 30)


def test_two_at_a_time_that_end_within_a_second() -> None:
    assert left([60.0, 61.0], 20, seen_at=61) == pytest.approx(18 * 30.5)


def test_what_takes_longer_than_told_is_due_now() -> None:
    assert left([60.0], 2, seen_at=300) == 0


def test_a_bar_of_other_work_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[Progress] = []
    enter = Progress.__enter__
    monkeypatch.setattr(Progress, "__enter__", lambda self: (bars.append(self), enter(self))[1])
    with work_bar() as on_progress:
        on_progress(Work("one", 3, 3))
        first = bars[0].tasks[0].start_time
        on_progress(Work("two", 1, 5))
        assert bars[0].tasks[0].start_time > first
        assert (bars[0].tasks[0].completed, bars[0].tasks[0].total) == (1, 5)


def test_without_a_terminal_each_run_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_run(training_spec("recall", "rnn"), "mine")
    with runs_bar(2, workers=1) as on_run:
        on_run(plan, "loss 0.5")
        on_run(plan, "failed")
    assert capsys.readouterr().err.splitlines() == [
        "1 of 2  mine/rnn-none-seed0: loss 0.5",
        "2 of 2  mine/rnn-none-seed0: failed",
    ]
