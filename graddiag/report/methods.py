"""The methods section and the appendix: what every number means, and under which conditions it came about."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from graddiag import schema
from graddiag.report.content import Methods, ReportGrid
from graddiag.report.words import UNKNOWN, listed
from graddiag.run import Run

COMMAND: Final = "command"  # of a run's config: the command line that repeats it

SIDE_BY_SIDE: Final = 4  # runs in a table of settings

_SENTENCES: Final = (
    "Gradients are those that backward() gave, exact and not estimated. A norm is L2 over batch and units together, in "
    "units of the loss, and taken before clipping unless its name says after. With a loss that is a mean over the "
    "batch each entry carries 1/N, so compare runs of equal batch size and equal loss reduction.",
    "Zero, missing and non-finite numbers are three different things here: what was not measured is missing and never "
    "zero; NaN and inf are findings, counted and shown.",
)
_DEFINITIONS: Final = (
    (
        "Total gradient at timestep t, ‖dL/dh‖",
        "Norm of the derivative of the loss by the state h at t: what reaches it directly and all that comes back "
        "through later timesteps.",
    ),
    (
        "Transport gain",
        "How much one step back through time stretches the gradient, the loss's own contribution taken out: "
        "‖Jᵀλ‖ / ‖λ‖, where λ is the total gradient at the state at t and J the Jacobian of the state at t by "
        "the one before it. The state is h, of an LSTM h and c. Below 1 the gradient vanishes, above 1 it explodes.",
    ),
    (
        "Exponent and memory horizon",
        "The exponent is the mean of ln gain per timestep; the horizon is -1 / exponent, the number of timesteps over "
        "which the gradient falls to 1/e.",
    ),
    (
        "Contribution to dL/dW_hh",
        "Norm of what one timestep adds to the gradient of the recurrent weight, which all timesteps share; the sum "
        "over timesteps is that gradient.",
    ),
    (
        "Clip coefficient",
        "Norm of the whole gradient after clipping divided by the norm before; 1 means untouched. A threshold means "
        "nothing without the reduction of the loss: clip 5, lr 1 with a loss summed over 20 timesteps is clip 0.25, "
        "lr 20 with its mean.",
    ),
    (
        "Saturation",
        f"Share of a sigmoid gate's activations below {schema.SATURATION_LOW:g} and above {schema.SATURATION_HIGH:g}; "
        f"of a tanh below -{schema.SATURATION_HIGH:g} and above {schema.SATURATION_HIGH:g}.",
    ),
)
_RUN_COLUMNS: Final = ("Run", "Seed", "Clip policy", "Loss reduction", "Timesteps recorded", "Status")


def methods(runs: Sequence[Run]) -> Methods:
    """What a reader needs to judge and to repeat ``runs``."""
    rows = tuple(_conditions(run) for run in runs)
    commands = tuple(str(run.manifest.config[COMMAND]) for run in runs if run.manifest.config.get(COMMAND))
    repeat = (
        "With the same versions and the same number of threads on the CPU, the same seed gives the same numbers, to "
        "the bit."
        if commands
        else "The runs were recorded with graddiag.watch in another program; run it again with these versions, "
        "the seeds above and the configuration below."
    )
    grid = ReportGrid("The conditions of each run", _RUN_COLUMNS, rows)
    return Methods(_SENTENCES, _DEFINITIONS, grid, (*_versions(runs), repeat), commands)


def configuration(runs: Sequence[Run], *, commands: bool = True) -> tuple[ReportGrid, ...]:
    """What the manifests hold, but what is empty in all of them: a table of what is the same in all runs, and of the
    rest a row a setting, a column a run; at most four runs a table. ``commands``: also the command lines, which the
    methods have too."""
    said = [dict(run.manifest.to_frame().itertuples(index=False, name=None)) for run in runs]
    names = sorted({name for settings in said for name in settings if commands or name != f"config.{COMMAND}"})
    rows = {name: tuple(_text(settings.get(name)) for settings in said) for name in names}
    same = tuple((name, row[0]) for name, row in rows.items() if len(set(row)) == 1 and row[0] != UNKNOWN)
    of_all = "Settings of the run" if len(runs) == 1 else "The same in all runs"
    grid = ReportGrid(f"{of_all}; empty ones are left out", ("Setting", "Value"), same)
    return (*([grid] if same else []), *_differing(runs, rows))


def _conditions(run: Run) -> tuple[str, ...]:
    m = run.manifest
    every = "every step" if m.every == 1 else f"every {m.every} steps"
    status = m.status if m.error is None else f"{m.status}: {m.error}"
    return m.name, _text(m.seed), _text(m.clip), _text(m.loss_reduction), every, status


def _versions(runs: Sequence[Run]) -> tuple[str, ...]:
    """A sentence for each set of versions that runs were made with."""
    users: dict[str, list[str]] = {}
    for run in runs:
        said = ", ".join(f"{name} {version}" for name, version in sorted(run.manifest.versions.items()))
        users.setdefault(said or "not recorded", []).append(run.name)
    if len(users) == 1:
        return (f"Versions: {next(iter(users))}.",)
    return tuple(f"Versions of {listed(names)}: {said}." for said, names in users.items())


def _differing(runs: Sequence[Run], rows: Mapping[str, tuple[str, ...]]) -> Iterator[ReportGrid]:
    differing = {name: row for name, row in rows.items() if len(set(row)) > 1}
    for first in range(0, len(runs) if differing else 0, SIDE_BY_SIDE):
        few = slice(first, first + SIDE_BY_SIDE)
        columns = ("Setting", *(run.name for run in runs[few]))
        yield ReportGrid("Settings that differ", columns, tuple((name, *row[few]) for name, row in differing.items()))


def _text(value: object) -> str:
    if value is None or value in ("", []):
        return UNKNOWN
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
