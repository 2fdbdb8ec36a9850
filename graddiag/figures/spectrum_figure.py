"""Recurrent weights by their eigenvalues and singular values, over training too, and Lyapunov exponents."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis.flow.spectra import Lyapunov, SpectrumHistory, WeightBlock, WeightSpectrum
from graddiag.figures.frame import (
    BODY,
    PANEL,
    apply_layout,
    empty_figure,
    index_axis,
    log_axis,
    panels,
    set_layout,
    set_xaxes,
    set_yaxes,
)
from graddiag.figures.lines import (
    MOST_POINTS,
    PanelPosition,
    add_band,
    add_band_entry,
    add_entry,
    add_line,
    as_float32,
    positive,
)
from graddiag.figures.theme import PALETTES, Style, Theme, arm_styles, dash_of, safe

SPECTRUM_TITLE: Final = "Eigenvalues and singular values of the recurrent weights"
SPECTRUM_HISTORY_TITLE: Final = "Recurrent weights over training"

_CIRCLE: Final = np.linspace(0, 2 * np.pi, 181)


def spectrum(
    weights: WeightSpectrum | Sequence[WeightSpectrum],
    exponents: Sequence[Lyapunov] = (),
    *,
    theme: Theme = "light",
    title: bool = True,
) -> go.Figure:
    """Eigenvalues of every gate's block in the complex plane with the unit circle, singular values beside them, and
    the Lyapunov exponents below where there are any."""
    weights = (weights,) if isinstance(weights, WeightSpectrum) else tuple(weights)
    drawn = [each for each in weights if each.missing is None]
    name = SPECTRUM_TITLE if title else None
    if not drawn and not exponents:
        why = next((each.missing for each in weights if each.missing), "There is no finite recurrent weight to draw.")
        return empty_figure(why, theme, title=name)
    heads = ["eigenvalues", "singular values", *(["Lyapunov exponents"] if exponents else [])]
    below = {"specs": [[{}, {}], [{"colspan": 2}, None]], "vertical_spacing": 0.2} if exponents else {}
    figure = panels(2 if exponents else 1, 2, heads, horizontal_spacing=0.2, **below)
    _add_circle(figure, theme)
    sizes = _add_blocks(figure, drawn, theme)
    for place, each in enumerate(exponents):
        _add_exponents(figure, each, _style(place, theme, "4px,4px"), PanelPosition(2))
    set_xaxes(figure, title_text="real part", row=1, col=1)
    set_yaxes(figure, title_text="imaginary part", scaleanchor="x", row=1, col=1)
    set_xaxes(figure, title_text="index", row=1, col=2)
    set_yaxes(figure, title_text="singular value", row=1, col=2, **log_axis(sizes))
    if exponents:
        set_xaxes(figure, title_text="index", row=2, col=1)
        set_yaxes(figure, title_text="nats per timestep", row=2, col=1)
    apply_layout(figure, theme, title=name, body=BODY + 40 + (PANEL if exponents else 0), heads=True, legend=False)
    return _legend_below(figure)


def lyapunov(results: Lyapunov | Sequence[Lyapunov], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """Lyapunov exponents by index, the largest first: the mean over samples, the band from the smallest to the largest
    sample, and thin lines for windows of the sequence."""
    results = (results,) if isinstance(results, Lyapunov) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    name = "Lyapunov exponents" if title else None
    if not drawn:
        why = next((each.missing for each in results if each.missing), "There is no exponent to draw.")
        return empty_figure(why, theme, title=name)
    figure = panels(1, 1)
    for place, each in enumerate(drawn):
        style = _style(place, theme)
        for number, window in enumerate(each.windows, start=1):
            thin = f"%{{x}}: %{{y:.3g}}<extra>window {number} of {len(each.windows)}</extra>"
            y = np.where(np.isfinite(window), window, np.nan)
            add_line(
                figure, _index(y), y, style, "", PanelPosition(), showlegend=False, opacity=0.3, hovertemplate=thin
            )
        _add_exponents(figure, each, style, PanelPosition())
    if any(trace.fill for trace in figure.data):
        add_band_entry(figure, "smallest to largest sample", theme)
    if any(len(each.windows) for each in drawn):
        add_entry(figure, "windows of the sequence", line={"color": PALETTES[theme].muted, "width": 1.6}, opacity=0.3)
    figure.add_hline(y=0, line={"color": PALETTES[theme].muted, "width": 1, "dash": "dot"})
    set_xaxes(figure, title_text="index")
    set_yaxes(figure, title_text="nats per timestep")
    return apply_layout(figure, theme, title=name, body=BODY)


def spectrum_history(
    results: SpectrumHistory | Sequence[SpectrumHistory], *, theme: Theme = "light", title: bool = True
) -> go.Figure:
    """Over training, a line a run and weight, both named in the legend: the largest singular value above, the spectral
    radius below."""
    results = (results,) if isinstance(results, SpectrumHistory) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    name = SPECTRUM_HISTORY_TITLE if title else None
    if not drawn:
        why = next((each.missing for each in results if each.missing), "There is no run to draw.")
        return empty_figure(why, theme, title=name)
    figure = panels(2, 1, ("largest singular value", "spectral radius"), shared_xaxes=True, vertical_spacing=0.14)
    _add_weights(figure, drawn, theme)
    set_yaxes(figure, title_text="largest of the gates")
    for row in (1, 2):
        figure.add_hline(y=1, line={"color": PALETTES[theme].muted, "width": 1, "dash": "dot"}, row=row, col=1)
    index_axis(figure, "step", row=2, col=1)
    steps = {int(step) for each in drawn for step in each.steps}
    if len(steps) == 1:
        set_xaxes(figure, tickvals=list(steps))
    return apply_layout(figure, theme, title=name, body=2 * PANEL, heads=True)


def _add_weights(figure: go.Figure, drawn: Sequence[SpectrumHistory], theme: Theme) -> None:
    """Of one run a colour a weight; of several the colour of the arm and a dash a weight, named by themselves."""
    names = list(dict.fromkeys(weight.parameter for each in drawn for weight in each.weights))
    alone, several = len(drawn) == 1, len(names) > 1
    for each, arm in zip(drawn, arm_styles([each.source for each in drawn], theme), strict=True):
        for weight in each.weights:
            place, parameter = names.index(weight.parameter), safe(weight.parameter)
            style = _style(place, theme) if alone else Style(arm.color, dash_of(place) if several else arm.dash)
            name = parameter if alone else safe(each.source.arm_label)
            hover = f"%{{x}}: %{{y:.4g}}<extra>{parameter}<br>{safe(each.source.label)}</extra>"
            for row, line in ((1, weight.norm), (2, weight.radius)):
                first = alone and row == 1
                y = positive(line.values)
                add_line(figure, each.steps, y, style, name, PanelPosition(row), showlegend=first, hovertemplate=hover)
    if not alone:
        _add_arms_and_dashes(figure, drawn, names if several else (), theme)


def _add_arms_and_dashes(
    figure: go.Figure, drawn: Sequence[SpectrumHistory], names: Sequence[str], theme: Theme
) -> None:  # fmt: skip
    """In the legend: the colour of each arm, and the dash of each of the weights ``names``."""
    arms = {
        each.source.arm_label: style
        for each, style in zip(drawn, arm_styles([e.source for e in drawn], theme), strict=True)
    }
    for label, style in arms.items():
        dash = "solid" if names else style.dash
        add_entry(figure, safe(label), line={"color": style.color, "dash": dash, "width": 1.6}, legendgroup=safe(label))
    for place, parameter in enumerate(names):
        add_entry(figure, safe(parameter), line={"color": PALETTES[theme].muted, "dash": dash_of(place), "width": 1.6})


def _legend_below(figure: go.Figure) -> go.Figure:
    """The legend under the panels, where it has room for the names of many weights."""
    names = {trace.name for trace in figure.data if trace.showlegend is not False}
    room = 22 * (1 + len(names) // 4)
    legend = {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"}
    return set_layout(
        figure,
        showlegend=True,
        legend=legend,
        height=figure.layout.height + room,
        margin_b=figure.layout.margin.b + room + 40,
    )


def _add_circle(figure: go.Figure, theme: Theme) -> None:
    line = {"color": PALETTES[theme].muted, "width": 1, "dash": "dot"}
    x, y = as_float32(np.cos(_CIRCLE)), as_float32(np.sin(_CIRCLE))
    circle = go.Scatter(x=x, y=y, mode="lines", line=line, name="unit circle", hoverinfo="skip")
    figure.add_trace(circle, row=1, col=1)


def _add_blocks(figure: go.Figure, drawn: Sequence[WeightSpectrum], theme: Theme) -> list[float]:
    """Every block in both panels, a colour a gate of one weight, or a weight of several; the ends of the singular
    values above 0."""
    ends = []
    for label, name, style, block in _named(drawn, theme):
        hover = f"%{{x:.4g}}, %{{y:.4g}}<extra>{label}</extra>"
        marker = {"color": style.color, "size": 5, "opacity": 0.8}
        few = slice(MOST_POINTS)
        points = {"x": as_float32(block.real[few]), "y": as_float32(block.imag[few]), "hovertemplate": hover}
        first = not any(trace.name == name for trace in figure.data)
        dots = go.Scatter(mode="markers", marker=marker, name=name, legendgroup=name, showlegend=first, **points)
        figure.add_trace(dots, row=1, col=1)
        index = np.arange(1, len(block.singular) + 1)
        add_line(
            figure,
            index,
            positive(block.singular),
            style,
            name,
            PanelPosition(1, 2),
            showlegend=False,
            hovertemplate=hover,
        )
        known = block.singular[block.singular > 0]
        ends += [float(known.min()), float(known.max())] if len(known) else []
    return ends


def _named(drawn: Sequence[WeightSpectrum], theme: Theme) -> Iterator[tuple[str, str, Style, WeightBlock]]:
    """Each block with its words in the hover text, its entry in the legend and its style."""
    for place, weight in enumerate(drawn):
        for gate, block in enumerate(weight.blocks):
            label = safe(f"{weight.parameter}, {block.gate}")
            if len(drawn) == 1:
                yield label, block.title, _style(gate, theme), block
            else:
                yield label, safe(weight.parameter), _style(place, theme), block


def _add_exponents(figure: go.Figure, each: Lyapunov, style: Style, place: PanelPosition) -> None:
    """The mean over samples, and the band of the samples where there are several."""
    label = safe(each.selection.label)
    low, high = each.spread
    known = np.isfinite(low) & np.isfinite(high)
    if len(each.by_sample) > 1 and known.any():
        few = np.flatnonzero(known)[: MOST_POINTS // 2]
        names = (f"{label}: smallest to largest sample", label)
        add_band(figure, _index(low)[few], (low[few], high[few]), style, names, place)
    y = np.where(np.isfinite(each.exponents), each.exponents, np.nan)
    hover = f"%{{x}}: %{{y:.4g}}<extra>{label}</extra>"
    add_line(figure, _index(y), y, style, label, place, hovertemplate=hover)


def _index(values: np.ndarray) -> np.ndarray:
    return np.arange(1, len(values) + 1)


def _style(place: int, theme: Theme, dash: str = "solid") -> Style:
    arms = PALETTES[theme].arms
    return Style(arms[place % len(arms)], dash)
