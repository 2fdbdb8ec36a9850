"""``graddiag run`` and ``graddiag pair``: train, record, say where the runs are."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graddiag.cli.options import Root, TrainingOptions, arm_of, help_of, panel_of, seeds_of, spread
from graddiag.cli.progress import training_bar
from graddiag.cli.terminal import echo

if TYPE_CHECKING:
    from graddiag.lab import Plan, Trained, TrainingSpec


@spread
def run(
    options: TrainingOptions,
    clip: Annotated[str, typer.Option(help=help_of("clip"), rich_help_panel=panel_of("clip"))] = "none",
    seed: Annotated[int, typer.Option(help=help_of("seed"))] = 0,
    root: Root = Path("runs"),
    experiment: Annotated[str | None, typer.Option(help="Experiment the run belongs to.")] = None,
) -> None:
    """Train one network and record it."""
    from graddiag.lab import plan_run

    record((plan_run(options.spec(clip=clip, seed=seed), experiment),), root)


@spread
def pair(
    options: TrainingOptions,
    clip: Annotated[
        str | None,
        typer.Option(
            help="Of the second arm, by default norm:0.5; with --arms, of every arm that names none. "
            + help_of("clip"),
            rich_help_panel=panel_of("clip"),
        ),
    ] = None,
    arms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SETTING=VALUE,...",
            help="Compare something else than clipping: an arm with these settings changed, beside the training as it "
            "is. Once for each arm: --arms init=orthogonal --arms model=lstm --arms clip=norm:1,lr=0.1.",
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, one pair each: 0,1,2.")] = "0",
    root: Root = Path("runs"),
    experiment: Annotated[
        str | None, typer.Option(help="Experiment the runs belong to; by default named after task, model and clip.")
    ] = None,
) -> None:
    """Train the same network with clipping off and on, from the same weights on the same batches, and record both."""
    from graddiag.lab import BASELINE, plan_arms, plan_pair, unused_experiment

    chosen = seeds_of(seeds)
    if not arms:
        spec = options.spec(clip=clip or "norm:0.5", seed=chosen[0])
        record(plan_pair(spec, chosen, experiment or unused_experiment(spec, root)), root)
        return
    spec = options.spec(clip=clip or "none", seed=chosen[0])
    changed = {arm: options.spec(clip=spec.clip, seed=chosen[0], changed=arm_of(arm)) for arm in arms}
    for arm, other in changed.items():
        _say_what_else_changes(arm, spec, other)
    record(plan_arms({BASELINE: spec, **changed}, chosen, experiment or unused_experiment(spec, root)), root)


def _say_what_else_changes(arm: str, baseline: "TrainingSpec", other: "TrainingSpec") -> None:
    from graddiag.lab import unnamed_changes

    changes = unnamed_changes(baseline, other, arm_of(arm))
    if changes:
        told = ", ".join(f"{name} {_value(to)} (baseline {_value(of)})" for name, (of, to) in changes.items())
        echo(f"arm {arm}: takes what suits its model, and so differs in {told}; name these in the arm to set them.")


def _value(value: object) -> str:
    return "none" if value is None else str(value)


def record(plans: "tuple[Plan, ...]", root: Path) -> None:
    """Trains the plans one after the other, and prints their results and what to type next."""
    from graddiag.lab import train

    finished: list[Trained] = []
    try:
        with training_bar(plans) as on_step:
            for plan in plans:
                finished.append(train(plan, root, lambda seen, plan=plan: on_step(plan, seen)))  # type: ignore[misc]
    except KeyboardInterrupt:
        from graddiag.store import shown

        echo(
            f"interrupted after {len(finished)} of {len(plans)} runs; what was recorded is readable: "
            f"graddiag list --root {shlex.quote(shown(root))}",
            err=True,
        )
        raise typer.Exit(130) from None
    _say(finished, root)


def _say(finished: "list[Trained]", root: Path) -> None:
    from graddiag.store import shown

    for trained in finished:
        arm, seed = trained.plan.arm, trained.plan.spec.seed
        early = f", stopped at {trained.stopped}" if trained.stopped else ""
        echo(f"{shown(trained.path)}  {arm}, seed {seed}: last loss {trained.final_loss:.4g}{early}")
    paths = (trained.path.parent if trained.plan.experiment else trained.path for trained in finished)
    folders = dict.fromkeys(map(shown, paths))
    echo("Next:")
    echo(f"  graddiag dashboard --root {shlex.quote(shown(root))}")
    echo(f"  graddiag report {shlex.join(folders)} --out report.html")
