"""What clipping was to the runs, and what other thresholds would have been."""

from collections.abc import Sequence

import streamlit as st

from graddiag import analysis, figures
from ui.charts import captioned
from ui.daylight import theme
from ui.pickers import Choice
from ui.results import OpenRun, of
from ui.text import muted
from ui.zoom import over_steps


def section(runs: Sequence[OpenRun], choice: Choice | None) -> None:
    """The role of the policy in words, the what-if of every threshold, and the learning rate that clipping left."""
    st.subheader("Clipping: what each threshold would have done")
    statistics = [of(run, analysis.clip_statistics) for run in runs]
    turned = [of(run, analysis.direction_change) for run in runs]
    for clip, direction in zip(statistics, turned, strict=True):
        if clip.role is not None:
            kept = f" Direction: {direction.told.found['']}." if clip.clipped_steps and not len(direction.steps) else ""
            muted(f"{clip.source.label}: {clip.role_sentence}{kept}")
    recommended = [of(run, analysis.recommended_thresholds) for run in runs]
    found = [of(run, analysis.what_if) for run in runs]
    figure = figures.what_if(found, recommended[0], theme=theme(), title=False)
    captioned(figure, *analysis.captions(recommended), key="what_if")
    if any(clip.clipped_steps for clip in statistics):
        effective_lr(runs, choice)
    directions(runs, choice)
    looked_at(runs, choice)


def directions(runs: Sequence[OpenRun], choice: Choice | None) -> None:
    """How far clipping turned the gradient, where it clipped any."""
    found = [each for run in runs if len((each := of(run, analysis.direction_change)).steps)]
    if found:
        st.subheader("Direction of the gradient after clipping")
        captions = analysis.captions(found)
        over_steps(figures.direction(found, theme=theme(), title=False), *captions, key="direction", choice=choice)


def effective_lr(runs: Sequence[OpenRun], choice: Choice | None) -> None:
    st.subheader("Effective learning rate")
    found = [of(run, analysis.effective_lr) for run in runs]
    captions = analysis.captions(found)
    over_steps(figures.effective_lr(found, theme=theme(), title=False), *captions, key="effective_lr", choice=choice)


def looked_at(runs: Sequence[OpenRun], choice: Choice | None) -> None:
    """Which steps clipping saved and which it slowed, where thresholds were tried on any."""
    found = [of(run, analysis.counterfactual) for run in runs]
    if any(each.missing is None for each in found):
        st.subheader("Whether clipping saved a step")
        figure = figures.counterfactual(found, choice.step if choice else None, theme=theme(), title=False)
        over_steps(figure, *analysis.captions(found), key="counterfactual", choice=choice)
