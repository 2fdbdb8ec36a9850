"""A view: one picture declared once, with its analysis, its drawing, its title, its place and its caption."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Literal

import pandas as pd
import plotly.graph_objects as go

from graddiag import figures, schema
from graddiag.analysis import Goal, Selection, captions, loss_curve
from graddiag.analysis.timesteps.profile import Asked
from graddiag.figures.heat_scale import HeatScale
from graddiag.figures.line_options import AS_USUAL, LineOptions
from graddiag.figures.theme import Theme, labels
from graddiag.run import Run
from graddiag.views.table import source_table, to_csv

ViewSection = Literal[
    "summary", "through time", "training", "gates", "weights", "clipping", "health", "comparison", "experiment"
]
Scope = Literal["run", "layer", "pair", "experiment"]

PAIR: Final = 2
_ONE_SCALE: Final = "The colour scale is the same for all runs."


@dataclass(frozen=True)
class ViewContext:
    """What of the runs is shown: layer, step or range of steps, signal, and how finely.

    Attributes:
        step: the step of views of one step; a range (first, last) for all of it.
        column: of a snapshot. snapshot_cells: of the matrices of a snapshot.
        signal, reduce, steps, timesteps, max_cells: of heatmaps, as ``analysis.heat`` has them.
        scale: the colour scale of heatmaps, as ``figures.heatmap`` has it.
        goal: what counts as a success, of views of an experiment.
        lines: how curves over training are drawn.
    """

    selection: Selection | None = None
    step: Asked = 0
    signal: str = schema.GRAD_H
    column: str = schema.GRAD_H
    reduce: Any = "max"
    scale: HeatScale = "robust"
    steps: tuple[int, int] | None = None
    timesteps: tuple[int, int] | None = None
    max_cells: int = 60_000
    snapshot_cells: int = 120_000
    goal: Goal | None = None
    lines: LineOptions = AS_USUAL

    @property
    def last_step(self) -> int:
        """The step of views of one step, the last of a range."""
        return self.step[1] if isinstance(self.step, tuple) else self.step


Arguments = Callable[[ViewContext], Mapping[str, Any]]
# calls an analysis with a run, or with all runs, and its keyword arguments; a dashboard keeps what it gives
Ask = Callable[..., Any]


def ask(subject: Run | Sequence[Run], analysis: Callable[..., Any], **arguments: Any) -> Any:
    """Calls ``analysis`` itself."""
    return analysis(subject, **arguments)


def no_arguments(context: ViewContext) -> Mapping[str, Any]:
    return {}


def of_layer(context: ViewContext) -> Mapping[str, Any]:
    return {"selection": context.selection}


def is_measured(result: Any) -> bool:
    """Whether a result holds anything."""
    return bool(result.missing is None)


def always(run: Any) -> bool:
    return True


def own_captions(results: Sequence[Any], *support: Sequence[Any]) -> Sequence[str]:
    """What the analysis says of ``results``, together where they are several."""
    return captions(results) if len(results) > 1 else [results[0].caption]


def _time_column(context: ViewContext) -> Mapping[str, Any]:
    return {"names": (schema.BATCH_SIZE if context.lines.along == "samples" else schema.WALL_TIME,)}


# the seconds since a run began, or its batch sizes, by step: support of the views whose curves can be drawn along them
TIMES: Final[tuple[Callable[..., Any], Arguments]] = (loss_curve, _time_column)


def line_options(context: ViewContext) -> Mapping[str, Any]:
    return {"lines": context.lines}


def no_options(context: ViewContext) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class View:
    """A picture: what it shows, where it belongs, and how it is made. Every surface shows it under its title.

    Attributes:
        key: its name in addresses, ids and file names.
        title: over the picture, everywhere.
        analysis: of a run and ``arguments`` (scope run and layer), or of all runs (pair and experiment).
        figure: draws results; the results of each of ``support`` follow them.
        arguments: of the analysis, by keyword; by default the layer for scope layer, else none.
        support: further analyses of the same runs, each with its arguments.
        options: further arguments of the figure.
        applies: whether a run, by its manifest, is one of those that are shown.
        shown: whether a result has anything to see. Others are left out.
        optional: made from what is recorded on demand; where it was not, nothing is said.
        caption: one or more sentences, from the results and those of ``support``.
        separate: one figure a run; all on one colour scale with ``common_scale``.
        few_runs: not legible for many runs.
        at_step: shows one step, or a range of them. snapshot: one that has a snapshot.
        half: half as wide as the page, beside the next one.
        detail: left off where a report of several runs is printed.
        frame: the table of a result.
    """

    key: str
    title: str
    section: ViewSection
    analysis: Callable[..., Any]
    figure: Callable[..., go.Figure]
    scope: Scope = "run"
    arguments: Arguments | None = None
    support: tuple[tuple[Callable[..., Any], Arguments], ...] = ()
    options: Arguments = no_options
    applies: Callable[[Any], bool] = always
    shown: Callable[[Any], bool] = is_measured
    optional: bool = False
    caption: Callable[..., Sequence[str]] = own_captions
    separate: bool = False
    common_scale: bool = False
    few_runs: bool = False
    at_step: bool = False
    snapshot: bool = False
    half: bool = False
    detail: bool = False
    frame: Callable[[Any], pd.DataFrame] = field(default=lambda result: result.to_frame())

    @property
    def of_several(self) -> bool:
        """Whether the analysis takes all runs together."""
        return self.scope in ("pair", "experiment")

    def plots(self, runs: Sequence[Any], context: ViewContext, ask: Ask = ask) -> "tuple[Plot, ...]":
        """The pictures of ``runs``: one, or one for each run; none where an optional view has nothing to show."""
        if self.scope == "pair" and len(runs) != PAIR:
            return ()
        together = self.of_several
        subjects = [runs] if together else runs
        rows = [self._ask(subject, context, ask) for subject in subjects if together or self.applies(subject)]
        held = [row for row in rows if any(map(self.shown, _flat(row[0])))]
        if not held:
            return () if self.optional or not rows else (self._plot(rows[:1], context, empty=True),)
        if self.separate:
            shared = self._scale(held)
            names = labels([_flat(row[0])[0].source for row in held]) if len(rows) > 1 else [""] * len(held)
            return tuple(self._plot([row], context, shared, whose=name) for row, name in zip(held, names, strict=True))
        lacking = [] if self.optional else [each.missing for row in rows for each in _flat(row[0]) if each.missing]
        return (replace(self._plot(held, context), lacking=tuple(dict.fromkeys(lacking))),)

    def arguments_of(self, context: ViewContext) -> Mapping[str, Any]:
        """What the analysis is called with beside its runs."""
        arguments = self.arguments or (of_layer if self.scope in ("layer", "pair") else no_arguments)
        return arguments(context)

    def _ask(self, subject: Any, context: ViewContext, ask: Ask) -> tuple[Any, ...]:
        """The result of one run, or of all of them, and the support of it."""
        found = ask(subject, self.analysis, **self.arguments_of(context))
        return (found, *(ask(subject, analysis, **given(context)) for analysis, given in self.support))

    def _scale(self, rows: Sequence[tuple[Any, ...]]) -> Mapping[str, Any]:
        return {"limits": figures.limits_of([row[0] for row in rows])} if self.common_scale else {}

    def _plot(
        self,
        rows: Sequence[tuple[Any, ...]],
        context: ViewContext,
        shared: Mapping[str, Any] | None = None,
        *,
        whose: str = "",
        empty: bool = False,
    ) -> "Plot":
        columns = list(zip(*rows, strict=True))
        results = tuple(each for found in columns[0] for each in _flat(found))
        drawn = {**self.options(context), **(shared or {})}
        support = tuple(tuple(column) for column in columns[1:])
        return Plot(self, results, support, drawn, whose, empty, one_scale=bool(shared) and bool(whose))


@dataclass(frozen=True)
class Plot:
    """A view of certain runs, ready to be drawn.

    Attributes:
        results: of the analysis. support: those of each further analysis.
        run: the label of the run, where each has its own figure.
        empty: whether there is nothing to see.
        lacking: why runs are left out.
    """

    view: View
    results: tuple[Any, ...]
    support: tuple[tuple[Any, ...], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    run: str = ""
    empty: bool = False
    one_scale: bool = False
    lacking: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The view's title; of one run among several, with its label."""
        return f"{self.view.title}: {self.run}" if self.run else self.view.title

    @property
    def missing(self) -> str | None:
        """Why there is nothing to see; None where there is something."""
        return self.results[0].missing or "Nothing to draw." if self.empty else None

    @property
    def captions(self) -> tuple[str, ...]:
        """What there is to see, each sentence once."""
        if self.empty:
            return (self.missing or "",)
        shared = [_ONE_SCALE] if self.one_scale else []
        return tuple(dict.fromkeys([*self.view.caption(self.results, *self.support), *shared, *self.lacking]))

    def figure(self, *, theme: Theme = "light", title: bool = False) -> go.Figure:
        """The picture."""
        alone = self.view.of_several or (self.view.separate and len(self.results) == 1)
        draw = partial(self.view.figure, self.results[0] if alone else self.results, *self.support)
        return draw(theme=theme, title=title, **self.options)

    def to_frame(self) -> pd.DataFrame:
        """The numbers of the picture, with the run of each row where they are of single runs."""
        return source_table([(getattr(each, "source", None), self.view.frame(each)) for each in self.results])

    def csv(self, digits: int = 7) -> str:
        """``to_frame`` as CSV, see ``table.to_csv``."""
        return to_csv(self.to_frame(), digits)


def _flat(found: Any) -> tuple[Any, ...]:
    """An analysis gives one result, or a tuple of them."""
    return found if isinstance(found, tuple) else (found,)
