"""The pickers of layer, signal, step and zoom, each kept in the address so that a view is a link."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from graddiag import analysis, schema
from graddiag.analysis import Selection
from graddiag.figures import LineOptions
from graddiag.figures.heat_scale import HeatScale
from graddiag.figures.line_options import Along, AxisScale
from ui.results import OpenRun, of, of_all
from ui.text import as_label, muted

Span = tuple[int, int]

_STEP, _STEPS, _TIMESTEPS = "step", "steps", "timesteps"
_SIGNAL, _REDUCE, _POINTING, _SCALE = "signal", "cells", "pointing", "scale"
_SMOOTHING, _AXIS, _ALONG = "smoothing", "axis", "along"
_CLICK, _BOX = "click to select a step", "drag to zoom"
_CELLS: Final = {"max": "max", "geomean": "log-mean"}
_SCALES: Final[dict[HeatScale, str]] = {
    "robust": "without extremes",
    "full": "lowest to highest",
    "own": "own for each run",
}

_AXES: Final[dict[AxisScale, str]] = {"usual": "as usual", "linear": "linear", "log": "logarithmic"}
_ALONG_X: Final[dict[Along, str]] = {"step": "steps", "time": "time", "samples": "samples"}
_ALONG_HELP: Final = (
    "Time: since the run began, by the clock of the training process. Samples: sequences trained on, the sum of the "
    "batch sizes of all steps. The batch size of a step is that of its first call of a recurrent layer."
)


@dataclass(frozen=True)
class Choice:
    """Which layer, the step at which to cut through, and the part of training to look at: first and last step, None
    for all of it."""

    selection: Selection
    step: int
    steps: Span | None = None


@dataclass(frozen=True)
class Closer:
    """How heatmaps show a choice: the signal; what a cell shows of many numbers; the colour scale; the part of the
    sequence, None for all of it; and whether boxes are drawn in them."""

    signal: str
    reduce: Any = "max"
    scale: HeatScale = "robust"
    timesteps: Span | None = None
    boxes: bool = False


def measured_layers(runs: Sequence[OpenRun]) -> list[Selection]:
    """The layers of which all of the runs recorded timesteps, and any of them a number."""
    return [one for one in of_all(runs, analysis.common_selections) if _measured(runs, one)]


def choose(runs: Sequence[OpenRun], layers: Sequence[Selection], *, of_a_layer: bool) -> Choice | None:
    """The pickers of every section; that of the layer is there where pictures are of one, and in every section where
    there are several: the heatmap at the top is of one. None, and a sentence why, where there are no layers: nothing
    was recorded per timestep in all runs."""
    if not layers:
        muted(_nothing(runs))
        return None
    # the one that may be away comes last: a slider that changes its column loses its part of the address
    middle, right, last = st.columns([4, 3, 4])
    selection = layers[0]
    if of_a_layer or len(layers) > 1:
        with last:
            selection = _layer(layers)
    ends = [end for run in runs for end in _ends(of(run, analysis.recorded_steps, selection))]
    with middle:
        step = _step(min(ends), max(ends))
    logged = [*ends, *(end for run in runs for end in _ends(of(run, analysis.norm_history).steps))]
    with right:
        steps = _span("Zoom, training", _STEPS, min(logged), max(logged))
    return Choice(selection, step, steps)


def offer_steps(runs: Sequence[OpenRun]) -> None:
    """Buttons that lead to the largest norm, among the steps of ``choose``, and out of a zoom."""
    _to_peak(runs, *st.session_state[f"{_STEP}-ends"])
    if _zoomed(_STEPS) or _zoomed(_TIMESTEPS):
        st.button("Reset zoom", icon=":material/zoom_out_map:", on_click=_wider)


def closer(runs: Sequence[OpenRun], selection: Selection) -> Closer:
    """The pickers of what heatmaps show, in the order of ``choose``'s."""
    left, middle, right, last = st.columns([4, 2, 3, 3])
    with left:
        signal = _signal(runs, selection)
    with middle:
        reduce = _reduce()
    with right:
        scale = _scale([name for name in _SCALES if name != "own" or len(runs) > 1])
    with last:
        timesteps = _span("Zoom, sequence", _TIMESTEPS, 0, _last_timestep(runs, selection))
    return Closer(signal, reduce, scale, timesteps, _pointing() == _BOX)


