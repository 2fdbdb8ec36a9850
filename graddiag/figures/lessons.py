"""The line figures of the Learn pages: a lesson's result in, a figure out."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import Series
from graddiag.figures.frame import BODY, dressed, log_axis, panels
from graddiag.figures.lines import Ints, add_line, add_oddities, as_float32, positive
from graddiag.figures.theme import PALETTES, Style, Theme
from graddiag.lessons.values import Decay, Escape, Kept, Powers, Section, Slopes

_SOLID, _DOTTED, _DASHED = "solid", "2px,3px", "8px,3px"
_NAMED: Final = ("cross-entropy", "squared error")
_SHARE: Final = "share of the last timestep's norm, L2"


def decay(result: Decay, *, theme: Theme = "light") -> go.Figure:
    """||dL/dh_t|| over timesteps as it is, as the gain alone foretells, and the bound; 1 at the last, log scale."""
    arms, muted = PALETTES[theme].arms, PALETTES[theme].muted
    styles = (Style(arms[1], _SOLID), Style(arms[0], _DASHED), Style(muted, _DOTTED))
    lines = (result.norms, result.theory, result.bound)
    return _lines(result.timesteps, lines, styles, theme, axes=("timestep t", _SHARE))


def slopes_through_time(result: Decay, *, theme: Theme = "light") -> go.Figure:
    """The mean of phi' over units at each timestep: 1 passes everything on, 0 nothing."""
    style = Style(PALETTES[theme].arms[1], _SOLID)
    figure = _lines(result.timesteps, (result.slope,), (style,), theme, axes=("timestep t", "mean φ'(a)"), log=False)
    figure.update_yaxes(range=[-0.02, 1.05])
    return figure


def powers(result: Powers, *, theme: Theme = "light") -> go.Figure:
    """||W^k|| over k beside the k-th power of the spectral radius; log scale, with the line at 1."""
    arms = PALETTES[theme].arms
    styles = (Style(arms[1], _SOLID), Style(arms[0], _DASHED))
    figure = _lines(result.k, (result.norms, result.radius), styles, theme, axes=("k, steps back", "factor"))
    figure.add_hline(y=1, line={"color": PALETTES[theme].muted, "width": 1, "dash": "dot"})
    return figure


def kept(result: Kept, *, theme: Theme = "light") -> go.Figure:
    """What arrives of the last timestep's gradient, for each cell, beside the power of the gate; log scale.

    The first line is wide and pale: where others lie on it, all of them are still seen.
    """
    arms, text = PALETTES[theme].arms, PALETTES[theme].text
    styles = (Style(arms[1], _SOLID), Style(arms[2], _DASHED), Style(arms[0], _SOLID), Style(text, "2px,5px"))
    figure = _lines(result.timesteps, (*result.lines, result.theory), styles, theme, axes=("timestep t", _SHARE))
    figure.update_traces(line_width=5, opacity=0.5, selector=0)
    return figure


def section(result: Section, *, theme: Theme = "light") -> go.Figure:
    """The error and the norm of its gradient along b, through the chosen w; log scale."""
    arms = PALETTES[theme].arms
    styles = (Style(arms[1], _SOLID), Style(arms[0], _DASHED))
    return _lines(result.b, (result.error, result.grad_norm), styles, theme, axes=("b", "error, and norm of ∇E"))


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
    figure.update_xaxes(title_text="z, what goes into the sigmoid")
    figure.update_yaxes(title_text="dC/dz")
    return dressed(figure, theme, title=None, body=BODY)


def escape(result: Escape, *, theme: Theme = "light") -> go.Figure:
    """p over the steps of gradient descent under both losses; linear scale from 0 to 1."""
    lines = tuple(result.p[name] for name in _NAMED)
    figure = _lines(result.steps, lines, _two(theme), theme, axes=("step", "p; the target is 1"), log=False)
    figure.update_yaxes(range=[-0.02, 1.02])
    return figure


def _two(theme: Theme) -> tuple[Style, Style]:
    arms = PALETTES[theme].arms
    return Style(arms[1], _SOLID), Style(arms[0], _DASHED)


def _lines(
    x: np.ndarray,
    lines: Sequence[Series],
    styles: Sequence[Style],
    theme: Theme,
    *,
    axes: tuple[str, str],
    log: bool = True,
) -> go.Figure:
    """One panel with a line for each series; ``axes`` are the titles of x and y."""
    figure = panels(1, 1)
    for line, style in zip(lines, styles, strict=True):
        y = positive(line.values) if log else line.values
        add_line(figure, as_float32(x), y, style, line.title, hovertemplate="%{x:.4g}: %{y:.4g}")
    add_oddities(figure, [(_as_places(x), line) for line in lines], theme, log=log)
    found = np.concatenate([line.values[line.values > 0] for line in lines])
    figure.update_xaxes(title_text=axes[0])
    figure.update_yaxes(title_text=axes[1], **(log_axis([found.min(), found.max()]) if log and len(found) else {}))
    return dressed(figure, theme, title=None, body=BODY, legend=len(lines) > 1)


def _as_places(x: np.ndarray) -> Ints:
    return x
