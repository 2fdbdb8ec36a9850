"""The line figures of the Learn pages: a lesson's result in, a figure out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import Series
from graddiag.figures.frame import BODY, PANEL, apply_layout, log_axis, panels, set_layout, set_xaxes, set_yaxes
from graddiag.figures.lines import Ints, PanelPosition, add_line, add_nonfinite_markers, as_float32, positive
from graddiag.figures.theme import PALETTES, Style, Theme
from graddiag.lessons.values import Decay, Escape, Kept, Powers, Section, Slopes

_SOLID, _DOTTED, _DASHED = "solid", "2px,3px", "8px,3px"
_NAMED: Final = ("cross-entropy", "squared error")
_SHARE: Final = "share of the last timestep's norm, L2"
_TIMESTEP: Final = "timestep t"
_UPPER: Final = (0.62, 0.38)  # shares of the height of two panels, the upper one first
_BELOW, _ABOVE = 0.3, 1.5  # decades of room around what an axis is made for
_MOST_SIGNS: Final = 14
_RIGHT: Final = 20  # pixels: half of the last tick's number


@dataclass(frozen=True)
class _Panel:
    """Lines over one x: their styles, the title of y, and whether the legend names them."""

    lines: Sequence[Series]
    styles: Sequence[Style]
    title: str
    log: bool = True
    named: bool = True


def decay(result: Decay, *, theme: Theme = "light") -> go.Figure:
    """||dL/dh_t|| over timesteps as it is, as the gain alone predicts, and the bound, 1 at the last, log scale; below
    it the mean of phi' over units at each timestep: 1 passes everything on, 0 nothing."""
    arms, muted = PALETTES[theme].arms, PALETTES[theme].muted
    styles = (Style(arms[1], _SOLID), Style(arms[0], _DASHED), Style(muted, _DOTTED))
    norms = _Panel((result.norms, result.theory, result.bound), styles, _SHARE)
    slope = _Panel((result.slope,), styles[:1], "mean φ'(a)", log=False, named=False)
    figure = _drawn(result.timesteps, (norms, slope), theme, _TIMESTEP)
    set_yaxes(figure, range=[-0.02, 1.05], row=2)
    return figure


def powers(result: Powers, *, theme: Theme = "light") -> go.Figure:
    """||W^k|| over k beside the k-th powers of the spectral radius and of the largest singular value; log scale, with
    the line at 1. The axis fits the first two: the last leaves it where it goes beyond them."""
    arms, muted = PALETTES[theme].arms, PALETTES[theme].muted
    styles = (Style(arms[1], _SOLID), Style(arms[0], _DASHED))
    found = (result.norms, result.radius)
    figure = _drawn(result.k, (_Panel(found, styles, "‖W^k‖"),), theme, "k, steps back")
    bound = Style(muted, _DOTTED)
    add_line(figure, result.k, result.bound.values, bound, result.bound.title, hovertemplate="%{x}: %{y:.4g}")
    ends = np.log10([min(line.values.min() for line in found), max(line.values.max() for line in found)])
    set_yaxes(figure, range=[ends[0] - _BELOW, ends[1] + _ABOVE])
    figure.add_hline(y=1, line={"color": muted, "width": 1}, layer="below")
    return apply_layout(figure, theme, title=None, body=BODY)


def kept(result: Kept, *, theme: Theme = "light") -> go.Figure:
    """What is left of the last timestep's gradient, for each cell, beside the power of the gate; log scale.

    The first line is wide and pale and the power of the gate is a row of circles: where others lie on them, all of them
    are still seen.
    """
    arms, text = PALETTES[theme].arms, PALETTES[theme].text
    styles = (Style(arms[1], _SOLID), Style(arms[2], _DASHED), Style(arms[0], _SOLID), Style(text, _SOLID))
    panel = _Panel((*result.lines, result.theory), styles, _SHARE)
    figure = _drawn(result.timesteps, (panel,), theme, _TIMESTEP)
    figure.update_traces(line_width=7, opacity=0.4, selector=0)
    figure.update_traces(line_width=2.2, selector=1)
    circles = {"symbol": "circle-open", "size": 10, "color": text, "maxdisplayed": _MOST_SIGNS}
    figure.update_traces(mode="markers", marker=circles, cliponaxis=False, selector={"name": result.theory.title})
    set_xaxes(figure, range=[-0.5, len(result.timesteps) - 0.5])
    return figure


