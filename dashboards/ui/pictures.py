"""The pictures of one run, or of several on shared scales; Run and Compare show the same."""

from collections.abc import Sequence
from typing import Any, Final

import streamlit as st

from graddiag import analysis, figures, schema
from graddiag.analysis import captions
from ui import clipping, health, weights
from ui.charts import captioned, picked
from ui.daylight import theme
from ui.pickers import Choice, Closer, choose, closer, measured_layers, take
from ui.results import OpenRun, of, of_all
from ui.zoom import over_steps

MAX_CELLS: Final = 60_000
THROUGH, TRAINING, GATES, WEIGHTS = "through time", "training", "gates", "weights"
CLIPPING, HEALTH = "clipping", "health"
SECTIONS: Final = (THROUGH, TRAINING, GATES, WEIGHTS, CLIPPING, HEALTH)
UNTRACED: Final = (TRAINING, CLIPPING, HEALTH)  # of the whole model: no layer is to be chosen


def everything(runs: Sequence[OpenRun]) -> tuple[str, Choice | None]:
    """The pictures of the section that is looked at; gives its name, and what was chosen to look at.

    Only what is looked at is computed. Runs without timesteps have their training and their clipping alone.
    """
    layers = measured_layers(runs)
    section = _section(SECTIONS if layers else UNTRACED)
    choice = choose(runs, layers, of_a_layer=section not in UNTRACED)
    if choice and section == THROUGH:
        through_time(runs, choice)
    elif section == TRAINING:
        training(runs, choice)
    elif choice and section == GATES:
        in_gates(runs, choice)
    elif choice and section == WEIGHTS:
        weights.section(runs, choice)
    elif section == HEALTH:
        health.section(runs, choice)
    else:
        clipping.section(runs, choice)
    return section, choice


def _section(offered: Sequence[str]) -> str:
    return st.segmented_control(
        "Look at", offered, default=offered[0], required=True, key="section", bind="query-params", width="stretch"
    )


def through_time(runs: Sequence[OpenRun], choice: Choice) -> None:
    look = closer(runs, choice.selection)
    heatmaps(runs, choice, look)
    if len(runs) == 2:
        ratio(runs, choice, look)
    profile(runs, choice, look.signal)
    reach(runs, choice)
    regulariser(runs, choice)


def training(runs: Sequence[OpenRun], choice: Choice | None) -> None:
    norms(runs, choice)
    events(runs, choice)
    if any(of(run, analysis.norm_history).source.clipped for run in runs):
        left, right = st.columns(2)
        with left:
            loss(runs, choice)
        with right:
            coefficients(runs, choice)
    else:
        loss(runs, choice)


def in_gates(runs: Sequence[OpenRun], choice: Choice) -> None:
    left, right = st.columns(2)
    with left:
        gates(runs, choice)
    with right:
        gate_profile(runs, choice)
    if any(schema.GRAD_C_PATH in of(run, analysis.signals, choice.selection) for run in runs):
        cell_path(runs, choice)
    dead(runs, choice)


def loss(runs: Sequence[OpenRun], choice: Choice | None) -> None:
    st.subheader("Loss")
    found = [of(run, analysis.loss_curve) for run in runs]
    over_steps(figures.curves(found, theme=theme(), title=False), *captions(found), key="loss", choice=choice)


def over_seeds(runs: Sequence[OpenRun]) -> None:
    """Loss and gradient norm of each arm over its seeds: the median and the range."""
    st.subheader("Over all seeds")
    left, right = st.columns(2)
    with left:
        found = of_all(runs, analysis.bands, schema.LOSS)
        captioned(figures.bands(found, theme=theme(), title=False), found.caption, key="loss_bands")
    with right:
        found = of_all(runs, analysis.bands, schema.GRAD_NORM)
        captioned(figures.bands(found, theme=theme(), title=False, log=True), found.caption, key="norm_bands")


def coefficients(runs: Sequence[OpenRun], choice: Choice | None) -> None:
    st.subheader("Clip coefficient")
    found = [of(run, analysis.norm_history) for run in runs]
    caption = "Norm after clipping / norm before: 1 is a gradient that was left as it was."
    over_steps(figures.clip_coefficient(found, theme=theme(), title=False), caption, key="coefficient", choice=choice)


def norms(runs: Sequence[OpenRun], choice: Choice | None) -> None:
    found = [of(run, analysis.norm_history) for run in runs]
    clipped = any(each.source.clipped for each in found)
    st.subheader("Gradient norm, before and after clipping" if clipped else "Gradient norm")
    over_steps(figures.norms(found, theme=theme(), title=False), *captions(found), key="norms", choice=choice)


