"""pascanu: the tasks and the three arms of Pascanu, Mikolov & Bengio: SGD, with clipping, with clipping and Omega.

Clipping keeps a step from throwing away what was learned; Omega keeps the gradient from vanishing on its way back. The
main experiment is temporal order over lengths and seeds. Then the same at a learning rate so low that clipping has
little to do, and then the other tasks, a few runs each.

A training ends as soon as at most 1% of 10,000 new sequences are answered wrong, the authors' criterion, and counts as
solved then. It is measured at every 100th step, where the authors' code has 20. A sequence of memorisation is wrong if
one symbol is, a number if its squared error is above .04.

Source: Pascanu, Mikolov & Bengio (2013), section 4, and the authors' code (RNN.py, and the generators).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from graddiag.analysis import Experiment, Goal, experiment
from graddiag.figures import multiples, success
from graddiag.lab.sweeps import SweepSpec, sweep_spec
from graddiag.presets.bench import Bench
from graddiag.presets.pages import folders, grid, picture, recorded
from graddiag.presets.pascanu_summary import at_length, at_low_rate, of_main, of_task, solved_table, task_table
from graddiag.presets.preset import Preset, PresetSummary, Settings
from graddiag.report.content import ReportPart
from graddiag.run import Run

SGD: Final = "SGD alone"
CLIPPED: Final = "clipping"
OMEGA: Final = "clipping and Omega"
UNTIL: Final = 0.01
GOAL: Final = Goal("validation_error", UNTIL)
MAIN: Final = "temporal-order"

Other = Literal["temporal-order-3bit", "adding", "multiplication", "permutation", "memorisation"]

# length and learning rate of each of the other tasks, short enough to be learned in minutes, some of them at least
_SIZES: Final[Mapping[Other, tuple[int, float]]] = {
    "temporal-order-3bit": (20, 0.2),
    "adding": (10, 0.3),
    "multiplication": (10, 0.3),
    "permutation": (15, 0.2),
    "memorisation": (10, 0.2),
}


class Pascanu(Settings):
    """Sizes of the default: 24 runs at the main length, 18 at the others, 6 at the low rate, 15 of the other tasks."""

    length: int = Field(30, ge=10, description="T of temporal order, the length with the most seeds.")
    seeds: int = Field(8, ge=1, description="Seeds of every arm at that length.")
    other_lengths: tuple[Annotated[int, Field(ge=10)], ...] = Field(
        (10, 50), description="Further lengths of temporal order."
    )
    other_seeds: int = Field(3, ge=1, description="Seeds of every arm at these, and at the low learning rate.")
    steps: int = Field(4000, ge=1, description="Steps of a training, unless it has solved the task before.")
    lr: float = Field(0.1, gt=0, description="Learning rate of SGD.")
    low_lr: float = Field(0.01, gt=0, description="A rate at which clipping has little to do.")
    clip: float = Field(1.0, gt=0, description="Threshold of the norm.")
    omega: float = Field(2.0, gt=0, description="Weight of Omega, in the authors' form (squared norms).")
    hidden: int = Field(50, ge=1, description="tanh units, their weights drawn from N(0, .1²).")
    tasks: tuple[Other, ...] = Field(tuple(_SIZES), description="Further tasks.")
    task_length: int | None = Field(None, ge=10, description="T of these; none takes one that suits the task.")
    task_lr: float | None = Field(None, gt=0, description="Learning rate of these; none takes one that suits the task.")
    task_seeds: int = Field(1, ge=1, description="Seeds of every arm of these.")
    task_steps: int = Field(1500, ge=1, description="Steps of a training of these.")


def sweeps(settings: Pascanu) -> Sequence[SweepSpec]:
    """Temporal order at its main length, at the others, at the low rate; then the other tasks."""
    few = tuple(range(settings.other_seeds))
    others = tuple(length for length in settings.other_lengths if length != settings.length)
    found = [_order(settings, "main", tuple(range(settings.seeds)), (settings.length,))]
    found += [_order(settings, "lengths", few, others)] if others else []
    found.append(_order(settings, "low-rate", few, (settings.length,), lr=settings.low_lr, arms=(SGD, CLIPPED)))
    return (*found, *(_other(settings, task) for task in dict.fromkeys(settings.tasks)))


def _order(
    settings: Pascanu,
    name: str,
    seeds: Sequence[int],
    lengths: Sequence[int],
    *,
    lr: float | None = None,
    arms: Sequence[str] = (SGD, CLIPPED, OMEGA),
) -> SweepSpec:
    given = _given(settings, settings.steps, settings.lr if lr is None else lr)
    chosen = {arm: changed for arm, changed in _arms(settings).items() if arm in arms}
    return _spec(name, MAIN, given, chosen, (seeds, lengths))


def _other(settings: Pascanu, task: Other) -> SweepSpec:
    length, lr = _SIZES[task]
    given = _given(settings, settings.task_steps, settings.task_lr or lr)
    return _spec(task, task, given, _arms(settings), (range(settings.task_seeds), (settings.task_length or length,)))


def _given(settings: Pascanu, steps: int, lr: float) -> dict[str, Any]:
    size = {"hidden": settings.hidden, "init_std": 0.1, "batch": 20}
    return {
        **size,
        "lr": lr,
        "steps": steps,
        "until_error": UNTIL,
        "criterion": "pascanu",
        "every": max(1, steps // 20),
    }


def _arms(settings: Pascanu) -> dict[str, dict[str, Any]]:
    clip = {"clip": f"norm:{settings.clip!r}"}
    return {SGD: {}, CLIPPED: clip, OMEGA: {**clip, "omega": settings.omega}}


def _spec(
    name: str,
    task: str,
    given: Mapping[str, Any],
    arms: Mapping[str, Any],
    over: tuple[Sequence[int], Sequence[int]],
) -> SweepSpec:
    seeds, lengths = over
    spec = {"name": f"lab-pascanu-{name}", "task": task, "model": "rnn", "settings": given, "arms": arms}
    return sweep_spec({**spec, "seeds": list(seeds), "lengths": list(lengths)})


@dataclass(frozen=True)
class PascanuTraining:
    """The runs, by what they were trained for; those of temporal order at its own rate are together."""

    order: tuple[Run, ...]
    low_rate: tuple[Run, ...]
    tasks: Mapping[str, tuple[Run, ...]]

    @property
    def runs(self) -> tuple[Run, ...]:
        return (*self.order, *self.low_rate, *(run for runs in self.tasks.values() for run in runs))


def train(settings: Pascanu, bench: Bench) -> PascanuTraining:
    """Everything that ``sweeps`` has, recorded or found recorded."""
    specs = {spec.name.removeprefix("lab-pascanu-"): spec for spec in sweeps(settings)}
    named = [spec.model_copy(update={"name": bench.named(part)}) for part, spec in specs.items()]
    runs = bench.sweep(named)
    by_part = {part: tuple(run for run in runs if run.manifest.experiment == bench.named(part)) for part in specs}
    low, order = by_part.pop("low-rate"), (*by_part.pop("main"), *by_part.pop("lengths", ()))
    return PascanuTraining(order, low, by_part)


def summarize(settings: Pascanu, bench: Bench) -> PresetSummary:
    """Trains all of it, and tells how many runs of each arm solved each task, and where clipping did not help."""
    trained = train(settings, bench)
    order, low = experiment(trained.order, GOAL), experiment(trained.low_rate, GOAL)
    tasks = {task: experiment(runs, GOAL) for task, runs in trained.tasks.items()}
    lengths = [length for length in order.lengths if length is not None and length != settings.length]
    seen = [
        of_main(order, settings.length),
        *(at_length(order, trained.order, length) for length in lengths),
        at_low_rate(low, trained.low_rate, settings.low_lr),
        *(of_task(task, found, trained.tasks[task]) for task, found in tasks.items()),
    ]
    first = [
        run for run in trained.order if run.manifest.seed == 0 and run.manifest.config["length"] == settings.length
    ]
    parts = [_order_part(order), _low_part(low), *([_task_part(tasks, trained)] if tasks else [])]
    parts.append(ReportPart("The gradient of the first seed", pictures=recorded(first)))
    return PresetSummary(tuple(seen), tuple(parts), folders(trained.runs))


def _order_part(order: Experiment) -> ReportPart:
    return ReportPart(
        "Temporal order",
        tables=(grid("Runs that solved temporal order", solved_table({MAIN: order})),),
        pictures=(
            picture("Success by length and arm", _SUCCESS, success, order, title=False),
            picture("The error of every run", _COURSES, multiples, order, title=False),
        ),
    )


def _low_part(low: Experiment) -> ReportPart:
    return ReportPart(
        "At a low learning rate",
        tables=(grid("Runs that solved it at the low rate", solved_table({MAIN: low})),),
        pictures=(picture("The error at a low rate", _LOW, multiples, low, title=False),),
    )


def _task_part(tasks: Mapping[str, Experiment], trained: PascanuTraining) -> ReportPart:
    return ReportPart("The other tasks", tables=(grid("Runs of the other tasks", task_table(tasks, trained.tasks)),))


_SUCCESS: Final = (
    "The share of seeds that solved the task, with its 95% interval: at most 1% of 10,000 new sequences wrong."
)
_COURSES: Final = (
    "Each line is a run's error on new sequences; below the dotted line the task is solved, and the training ends."
)
_LOW: Final = "Each line is a run, as above, with the smaller learning rate."

PRESETS: Final = {
    "pascanu": Preset(
        Pascanu,
        quick={
            "length": 10,
            "seeds": 1,
            "other_lengths": (),
            "other_seeds": 1,
            "steps": 120,
            "tasks": ("adding",),
            "task_steps": 50,
            "hidden": 30,
        },
        summarize=summarize,
        sweeps=sweeps,
    )
}
