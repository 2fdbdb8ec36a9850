"""``graddiag sweep``: an experiment out of a file, trained as far as it is not there yet."""

import shlex
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graddiag.cli.options import Root
from graddiag.cli.progress import runs_bar
from graddiag.cli.terminal import echo
from graddiag.errors import SettingError

if TYPE_CHECKING:
    from graddiag.lab.outcome import TrainingOutcome
    from graddiag.lab.sweeps import Standing


def sweep(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="A TOML file: task, model, arms, seeds, lengths.")],
    root: Root = Path("runs"),
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time, each a process with a thread.")] = 2,
    engine: Annotated[
        str,
        typer.Option(
            help="processes: of this machine. ray: tasks of a Ray cluster (RAY_ADDRESS), or of Ray here. "
            "slurm: jobs of a Slurm cluster."
        ),
    ] = "processes",
    engine_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="What each training asks the engine for, given once for each: cpus=2 or memory_gb=4 of ray; "
            "minutes=60, partition=gpu, mem_gb=4, ... of slurm.",
        ),
    ] = None,
    retries: Annotated[
        int, typer.Option(min=0, help="How often a training is begun anew whose worker or node was lost.")
    ] = 2,
    retry: Annotated[bool, typer.Option("--retry", help="Train again what failed before.")] = False,
) -> None:
    """Train the arms of an experiment over seeds and lengths; what is finished already is not trained again."""
    from graddiag.lab.engines import engine_called, with_retries
    from graddiag.lab.sweeps import clear, plan_sweep, read_sweep, standing
    from graddiag.store import shown

    given = dict(map(_option, engine_option or ()))
    engine_called(engine, given)  # what is wrong with it is said before the file is read
    read = read_sweep(spec)
    train, plans = engine_called(engine, given, read.search), plan_sweep(read)
    before = standing(plans, root, retry=retry)
    ended: list[TrainingOutcome] = []
    if before.waiting:
        clear(before.waiting, root)
        ended = _record(before, partial(with_retries, train, root=root, retries=retries), workers)
    failures, stopped = [each for each in ended if _failed(each)], [each for each in ended if _by_search(each)]
    trained = len(before.waiting) - len(failures)
    early = f", {len(stopped)} of them stopped early" if stopped else ""
    echo(f"{len(plans)} runs: {trained} trained{early}, {len(before.finished)} there already.")
    for outcome in stopped:
        echo(f"stopped: {outcome.plan.name}: {outcome.trained.stopped if outcome.trained else ''}")
    for outcome in failures:
        why = outcome.error if outcome.trained is None else outcome.trained.stopped
        echo(f"failed: {outcome.plan.name}: {why}", err=True)
    for path in before.failed:
        echo(f"failed before: {shown(path)}; --retry trains it again", err=True)
    folder = root / (before.finished[0].parent.name if before.finished else _folder(plans[0].experiment))
    lengths = dict.fromkeys(plan.spec.length for plan in plans)
    apart = f" --length {next(iter(lengths))}" if len(lengths) > 1 else ""
    echo(f"Next: graddiag compare {shlex.quote(shown(folder))}{apart}")
    if failures or before.failed:
        raise typer.Exit(1)


def _record(
    before: "Standing", train: "Callable[..., Iterator[TrainingOutcome]]", workers: int
) -> "list[TrainingOutcome]":
    """What became of each that is trained now."""
    ended: list[TrainingOutcome] = []
    try:
        with runs_bar(len(before.waiting), workers) as on_run:
            for outcome in train(before.waiting, workers=workers, on_lost=_say_lost):
                ended.append(outcome)
                on_run(outcome.plan, f"loss {outcome.trained.final_loss:.4g}" if outcome.trained else "failed")
    except KeyboardInterrupt:
        echo(f"interrupted after {len(ended)} of {len(before.waiting)} runs; the same command continues.", err=True)
        raise typer.Exit(130) from None
    return ended


def _by_search(outcome: "TrainingOutcome") -> bool:
    return outcome.trained is not None and outcome.trained.by_search


def _failed(outcome: "TrainingOutcome") -> bool:
    return outcome.trained is None or (outcome.trained.stopped is not None and not outcome.trained.by_search)


def _say_lost(outcome: "TrainingOutcome") -> None:
    echo(f"lost, and begun anew: {outcome.plan.name}: {outcome.error}", err=True)


def _option(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals:
        raise SettingError(f"--engine-option {given!r}: give it as NAME=VALUE.")
    return name.strip().replace("-", "_"), value


def _folder(experiment: str | None) -> str:
    from graddiag.store import slug

    return slug(str(experiment), fallback="experiment")