def heatmaps(runs: Sequence[OpenRun], choice: Choice, look: Closer) -> None:
    st.subheader("Through the sequence, over training")
    how = _closely(runs, choice, look)
    found = [of(run, analysis.heat, look.signal, choice.selection, **how) for run in runs]
    _point_at(figures.heatmap(found, theme=theme(), title=False), found, choice, look, key="heat")


def ratio(runs: Sequence[OpenRun], choice: Choice, look: Closer) -> None:
    """The second run over the first, at the same steps and timesteps as the heatmaps above."""
    st.subheader("Their ratio")
    found = of_all(runs, analysis.heat_ratio, look.signal, choice.selection, **_closely(runs, choice, look))
    _point_at(figures.heat_ratio(found, theme=theme(), title=False), [found], choice, look, key="ratio")


def events(runs: Sequence[OpenRun], choice: Choice | None) -> None:
    """What happened on the time axis; nothing where nothing did."""
    found = [of(run, analysis.events) for run in runs]
    if any(each.missing is None for each in found):
        st.subheader("Events")
        over_steps(figures.events(found, theme=theme(), title=False), *captions(found), key="events", choice=choice)


def cell_path(runs: Sequence[OpenRun], choice: Choice) -> None:
    st.subheader("The cell path: what the cells carry back by themselves")
    found = [of(run, analysis.cell_path, choice.selection) for run in runs]
    over_steps(figures.cell_path(found, theme=theme(), title=False), *captions(found), key="cell_path", choice=choice)


def profile(runs: Sequence[OpenRun], choice: Choice, signal: str) -> None:
    st.subheader(f"Through the sequence, at step {choice.step}")
    found = [of(run, analysis.profile, choice.step, choice.selection, (signal,)) for run in runs]
    captioned(figures.profile(found, theme=theme(), title=False), *captions(found), key="profile")


def gates(runs: Sequence[OpenRun], choice: Choice) -> None:
    st.subheader("Gates over training")
    found = [of(run, analysis.gate_history, choice.selection) for run in runs]
    over_steps(figures.gates(found, theme=theme(), title=False), *captions(found), key="gates", choice=choice)


def gate_profile(runs: Sequence[OpenRun], choice: Choice) -> None:
    st.subheader(f"Gates through the sequence, at step {choice.step}")
    found = [of(run, analysis.gate_profile, choice.step, choice.selection) for run in runs]
    captioned(figures.gate_profile(found, theme=theme(), title=False), *captions(found), key="gate_profile")


def reach(runs: Sequence[OpenRun], choice: Choice) -> None:
    st.subheader("Reach: how far back the gradient carries")
    found = [of(run, analysis.reach, choice.selection) for run in runs]
    over_steps(figures.transport(found, theme=theme(), title=False), *captions(found), key="transport", choice=choice)


def regulariser(runs: Sequence[OpenRun], choice: Choice) -> None:
    """Omega over training, of the runs that were trained with it."""
    found = [of(run, analysis.omega, choice.selection) for run in runs if run.manifest.config.get("omega")]
    if found:
        st.subheader("Omega: the cost of vanishing")
        over_steps(figures.omega(found, theme=theme(), title=False), *captions(found), key="omega", choice=choice)


def dead(runs: Sequence[OpenRun], choice: Choice) -> None:
    """The units that do nothing or learn nothing, where snapshots show any."""
    found = [each for run in runs if len((each := of(run, analysis.dead_units, choice.selection)).dead)]
    if found:
        st.subheader("Dead units")
        captioned(figures.dead_units(found, theme=theme(), title=False), *captions(found), key="dead_units")


def _closely(runs: Sequence[OpenRun], choice: Choice, look: Closer) -> dict[str, Any]:
    """How finely, and which part: as arguments of ``heat`` and ``heat_ratio``."""
    cells = MAX_CELLS // len(runs)
    return {"max_cells": cells, "reduce": look.reduce, "steps": choice.steps, "timesteps": look.timesteps}


def _point_at(figure: Any, found: Sequence[Any], choice: Choice, look: Closer, *, key: str) -> None:
    """A heatmap in which a drag looks closer and a click moves the step; both heatmaps of a page obey."""
    steps = max((each.steps for each in found), key=len)
    if figure.data:
        figures.pickable(figure, steps, choice.step, boxes=look.boxes, theme=theme())
    picked(figure, *captions(found), key=key, take=take)
