"""What to look at: layer, signal and step, each kept in the address so that a view is a link."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from graddiag import analysis
from graddiag.analysis import Selection
from ui.results import OpenRun, of, of_all
from ui.text import muted

_STEP: Final = "step"


@dataclass(frozen=True)
class Choice:
    """Which layer, which signal of it, and the step at which to cut through."""

    selection: Selection
    signal: str
    step: int


def choose(runs: Sequence[OpenRun]) -> Choice | None:
    """One row of pickers; None, and a sentence why, where nothing was recorded per timestep in all of the runs."""
    layers = [one for one in of_all(runs, analysis.common_selections) if _measured(runs, one)]
    if not layers:
        muted(_nothing(runs))
        return None
    left, middle, right = st.columns([2, 3, 3])
    with left:
        selection = _layer(layers)
    with middle:
        signal = _signal(runs, selection)
    with right:
        step = _step(runs, selection)
    return Choice(selection, signal, step)


def _measured(runs: Sequence[OpenRun], selection: Selection) -> tuple[str, ...]:
    """The signals of which any of the runs has a number."""
    return tuple(dict.fromkeys(name for run in runs for name in of(run, analysis.signals, selection)))


def _nothing(runs: Sequence[OpenRun]) -> str:
    if len(runs) == 1:
        return "Nothing was recorded per timestep in this run yet. It holds the scalars of each step alone."
    return "These runs have no layer in common in which timesteps were recorded: there is nothing to set side by side."


def _layer(layers: Sequence[Selection]) -> Selection:
    return st.selectbox(
        "Layer", layers, format_func=lambda selection: selection.label, key="layer", bind="query-params"
    )


def _signal(runs: Sequence[OpenRun], selection: Selection) -> str:
    found = _measured(runs, selection)
    return st.selectbox("Signal", found, format_func=analysis.signal_title, key="signal", bind="query-params")


def _step(runs: Sequence[OpenRun], selection: Selection) -> int:
    """The recorded step to cut through, from the first to the last that any of the runs has; the last at first."""
    ends = [end for run in runs for end in _ends(of(run, analysis.recorded_steps, selection))]
    first, last = min(ends), max(ends)
    if first == last:
        return first
    step = st.slider(
        "Step", first, last, value=last, key=_STEP, bind="query-params", help="The nearest recorded step is shown."
    )
    peak = _peak(runs)
    if peak is not None and first <= peak <= last:
        st.button(f"Go to the largest norm, step {peak}", type="tertiary", on_click=_go, args=(peak,))
    return step


def _peak(runs: Sequence[OpenRun]) -> int | None:
    """The step of the largest gradient norm before clipping, of all runs; None where no norm was recorded."""
    found = [of(run, analysis.clip_statistics) for run in runs]
    known = [(one.norm_max, one.norm_max_step) for one in found if one.norm_max is not None]
    return max(known)[1] if known else None


def _go(step: int) -> None:
    st.session_state[_STEP] = step


def _ends(steps: Any) -> tuple[int, ...]:
    return (int(steps[0]), int(steps[-1])) if len(steps) else ()
