"""A plain chart: curves, points and bands over one pair of axes, for what has no other figure."""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from graddiag.figures.frame import BODY, apply_layout, log_axis, panels, set_xaxes, set_yaxes
from graddiag.figures.lines import as_float32, decimated, positive
from graddiag.figures.theme import PALETTES, Palette, Style, Theme, safe

Mode = Literal["lines", "markers", "lines+markers", "text"]
_OPACITY: Final = 0.18


@dataclass(frozen=True)
class Curve:
    """A line or points: name in the legend, x and y [n], and how they are drawn.

    Attributes:
        texts: a word at each point, [n]; with mode text they are what is drawn.
        low, high: ends of an interval at each point, [n].
        color: place among the colours of the theme; by default its own place among the curves.
        dashed: for what is said rather than measured: a theory, a bound.
    """

    name: str
    x: ArrayLike
    y: ArrayLike
    mode: Mode = "lines"
    texts: tuple[str, ...] = ()
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    color: int | None = None
    dashed: bool = False


@dataclass(frozen=True)
class Axis:
    """What an axis measures, with its unit, and whether it is a log axis."""

    title: str
    log: bool = False
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Chart:
    """Curves over one pair of axes; ``levels`` are y values to mark, each with its words; ``body`` is the height of the
    panel in pixels."""

    x: Axis
    y: Axis
    curves: tuple[Curve, ...]
    levels: tuple[tuple[float, str], ...] = ()
    body: int = BODY

    def to_frame(self) -> pd.DataFrame:
        """A row a point of a curve, with the ends of its interval where it has one."""
        parts = []
        for curve in self.curves:
            ends = {"low": curve.low, "high": curve.high}
            known = {name: _numbers(each) for name, each in ends.items() if each is not None}
            points = {"curve": curve.name, self.x.title: curve.x, self.y.title: curve.y, **known}
            parts.append(pd.DataFrame({**points, **({"text": curve.texts} if curve.texts else {})}))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def chart(result: Chart, *, theme: Theme = "light") -> go.Figure:
    """The chart. On a log axis what is not above 0 is left out."""
    figure, palette = panels(1, 1), PALETTES[theme]
    for place, curve in enumerate(result.curves):
        style = _style(curve, place, palette)
        if curve.low is not None and curve.high is not None:
            figure.add_trace(_band(result, curve, style))
        figure.add_trace(_trace(result, curve, style))
    for height, words in result.levels:
        figure.add_hline(y=height, line={"color": palette.muted, "width": 1, "dash": "dot"})
        figure.add_annotation(
            x=1, xref="paper", y=np.log10(height) if result.y.log else height, text=safe(words), showarrow=False,
            xanchor="right", yanchor="bottom",
        )  # fmt: skip
    set_xaxes(figure, title_text=safe(result.x.title), **_axis(result.x, [curve.x for curve in result.curves]))
    set_yaxes(figure, title_text=safe(result.y.title), **_axis(result.y, _heights(result)))
    return apply_layout(figure, theme, title=None, body=result.body, legend=len(result.curves) > 1)


def _style(curve: Curve, place: int, palette: Palette) -> Style:
    colors = palette.arms
    return Style(
        colors[(place if curve.color is None else curve.color) % len(colors)], "dash" if curve.dashed else "solid"
    )


def _trace(result: Chart, curve: Curve, style: Style) -> go.Scatter:
    x, y = _numbers(curve.x), _numbers(curve.y)
    y = positive(y) if result.y.log else y
    kept = decimated(y) if curve.mode == "lines" else np.arange(len(y))
    return go.Scatter(
        x=x[kept],
        y=as_float32(y[kept]),
        name=safe(curve.name),
        legendgroup=safe(curve.name),
        mode=curve.mode,
        text=[safe(text) for text in curve.texts] or None,
        line={"color": style.color, "dash": style.dash, "width": 1.6},
        marker={"color": style.color, "size": 7},
        textfont={"color": style.color},
        hovertemplate=("%{text}: " if curve.texts else "") + "%{x:.4g}, %{y:.4g}",
    )


def _band(result: Chart, curve: Curve, style: Style) -> go.Scatter:
    assert curve.low is not None
    assert curve.high is not None
    x, low, high = _numbers(curve.x), _numbers(curve.low), _numbers(curve.high)
    edge = np.concatenate([low, high[::-1]])
    return go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=as_float32(positive(edge) if result.y.log else edge),
        mode="lines",  # plotly adds markers to a few points
        fill="toself",
        fillcolor=style.color,
        opacity=_OPACITY,
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        legendgroup=safe(curve.name),
    )


def _heights(result: Chart) -> list[Any]:
    ends = [end for curve in result.curves for end in (curve.low, curve.high) if end is not None]
    return [*(curve.y for curve in result.curves), *ends, [height for height, _ in result.levels]]


def _axis(axis: Axis, values: list[Any]) -> dict[str, Any]:
    limits = {"range": list(np.log10(axis.limits)) if axis.log else list(axis.limits)} if axis.limits else {}
    if not axis.log:
        return limits
    found = np.concatenate([_numbers(each) for each in values]) if values else np.array([])
    found = found[np.isfinite(found) & (found > 0)]
    return {**(log_axis([found.min(), found.max()]) if len(found) else {"type": "log"}), **limits}


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
