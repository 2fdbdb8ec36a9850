"""Whatever else can be wrong: findings in order of time, updates, noise, depth, zeros, the edge of stability."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import streamlit as st

from graddiag import analysis, figures
from ui.charts import captioned
from ui.daylight import theme
from ui.pickers import Choice
from ui.results import OpenRun, of
from ui.text import heading, muted
from ui.zoom import over_steps

STORY: Final = (
    "Each row is a finding, from the step at which it begins to the last one that bears witness to it; what began "
    "earlier may be the cause of what began later."
)


def section(runs: Sequence[OpenRun], choice: Choice | None) -> None:
    """What was recorded of these; where it was nothing, what to record."""
    shown = [
        story(runs, choice),
        over_training(runs, choice, "Size of the updates", analysis.updates, figures.updates),
        over_training(runs, choice, "Noise of the gradient", analysis.gradient_noise, figures.noise),
        over_training(runs, choice, "Edge of stability", analysis.edge_of_stability, figures.stability),
        depths(runs, choice),
        zeros(runs),
    ]
    if not any(shown):
        muted(
            "No finding has a step of its own, and no updates, noise or depth are known: "
            "graddiag.watch(model, optimizer) records them over more steps."
        )


def story(runs: Sequence[OpenRun], choice: Choice | None) -> bool:
    found = [of(run, analysis.diagnose) for run in runs]
    timed = [each for each in found if any(finding.onset is not None for finding in each.findings)]
    if timed:
        st.subheader("Findings in order of time")
        over_steps(figures.story(timed, theme=theme(), title=False), STORY, key="story", choice=choice)
    return bool(timed)


def over_training(
    runs: Sequence[OpenRun],
    choice: Choice | None,
    head: str,
    analyse: Callable[..., Any],
    draw: Callable[..., Any],
) -> bool:
    """One picture of all runs, where at least one has it; says whether."""
    found = [of(run, analyse) for run in runs]
    known = [each for each in found if each.missing is None]
    if known:
        st.subheader(head)
        captions = analysis.captions(known)
        over_steps(draw(found, theme=theme(), title=False), *captions, key=analyse.__name__, choice=choice)
    return bool(known)


def depths(runs: Sequence[OpenRun], choice: Choice | None) -> bool:
    """The gradient from layer to layer, of the runs that have several: two side by side."""
    deep = [run for run in runs if (found := of(run, analysis.depth)).missing is None and len(found.layers) > 1]
    if not deep:
        return False
    st.subheader("Gradient across depth")
    for first in range(0, len(deep), 2):
        pair = deep[first : first + 2]
        for run, place in zip(pair, st.columns(len(pair)), strict=True):
            with place:
                depth(run, choice, named=len(runs) > 1)
    return True


def depth(run: OpenRun, choice: Choice | None, *, named: bool) -> None:
    found = of(run, analysis.depth)
    if named:
        heading(found.source.label, level=3)
    over_steps(figures.depth(found, theme=theme(), title=False), found.caption, key=f"depth-{run.link}", choice=choice)


def zeros(runs: Sequence[OpenRun]) -> bool:
    """Exact zeros of the gradient, of the runs that have any."""
    known = [of(run, analysis.numerics) for run in runs]
    found = [each for each in known if any(zero.largest > 0 for zero in each.zeros)]
    if found:
        st.subheader("Exact zeros in the gradient")
        captioned(figures.numerics(found, theme=theme(), title=False), *analysis.captions(found), key="zeros")
    return bool(found)
