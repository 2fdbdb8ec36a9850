"""The pictures of one run, or of several on shared scales; Run and Compare show the same."""

from collections.abc import Sequence
from typing import Any, Final

import streamlit as st

from graddiag import analysis, figures
from ui.charts import captioned, theme
from ui.pickers import Choice, choose
from ui.results import OpenRun, of

MAX_CELLS: Final = 60_000


def everything(runs: Sequence[OpenRun]) -> None:
    """Through the sequence first, as far as it was recorded, then the course of the training."""
    choice = choose(runs)
    if choice:
        heatmaps(runs, choice)
        profile(runs, choice)
    norms(runs)
    if any(of(run, analysis.norm_history).source.clipped for run in runs):
        left, right = st.columns(2)
        with left:
            loss(runs)
        with right:
            coefficients(runs)
    else:
        loss(runs)
    if choice:
        left, right = st.columns(2)
        with left:
            gates(runs, choice)
        with right:
            gate_profile(runs, choice)
        reach(runs, choice)


def loss(runs: Sequence[OpenRun]) -> None:
    st.subheader("Loss")
    found = [of(run, analysis.loss_curve) for run in runs]
    captioned(figures.curves(found, theme=theme(), title=False), *_captions(found), key="loss")


def coefficients(runs: Sequence[OpenRun]) -> None:
    st.subheader("Clip coefficient")
    found = [of(run, analysis.norm_history) for run in runs]
    caption = "Norm after clipping / norm before: 1 is a gradient that was left as it was."
    captioned(figures.clip_coefficient(found, theme=theme(), title=False), caption, key="coefficient")


def norms(runs: Sequence[OpenRun]) -> None:
    st.subheader("Gradient norm, before and after clipping")
    found = [of(run, analysis.norm_history) for run in runs]
    captioned(figures.norms(found, theme=theme(), title=False), *_captions(found), key="norms")


def heatmaps(runs: Sequence[OpenRun], choice: Choice) -> None:
    st.subheader("Through the sequence, over training")
    cells = MAX_CELLS // len(runs)
    found = [of(run, analysis.heat, choice.signal, choice.selection, max_cells=cells) for run in runs]
    captioned(figures.heatmap(found, theme=theme(), title=False), *_captions(found), key="heat")


def profile(runs: Sequence[OpenRun], choice: Choice) -> None:
    st.subheader(f"Through the sequence, at step {choice.step}")
    found = [of(run, analysis.profile, choice.step, choice.selection, (choice.signal,)) for run in runs]
    captioned(figures.profile(found, theme=theme(), title=False), *_captions(found), key="profile")


def gates(runs: Sequence[OpenRun], choice: Choice) -> None:
    st.subheader("Gates over training")
    found = [of(run, analysis.gate_history, choice.selection) for run in runs]
    captioned(figures.gates(found, theme=theme(), title=False), *_captions(found), key="gates")


def gate_profile(runs: Sequence[OpenRun], choice: Choice) -> None:
    st.subheader(f"Gates through the sequence, at step {choice.step}")
    found = [of(run, analysis.gate_profile, choice.step, choice.selection) for run in runs]
    captioned(figures.gate_profile(found, theme=theme(), title=False), *_captions(found), key="gate_profile")


def reach(runs: Sequence[OpenRun], choice: Choice) -> None:
    st.subheader("Reach: how far back the gradient carries")
    found = [of(run, analysis.reach, choice.selection) for run in runs]
    captioned(figures.transport(found, theme=theme(), title=False), *_captions(found), key="transport")


def _captions(found: Sequence[Any]) -> tuple[str, ...]:
    return tuple(result.caption for result in found)
