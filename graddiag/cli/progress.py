"""What is seen while something takes its time: bars where there is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graddiag.cli.terminal import echo

if TYPE_CHECKING:
    from rich.progress import Progress

    from graddiag.lab import Plan, StepSeen
    from graddiag.presets.bench import Progress as Work

OnStep = Callable[["Plan", "StepSeen"], None]
OnRun = Callable[["Plan", str], None]


@contextmanager
def training_bar(plans: "tuple[Plan, ...]") -> Iterator[OnStep]:
    """One bar over the steps of all ``plans``, with loss and norm; gives what to call after each step."""
    with _bar() as progress:
        bar = progress.add_task("starting", total=sum(plan.spec.steps for plan in plans), seen="")

        def on_step(plan: "Plan", seen: "StepSeen") -> None:
            name = f"{plan.name} ({plans.index(plan) + 1}/{len(plans)})"
            values = f"loss {seen.loss:.4g}  norm {seen.grad_norm:.3g}"
            progress.update(bar, advance=1, description=name, seen=values)

        yield on_step


@contextmanager
def runs_bar(runs: int, workers: int) -> Iterator[OnRun]:
    """One bar over runs that are recorded elsewhere, ``workers`` at a time: how many are done and how many running.

    Gives what to call after each, with its plan and what became of it in a few words. Where stderr is no terminal, each
    run is a line.
    """
    with _bar() as progress:
        bar = progress.add_task(_running(runs, workers), total=runs, seen="")
        done = 0

        def on_run(plan: "Plan", seen: str) -> None:
            nonlocal done
            done += 1
            told = f"{plan.experiment}/{plan.name}: {seen}"
            progress.update(bar, completed=done, seen=told, description=_running(runs - done, workers))
            if progress.disable:
                echo(f"{done} of {runs}  {told}", err=True)

        yield on_run


def _running(left: int, workers: int) -> str:
    return f"recording, {min(left, workers)} running"


@contextmanager
def work_bar() -> "Iterator[Callable[[Work], None]]":
    """One bar for whatever a preset is at; gives what to call as it advances."""
    with _bar() as progress:
        bar = progress.add_task("starting", total=None, seen="")
        last: Work | None = None

        def on_progress(work: "Work") -> None:
            nonlocal last
            if last is None or work.done < last.done or work.total != last.total:
                progress.reset(bar, total=work.total)  # other work, whose time left is told from its own beginning
            progress.update(bar, description=work.what, completed=work.done, seen=work.seen)
            last = work

        yield on_progress


@contextmanager
def progress_line() -> Iterator[Callable[[str], None]]:
    """A line that says what is being done, on stderr if that is a terminal; gives what to call with each new thing."""
    from rich.console import Console
    from rich.text import Text

    from graddiag.cli.rows import printable

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda doing: None
        return
    with console.status("reading") as status:
        yield lambda doing: status.update(Text(printable(doing)))


def _bar() -> "Progress":
    """A bar on stderr, if that is a terminal: what is done, of how much, what was seen, time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from graddiag.cli.timeleft import TimeLeft

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[seen]}", markup=False),
        TimeLeft(),
        TextColumn("left"),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