def choose_lines(runs: Sequence[OpenRun], steps: Span | None) -> LineOptions:
    """How curves over training are drawn, in a popover: smoothing, the scale of the y axis, what the x axis counts.
    Samples are offered where a run has batch sizes."""
    counted = any(schema.BATCH_SIZE in of(run, analysis.logged_scalars) for run in runs)
    offered = {name: words for name, words in _ALONG_X.items() if counted or name != "samples"}
    if st.session_state.get(_ALONG) not in (None, *offered):
        del st.session_state[_ALONG]  # it was kept from a page of other runs
    with st.popover("Curves", icon=":material/show_chart:", help="Smoothing, axis and time of curves over training"):
        smoothing = st.slider(
            "Smoothing", 0.0, 0.99, value=0.0, step=0.01, key=_SMOOTHING, bind="query-params",
            help="The weight of what came before in an exponential moving average, as in TensorBoard. The values "
            "themselves stay visible, faintly.",
        )  # fmt: skip
        scale = _of("Y axis", _AXES, _AXIS, help="As usual: losses linear, gradient norms logarithmic.")
        along = _of("X axis", offered, _ALONG, help=_ALONG_HELP)
    return LineOptions(smoothing, scale, along, steps=steps)


def _of(label: str, offered: Mapping[Any, str], key: str, help: str) -> Any:
    return st.segmented_control(
        label, list(offered), default=next(iter(offered)), format_func=lambda name: offered[name], required=True,
        key=key, bind="query-params", help=help,
    )  # fmt: skip


def _zoomed(key: str) -> bool:
    return st.session_state.get(key) not in (None, st.session_state.get(f"{key}-ends"))


def take(selection: Any) -> None:
    """What was pointed at in a heatmap: a box becomes what to look at, a click the step to cut through."""
    boxes, points = selection.get("box") or [], selection.get("points") or []
    if boxes:
        _look_at(_STEPS, boxes[0]["x"])
        _look_at(_TIMESTEPS, boxes[0]["y"])
    elif points:
        st.session_state[_STEP] = int(points[0]["x"])


def _look_at(key: str, found: Sequence[float]) -> None:
    """Sets a slider to what a box spans, within what it has."""
    low, high = sorted((found[0], found[-1]))
    first, last = st.session_state.get(f"{key}-ends", (low, high))
    low, high = max(first, round(low)), min(last, round(high))
    if low < high:
        st.session_state[key] = (int(low), int(high))


def _wider() -> None:
    for key in (_STEPS, _TIMESTEPS):
        if f"{key}-ends" in st.session_state:
            st.session_state[key] = st.session_state[f"{key}-ends"]


def _span(label: str, key: str, first: int, last: int) -> Span | None:
    """The part of first to last that is asked for; None for all of it."""
    _follow(key, (first, last), (first, last))
    if first >= last:
        return None
    found = st.slider(label, first, last, value=(first, last), key=key, bind="query-params")
    return None if tuple(found) == (first, last) else (int(found[0]), int(found[1]))


def _reduce() -> str:
    return st.selectbox(
        "Cell aggregation",
        list(_CELLS),
        format_func=lambda name: _CELLS[name],
        key=_REDUCE,
        bind="query-params",
        help="For heatmaps with more numbers than pixels. Max keeps every peak. Log-mean shows the typical size, and "
        "the maximum where it is more than 10 times as large.",
    )


