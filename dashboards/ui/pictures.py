"""The pictures of one run, or of several on shared scales: the views of a section, in the registry's order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

import streamlit as st

from graddiag import analysis, figures, schema
from graddiag.analysis import Goal
from graddiag.views import Plot, View, ViewContext, ViewSection, views_of
from ui import clipping, snapshots
from ui.charts import captioned, picked
from ui.pickers import Choice, Closer, choose, choose_lines, closer, measured_layers, offer_steps, take
from ui.results import OpenRun, ask, of
from ui.text import heading, muted
from ui.theme import theme

MAX_CELLS: Final = 60_000
MARGIN: Final = 0.5  # steps, so that the first and the last are not on the edge
THROUGH: Final = "through time"
TRAINING: Final = "training"
GATES: Final = "gates"
WEIGHTS: Final = "weights"
CLIPPING: Final = "clipping"
HEALTH: Final = "health"
SECTIONS: Final[tuple[ViewSection, ...]] = (THROUGH, TRAINING, GATES, WEIGHTS, CLIPPING, HEALTH)
UNTRACED: Final[tuple[ViewSection, ...]] = (TRAINING, CLIPPING, HEALTH)  # of the whole model: no layer is to be chosen
EMPTY: Final[Mapping[ViewSection, str]] = {
    GATES: "No activations were recorded for this layer.",
    WEIGHTS: "No contributions to the weight gradient and no spectra were recorded.",
    HEALTH: "No finding has a step, and no updates, noise or depth are known: "
    "graddiag.watch(model, optimizer) records them over more steps.",
}
HALVES: Final = 2  # pictures side by side


@dataclass(frozen=True)
class SectionChoice:
    """The section of the pictures of ``runs``; its choice, None where nothing was recorded per timestep; and how curves
    over training are drawn."""

    runs: Sequence[OpenRun]
    section: ViewSection
    choice: Choice | None
    lines: figures.LineOptions


def choose_section(runs: Sequence[OpenRun]) -> SectionChoice:
    """Draws the pickers of section, layer, step and zoom. Runs without timesteps have the sections of the whole model
    alone."""
    layers = measured_layers(runs)
    section = _section(SECTIONS if layers else UNTRACED)
    choice = choose(runs, layers, of_a_layer=section not in UNTRACED)
    with st.container(horizontal=True):
        lines = choose_lines(runs, choice.steps if choice else None)
        if choice:
            offer_steps(runs)
    return SectionChoice(runs, section, choice, lines)


def show_section(chosen: SectionChoice) -> None:
    """The pictures of the chosen section. Only what is shown is computed."""
    runs, section, choice = chosen.runs, chosen.section, chosen.choice
    context = ViewContext(max_cells=MAX_CELLS // len(runs), step=_all_steps(runs), lines=chosen.lines)
    look = None
    if choice:
        context = replace(context, selection=choice.selection, step=choice.step)
        if section == THROUGH:
            look = closer(runs, choice.selection)
            context = replace(
                context, signal=look.signal, reduce=look.reduce, scale=look.scale, steps=choice.steps,
                timesteps=look.timesteps,
            )  # fmt: skip
        elif section == WEIGHTS and len(runs) == 1:
            context = replace(context, column=snapshots.choose_column(runs[0], choice))
    if section == CLIPPING:
        clipping.roles(runs)
    if not show_views(section, runs, context, choice, look):
        muted(EMPTY.get(section, "No data was recorded for this section."))


def show_views(
    section: ViewSection,
    runs: Sequence[OpenRun],
    context: ViewContext,
    choice: Choice | None = None,
    look: Closer | None = None,
) -> bool:
    """The views of a section, two narrow ones side by side; says whether there are any."""
    shown = [one for view in _offered(section, runs, context) for one in _plots(view, runs, context)]
    for place in _rows(shown):
        for (key, plot), column in zip(place, st.columns(len(place)), strict=True):
            with column:
                draw(key, plot, choice, look)
    return bool(shown)


def draw(key: str, plot: Plot, choice: Choice | None = None, look: Closer | None = None) -> None:
    """One picture under its title, its captions and its numbers."""
    at_step = f", at step {choice.step}" if plot.view.at_step and choice else ""
    st.subheader(f"{plot.view.title}{at_step}")
    if plot.run:
        heading(plot.run, level=3)
    figure = plot.figure(theme=theme())
    roles = figures.axis_roles(figure)
    if look and choice and roles.get("xaxis") == schema.STEP and roles.get("yaxis") == schema.TIMESTEP:
        steps = max((each.steps for each in plot.results), key=len)
        if figure.data:
            figures.pickable(figure, steps, choice.step, boxes=look.boxes, theme=theme())
        picked(figure, *plot.captions, key=key, csv=plot.csv, take=take)
    else:
        captioned(over_training(figure, choice), *plot.captions, key=key, csv=plot.csv)


def over_training(figure: Any, choice: Choice | None) -> Any:
    """``figure`` with the chosen steps alone on each of its axes of steps, and a line at the chosen step.

    A panel that shares its axis with one below follows that one.
    """
    if choice is None or not figure.data:
        return figure
    roles = figures.axis_roles(figure)
    axes = {axis.plotly_name.replace("axis", ""): axis for axis in figure.select_xaxes()}
    of_steps = {name for name, axis in axes.items() if roles.get(axis.plotly_name) == schema.STEP}
    for name, axis in axes.items():
        if name in of_steps or axis.matches in of_steps:
            if choice.steps:
                axis.range = [choice.steps[0] - MARGIN, choice.steps[1] + MARGIN]
            _mark(figure, name, axis.anchor or "y", choice)
    return figure


def compared(runs: Sequence[OpenRun]) -> None:
    """The views of the runs against each other."""
    show_views("comparison", runs, ViewContext())


def of_experiment(runs: Sequence[OpenRun], goal: Goal) -> Iterator[str]:
    """The views of an experiment; gives the key of each once it is drawn, so that more can follow it."""
    context = ViewContext(goal=goal)
    for view in views_of("experiment"):
        for key, plot in _plots(view, runs, context):
            draw(key, plot)
        yield view.key


def _section(offered: Sequence[ViewSection]) -> ViewSection:
    return st.segmented_control(
        "Section", offered, default=offered[0], required=True, key="section", bind="query-params", width="stretch"
    )


def _offered(section: ViewSection, runs: Sequence[OpenRun], context: ViewContext) -> Iterator[View]:
    """The views of a section that these runs can have: a snapshot is of one run; a layer's of a chosen layer."""
    for view in views_of(section):
        of_layer = view.scope in ("layer", "pair") or view.snapshot
        if not (view.snapshot and len(runs) > 1) and not (of_layer and context.selection is None):
            yield view


def _plots(view: View, runs: Sequence[OpenRun], context: ViewContext) -> list[tuple[str, Plot]]:
    plots = view.plots(runs, context, ask)
    return [(f"{view.key}-{number}" if number else view.key, plot) for number, plot in enumerate(plots)]


def _rows(shown: Sequence[tuple[str, Plot]]) -> Iterator[Sequence[tuple[str, Plot]]]:
    """Pictures that stand side by side: up to two narrow ones after one another."""
    for narrow, group in groupby(shown, key=lambda each: each[1].view.half):
        found = list(group)
        across = HALVES if narrow else 1
        for first in range(0, len(found), across):
            yield found[first : first + across]


def _mark(figure: Any, x: str, y: str, choice: Choice) -> None:
    first, last = choice.steps or (choice.step, choice.step)
    if first <= choice.step <= last:
        figures.mark_step(figure, choice.step, x, y, theme())


def _all_steps(runs: Sequence[OpenRun]) -> tuple[int, int]:
    ends = [int(steps[place]) for run in runs for place in (0, -1) if len(steps := of(run, analysis.recorded_steps))]
    return (min(ends), max(ends)) if ends else (0, 0)
