"""What answers at a glance: loss and gradient norm over training, and the gradient by step and timestep beside them."""

from collections.abc import Sequence
from typing import Any, Final

import streamlit as st

from graddiag import figures
from graddiag.views import Plot, ViewContext, view
from ui.charts import titled
from ui.pickers import take
from ui.pictures import SectionChoice, over_training
from ui.results import OpenRun, ask
from ui.text import muted
from ui.theme import theme

HEIGHT: Final = 345  # pixels of each picture: with what is above them they fit a screen of 900
CELLS: Final = 24_000
ABREAST: Final = 2  # runs whose heatmaps leave room for their curves beside them


def at_a_glance(chosen: SectionChoice, curved: Sequence[OpenRun] | None = None) -> None:
    """Curves and heatmaps of the chosen runs, side by side; those of many runs below each other. ``curved``: the runs
    whose curves are shown, where those are more."""
    runs = chosen.runs
    if len(runs) <= ABREAST:
        left, right = st.columns(2)
    else:
        left, right = st.container(), st.container()
    with left:
        show_curves(curved or runs, chosen)
    with right:
        show_heatmaps(runs, chosen, HEIGHT if len(runs) <= ABREAST else None)


def show_curves(runs: Sequence[OpenRun], chosen: SectionChoice) -> None:
    """Loss and gradient norm of each run over the steps."""
    for plot in view("course").plots(runs, ViewContext(lines=chosen.lines), ask):
        figure = over_training(plot.figure(theme=theme()), chosen.choice)
        _titled(plot, figure, HEIGHT)


def show_heatmaps(runs: Sequence[OpenRun], chosen: SectionChoice, height: int | None) -> None:
    """The gradient of the chosen layer by step and timestep, which a click takes a step of."""
    choice = chosen.choice
    if choice is None:
        muted("No timesteps were recorded, only scalars per step.")
        return
    context = ViewContext(choice.selection, max_cells=CELLS // len(runs), steps=choice.steps)
    for plot in view("heat").plots(runs, context, ask):
        figure = plot.figure(theme=theme())
        if figure.data:
            steps = max((each.steps for each in plot.results), key=len)
            figures.pickable(figure, steps, choice.step, theme=theme())
        _titled(plot, figure, height, pick=True)


def _titled(plot: Plot, figure: Any, height: int | None, *, pick: bool = False) -> None:
    if height and figure.data:
        figure.update_layout(height=height)
    key = f"glance-{plot.view.key}"
    titled(figure, plot.view.title, *plot.captions, key=key, csv=plot.csv, take=take if pick else None)