def _scale(offered: Sequence[HeatScale]) -> HeatScale:
    if st.session_state.get(_SCALE) not in (None, *offered):
        del st.session_state[_SCALE]  # it was kept from a page of several runs
    return st.selectbox(
        "Colour scale",
        offered,
        format_func=lambda name: _SCALES[name],
        key=_SCALE,
        bind="query-params",
        help="Without extremes: from percentile 1 to 99 where a few cells would stretch the scale by half or "
        "more; a triangle marks each cell beyond it. The scale is one for all runs, or such a one for each.",
    )


def _measured(runs: Sequence[OpenRun], selection: Selection) -> tuple[str, ...]:
    """The signals of which any of the runs has a number."""
    return tuple(dict.fromkeys(name for run in runs for name in of(run, analysis.signals, selection)))


def _nothing(runs: Sequence[OpenRun]) -> str:
    if len(runs) == 1:
        return "No timesteps were recorded in this run yet, only scalars per step."
    return "These runs have no layer in common for which timesteps were recorded."


def _layer(layers: Sequence[Selection]) -> Selection:
    return st.selectbox(
        "Layer", layers, format_func=lambda selection: selection.label, key="layer", bind="query-params"
    )


def _signal(runs: Sequence[OpenRun], selection: Selection) -> str:
    found = _measured(runs, selection)
    if st.session_state.get(_SIGNAL) not in (None, *found):
        del st.session_state[_SIGNAL]  # it was kept from another layer
    return st.selectbox("Signal", found, format_func=analysis.signal_title, key=_SIGNAL, bind="query-params")


def _step(first: int, last: int) -> int:
    """The recorded step to cut through, from the first to the last that any of the runs has; the last at first."""
    _follow(_STEP, (first, last), last)
    if first == last:
        return first
    return st.slider(
        "Step", first, last, value=last, key=_STEP, bind="query-params", help="The nearest recorded step is shown."
    )


def _follow(key: str, ends: Span, default: Any) -> None:
    """Moves a slider that stands where it stood at first along with a run that grows; one that was moved stays."""
    before = st.session_state.get(f"{key}-at-first")
    if before not in (None, default) and st.session_state.get(key) == before:
        st.session_state[key] = default
    st.session_state[f"{key}-at-first"], st.session_state[f"{key}-ends"] = default, ends


def _pointing() -> str:
    """What pointing at a heatmap does: a browser tells a page either of clicks or of boxes."""
    return st.segmented_control(
        "Pointer in heatmaps", [_CLICK, _BOX], default=_CLICK, required=True, key=_POINTING, bind="query-params"
    )


def _to_peak(runs: Sequence[OpenRun], first: int, last: int) -> None:
    """A button that selects the step of the largest gradient norm before clipping, of all runs."""
    found = [of(run, analysis.clip_statistics) for run in runs]
    known = [(one.norm_max, one.norm_max_step, one.source) for one in found if one.norm_max_step is not None]
    if not known:
        return
    _, step, source = max(known, key=lambda each: each[0] or 0.0)
    whose = f" ({source.arm_label})" if len(runs) > 1 else ""
    if first <= step <= last:
        words = f"Go to the largest gradient norm, step {step}{whose}"
        st.button(as_label(words), icon=":material/north_east:", on_click=_go, args=(step,))


def _go(step: int) -> None:
    st.session_state[_STEP] = step


def _last_timestep(runs: Sequence[OpenRun], selection: Selection) -> int:
    """Of the longest sequence at the first and last recorded step; others are in the picture of all of it."""
    steps = [(run, end) for run in runs for end in _ends(of(run, analysis.recorded_steps, selection))]
    found = [of(run, analysis.profile, end, selection).timesteps for run, end in steps]
    return max((int(timesteps[-1]) for timesteps in found if len(timesteps)), default=0)


def _ends(steps: Any) -> tuple[int, ...]:
    return (int(steps[0]), int(steps[-1])) if len(steps) else ()