def section(result: Section, *, theme: Theme = "light") -> go.Figure:
    """The error along b through the chosen w, linear scale; below it the norm of its gradient, log scale."""
    style = (Style(PALETTES[theme].arms[1], _SOLID),)
    error = _Panel((result.error,), style, result.error.title, log=False)
    return _drawn(result.b, (error, _Panel((result.grad_norm,), style, result.grad_norm.title)), theme, "b, bias")


def slopes(result: Slopes, *, theme: Theme = "light") -> go.Figure:
    """dC/dz against z under both losses, with the chosen z marked; linear scale."""
    figure = panels(1, 1)
    chosen = (result.chosen.cross_entropy_slope, result.chosen.squared_error_slope)
    for name, y, at, style in zip(
        _NAMED, (result.cross_entropy, result.squared_error), chosen, _two(theme), strict=True
    ):
        add_line(figure, result.z, y, style, name, hovertemplate="z = %{x:.2f}: %{y:.4g}")
        mark = {"color": style.color, "size": 9}
        figure.add_trace(
            go.Scatter(x=[result.chosen.z], y=[at], mode="markers", marker=mark, name=name, showlegend=False)
        )
    set_xaxes(figure, title_text="z, what goes into the sigmoid")
    set_yaxes(figure, title_text="dC/dz")
    return apply_layout(figure, theme, title=None, body=BODY)


def escape(result: Escape, *, theme: Theme = "light") -> go.Figure:
    """p over the steps of gradient descent under both losses; linear scale from 0 to 1."""
    lines = tuple(result.p[name] for name in _NAMED)
    panel = _Panel(lines, _two(theme), "p; the target is 1", log=False)
    figure = _drawn(result.steps, (panel,), theme, "step")
    set_yaxes(figure, range=[-0.02, 1.02])
    return figure


def _two(theme: Theme) -> tuple[Style, Style]:
    arms = PALETTES[theme].arms
    return Style(arms[1], _SOLID), Style(arms[0], _DASHED)


def _drawn(x: np.ndarray, several: Sequence[_Panel], theme: Theme, title: str) -> go.Figure:
    """One or two panels above each other over the same ``x``, [n], with the ``title`` below the last."""
    heights = list(_UPPER[: len(several)]) if len(several) > 1 else None
    figure = panels(len(several), 1, shared_xaxes=True, vertical_spacing=0.06, row_heights=heights)
    for row, panel in enumerate(several, start=1):
        _add_panel(figure, x, panel, theme, PanelPosition(row))
    set_xaxes(figure, title_text=title, row=len(several))
    legend = any(panel.named and len(panel.lines) > 1 for panel in several)
    apply_layout(figure, theme, title=None, body=BODY + PANEL * (len(several) - 1), legend=legend)
    return set_layout(figure, margin_r=_RIGHT)


def _add_panel(figure: go.Figure, x: np.ndarray, panel: _Panel, theme: Theme, place: PanelPosition) -> None:
    for line, style in zip(panel.lines, panel.styles, strict=True):
        y = positive(line.values) if panel.log else line.values
        look = {"hovertemplate": "%{x:.4g}: %{y:.4g}", "showlegend": panel.named}
        add_line(figure, as_float32(x), y, style, line.title, place, **look)
    add_nonfinite_markers(figure, [(_as_places(x), line) for line in panel.lines], theme, log=panel.log, place=place)
    found = np.concatenate([line.values[line.values > 0] for line in panel.lines])
    axis = log_axis([found.min(), found.max()]) if panel.log and len(found) else {}
    set_yaxes(figure, title_text=panel.title, row=place.row, **axis)


def _as_places(x: np.ndarray) -> Ints:
    return x
