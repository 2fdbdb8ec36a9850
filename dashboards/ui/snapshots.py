"""Which snapshot of a run is shown, and which of its columns."""

import streamlit as st

from graddiag import analysis, schema
from ui.pickers import Choice
from ui.results import OpenRun, of
from ui.text import muted


def choose_column(run: OpenRun, choice: Choice) -> str:
    """The picker of the column that units show; where no snapshot was taken, how to take some."""
    steps = of(run, analysis.snapshot_steps, choice.selection)
    if not len(steps):
        muted(
            "No snapshot was taken of this layer: graddiag.watch(..., snapshot_every=100) records its units, the "
            "credit matrix and the spectrum of its recurrent weight at every hundredth step."
        )
        return schema.GRAD_H
    taken = min(map(int, steps), key=lambda step: abs(step - choice.step))
    if taken != choice.step:
        muted(f"The snapshot of step {taken}, the nearest to step {choice.step}.")
    columns = of(run, analysis.snapshot_columns, choice.selection)
    return st.selectbox(
        "Signal of the units", columns, format_func=analysis.snapshot_title, key="units", bind="query-params"
    )
