"""Which timesteps teach the recurrent weight, how far the gradient gets, and which units are saturated."""

from collections.abc import Sequence

import streamlit as st

from graddiag import analysis, figures, schema
from ui.charts import captioned
from ui.daylight import theme
from ui.pickers import Choice
from ui.results import OpenRun, of
from ui.text import muted
from ui.zoom import over_steps


def section(runs: Sequence[OpenRun], choice: Choice) -> None:
    """Weights in time, with what cuts back-propagation short; for gates, their time constants and their units."""
    horizon(runs, choice)
    in_time(runs, choice)
    time_constants(runs, choice)
    units(runs, choice)


def horizon(runs: Sequence[OpenRun], choice: Choice) -> None:
    """The memory horizon over training, against the sequence and the task's distance."""
    st.subheader("Memory horizon over training")
    found = [of(run, analysis.reach, choice.selection) for run in runs]
    captions = analysis.horizon_captions(found) or analysis.captions(found)
    over_steps(figures.horizon(found, theme=theme(), title=False), *captions, key="horizon", choice=choice)


def in_time(runs: Sequence[OpenRun], choice: Choice) -> None:
    st.subheader("Weights in time: which timesteps teach")
    found = [of(run, analysis.weights_in_time, choice.selection) for run in runs]
    captions = analysis.captions(found)
    cuts(runs, choice)
    left, right = st.columns(2)
    with left:
        over_steps(
            figures.weights_in_time(found, theme=theme(), title=False), *captions, key="weights_in_time", choice=choice
        )
    with right:
        words = "How many timesteps teach, and how much of their contributions is left when they are summed."
        over_steps(figures.teaching(found, theme=theme(), title=False), words, key="teaching", choice=choice)


def cuts(runs: Sequence[OpenRun], choice: Choice) -> None:
    """Whether back-propagation is cut short, and a picture of where, at the step that is looked at."""
    found = [of(run, analysis.truncation, choice.selection) for run in runs]
    captions = analysis.captions(found)
    if not any(each.found for each in found):
        muted(*captions)
        return
    along = [of(run, analysis.profile, choice.step, choice.selection, (schema.GRAD_H,)) for run in runs]
    captioned(figures.truncation(found, along, theme=theme(), title=False), *captions, key="truncation")


def time_constants(runs: Sequence[OpenRun], choice: Choice) -> None:
    found = [of(run, analysis.time_constants, choice.selection) for run in runs]
    if any(each.missing is None for each in found):
        st.subheader("Time constants: how long the cells keep what they hold")
        captions = analysis.captions(found)
        over_steps(
            figures.time_constants(found, theme=theme(), title=False), *captions, key="time_constants", choice=choice
        )


def units(runs: Sequence[OpenRun], choice: Choice) -> None:
    found = [of(run, analysis.gate_units, choice.selection) for run in runs]
    if any(each.missing is None for each in found):
        st.subheader("Saturation, unit by unit")
        captions = analysis.captions(found)
        over_steps(figures.gate_units(found, theme=theme(), title=False), *captions, key="gate_units", choice=choice)
