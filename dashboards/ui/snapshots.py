"""What the snapshots of a run show: units through the sequence, credit, recurrent weights, Lyapunov exponents."""

import streamlit as st

from graddiag import analysis, figures
from graddiag.analysis import Selection
from ui.charts import captioned
from ui.daylight import theme
from ui.pickers import Choice
from ui.results import OpenRun, of
from ui.text import muted
from ui.zoom import over_steps


def section(run: OpenRun, choice: Choice) -> None:
    """The snapshot nearest to the step that is looked at; where none was taken, how to take some."""
    weights_over_training(run, choice)
    if not len(of(run, analysis.snapshot_steps, choice.selection)):
        muted(
            "No snapshot was taken of this layer: graddiag.watch(..., snapshot_every=100) records its units, the "
            "credit matrix and the spectrum of its recurrent weight at every hundredth step."
        )
        return
    steps = of(run, analysis.snapshot_steps, choice.selection)
    taken = min(map(int, steps), key=lambda step: abs(step - choice.step))
    if taken != choice.step:
        muted(f"The snapshot of step {taken}, the nearest to step {choice.step}.")
    left, right = st.columns(2)
    with left:
        units(run, choice)
    with right:
        credit(run, choice)
    spectrum(run, choice.selection, choice.step)
    exponents(run, choice)


def units(run: OpenRun, choice: Choice) -> None:
    st.subheader("Each unit through the sequence")
    columns = of(run, analysis.snapshot_columns, choice.selection)
    column = st.selectbox("Measure", columns, format_func=analysis.snapshot_title, key="units", bind="query-params")
    found = of(run, analysis.unit_heat, choice.step, choice.selection, column)
    captioned(figures.unit_heat(found, theme=theme(), title=False), found.caption, key="unit_heat")


def credit(run: OpenRun, choice: Choice) -> None:
    st.subheader("Credit: what each loss timestep sends back")
    found = of(run, analysis.credit_matrix, choice.step, choice.selection)
    captioned(figures.credit(found, theme=theme(), title=False), found.caption, key="credit")


def spectrum(run: OpenRun, selection: Selection, step: int) -> None:
    st.subheader("Spectrum of the recurrent weight")
    found = of(run, analysis.weight_spectra, step, selection)
    captions = analysis.captions(found)
    captioned(figures.spectrum(found, theme=theme(), title=False), *captions, key="spectrum")


def exponents(run: OpenRun, choice: Choice) -> None:
    found = of(run, analysis.lyapunov_history, choice.selection)
    if found.missing is None:
        st.subheader("Lyapunov exponents over training")
        figure = figures.lyapunov_history(found, theme=theme(), title=False)
        over_steps(figure, found.caption, key="lyapunov_history", choice=choice)


def weights_over_training(run: OpenRun, choice: Choice) -> None:
    found = of(run, analysis.spectrum_history)
    if found.missing is None:
        st.subheader("Recurrent weights over training")
        figure = figures.spectrum_history(found, theme=theme(), title=False)
        over_steps(figure, found.caption, key="spectrum_history", choice=choice)
