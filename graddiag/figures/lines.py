"""Lines with at most two thousand points, that keep every peak and show what a log axis cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from graddiag.analysis import CellState, Series
from graddiag.figures.theme import PALETTES, Style, Theme

MOST_POINTS: Final = 2000

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PanelPosition:
    """Which panel of a figure to draw in."""

    row: int = 1
    column: int = 1


def decimated(values: NDArray[Any], most: int = MOST_POINTS) -> NDArray[np.int64]:
    """Indices of at most ``most`` of ``values``, ascending: the smallest and the largest finite one of each bucket.

    A bucket without a finite value keeps one index, so that a gap in a line stays a gap.
    """
    count = len(values)
    if count <= most:
        return np.arange(count)
    edges = np.linspace(0, count, max(1, most // 2) + 1).astype(int)
    size = int(np.diff(edges).max())
    at = np.minimum(edges[:-1, None] + np.arange(size), edges[1:, None] - 1)
    block = np.asarray(values, dtype=np.float64)[at]
    low = np.where(np.isfinite(block), block, np.inf).argmin(axis=1)
    high = np.where(np.isfinite(block), block, -np.inf).argmax(axis=1)
    rows = np.arange(len(at))
    return np.unique(np.concatenate([at[rows, low], at[rows, high]]))


def add_line(
    figure: go.Figure,
    x: NDArray[Any],
    y: NDArray[Any],
    style: Style,
    name: str,
    place: PanelPosition | None = None,
    **trace: Any,
) -> None:
    """One line, float32, as SVG; ``trace`` goes to plotly (showlegend, opacity, ...)."""
    place = place or PanelPosition()
    kept = decimated(y)
    alone = np.isfinite(y).sum() == 1
    figure.add_trace(
        go.Scatter(
            x=x[kept],
            y=as_float32(y[kept]),
            name=name,
            mode="lines+markers" if alone else "lines",
            line={"color": style.color, "dash": style.dash, "width": 1.6},
            **{"legendgroup": name, **trace},
        ),
        row=place.row,
        col=place.column,
    )


def add_band(
    figure: go.Figure,
    x: NDArray[Any],
    ends: tuple[NDArray[Any], NDArray[Any]],
    style: Style,
    names: tuple[str, str],
    place: PanelPosition | None = None,
) -> None:
    """A pale band from the lower to the upper of ``ends`` over ``x``, [n] each and all finite; ``names``: its own, not
    shown in the legend, and that of the lines it goes with."""
    place, (low, high), (name, group) = place or PanelPosition(), ends, names
    figure.add_trace(
        go.Scatter(
            x=np.concatenate([x, x[::-1]]),
            y=as_float32(np.concatenate([high, low[::-1]])),
            fill="toself",
            fillcolor=style.color,
            opacity=0.18,
            mode="lines",
            line={"width": 0},
            name=name,
            legendgroup=group,
            showlegend=False,
            hoverinfo="skip",
        ),
        row=place.row,
        col=place.column,
    )


def add_nonfinite_markers(
    figure: go.Figure,
    lines: Sequence[tuple[NDArray[Any], Series]],
    theme: Theme,
    *,
    log: bool,
    place: PanelPosition | None = None,
    names: Sequence[str] = (),
) -> None:
    """Marks for what the lines (x and series) of one panel cannot show: NaN and inf at the top of them all, each with a
    distinct sign, and on a log axis exact zeros at their bottom; ``names`` say whose each line is, as markup."""
    place = place or PanelPosition()
    shown = np.concatenate([s.values[np.isfinite(s.values) & (not log or s.values > 0)] for _, s in lines])
    top, bottom = (float(shown.max()), float(shown.min())) if len(shown) else (1.0, 1.0)
    palette = PALETTES[theme]
    for (x, series), name in zip(lines, names or [""] * len(lines), strict=True):
        for state, symbol, color, height in (
            (CellState.NAN, "x", palette.nan, top),
            (CellState.INF, "triangle-up", palette.inf, top),
            (CellState.ZERO, "triangle-down-open", palette.text, bottom),
        ):
            if log or state is not CellState.ZERO:
                _add_marks(figure, x[series.states == state], height, state, symbol, color, name, place)


def add_entry(figure: go.Figure, words: str, **look: Any) -> None:
    """What a sign (``marker``) or a line (``line``) means, in the legend alone; drawn as it is in the figure."""
    mode = "markers" if "marker" in look else "lines"
    figure.add_trace(go.Scatter(x=[None], y=[None], mode=mode, name=words, hoverinfo="skip", **look))


def add_band_entry(figure: go.Figure, words: str, theme: Theme) -> None:
    """What the bands of a figure reach from and to, in the legend alone: of no colour of an arm."""
    marker = {"symbol": "square", "color": PALETTES[theme].muted, "opacity": 0.35, "size": 11}
    add_entry(figure, words, marker=marker)


def positive(values: NDArray[Any]) -> NDArray[Any]:
    """``values`` for a log axis: NaN where they are not above 0."""
    return np.where(values > 0, values, np.nan)


def as_float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """float32; what is too small or too large for it stays as the nearest number it can hold."""
    limits = np.finfo(np.float32)
    size = np.clip(np.abs(values), float(limits.smallest_subnormal), float(limits.max))
    return np.asarray(np.where(values == 0, 0.0, np.copysign(size, values)), dtype=np.float32)


def _add_marks(
    figure: go.Figure,
    x: NDArray[Any],
    height: float,
    state: CellState,
    symbol: str,
    color: str,
    whose: str,
    place: PanelPosition,
) -> None:
    if not len(x):
        return
    kept = x[np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS // 4)).astype(int))]
    name = state.words
    seen = any(trace.name == name for trace in figure.data)
    figure.add_trace(
        go.Scatter(
            x=kept,
            y=np.full(len(kept), height),
            name=name,
            legendgroup=name,
            showlegend=not seen,
            mode="markers",
            marker={"symbol": symbol, "color": color, "size": 7},
            hovertemplate=f"%{{x}}: {name}<extra>{whose}</extra>",
        ),
        row=place.row,
        col=place.column,
    )
