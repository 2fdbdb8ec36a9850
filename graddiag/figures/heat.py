"""Step x timestep pictures, several on one shared scale."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from graddiag import schema
from graddiag.analysis import CellState, Heat, number
from graddiag.analysis.values import Ints
from graddiag.figures.frame import (
    apply_layout,
    empty_figure,
    index_axis,
    log_ticks,
    panels,
    set_layout,
    set_xaxes,
    set_yaxes,
)
from graddiag.figures.heat_scale import HeatScale, Limits, limits_of_scale, outside_marks, robust_limits
from graddiag.figures.theme import PALETTES, Palette, Theme, labels, safe

HEAT_TITLE: Final = "Signal by step and timestep"

PANEL, BAR = 240, 100
LINE = 15  # pixels of a line of a title

_ENDS: Final = (1.5, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000)  # of a scale about 1


def heatmap(
    heats: Heat | Sequence[Heat],
    *,
    theme: Theme = "light",
    title: bool = True,
    limits: Limits | None = None,
    columns: int = 2,
    scale: HeatScale = "full",
) -> go.Figure:
    """One panel a heat, step to the right and timestep upwards, on one log colour scale (linear for a signed signal).

    Args:
        limits: smallest and largest value of the scale, to share it with another figure; by default that of ``heats``.
        columns: panels beside one another.
        scale: without ``limits``. "full": one scale from the smallest to the largest value. "robust": one scale that a
            few extreme cells do not stretch (``heat_scale.robust_limits``); a triangle marks each of these. "own": such
            a scale for each panel, with its ends in the panel's title.
    """
    heats = (heats,) if isinstance(heats, Heat) else tuple(heats)
    drawn = [heat for heat in heats if heat.missing is None]
    name = f"{HEAT_TITLE}: {heats[0].title}" if heats else HEAT_TITLE
    if not drawn:
        return empty_figure(
            heats[0].missing or "" if heats else "There is no run to draw.", theme, title=name if title else None
        )
    columns = min(columns, len(heats))
    rows = math.ceil(len(heats) / columns)
    own = scale == "own" and limits is None and len(drawn) > 1 and not drawn[0].signed
    limits = limits or limits_of_scale(drawn, scale)
    titles = labels([heat.source for heat in heats]) if len(heats) > 1 else ()
    figure = panels(
        rows,
        columns,
        titles,
        shared_xaxes="all",
        shared_yaxes="all",
        horizontal_spacing=0.03,
        vertical_spacing=0.16 / rows,
    )
    if own:
        _add_ends(figure, heats)
    palette = PALETTES[theme]
    for index, heat in enumerate(heats):
        row, column = index // columns + 1, index % columns + 1
        axis = f"coloraxis{index + 1}" if own and index else "coloraxis"
        colors = _color_axis([heat] if own else drawn, robust_limits([heat]) if own else limits, palette)
        set_layout(figure, **{axis: colors})
        for trace in (*_traces(heat, palette, axis), *outside_marks(heat, colors, palette)):
            figure.add_trace(trace, row=row, col=column)
        if heat.missing is not None:
            axes = {"xref": "x domain", "yref": "y domain"}
            figure.add_annotation(text=safe(heat.missing), showarrow=False, x=0.5, y=0.5, row=row, col=column, **axes)
    for trace in _legend(drawn, palette):
        figure.add_trace(trace, row=1, col=1)
    _show_in_legend(figure)
    if own:
        _one_bar(figure, drawn[0])
    legend = any(trace.showlegend is not False and trace.type == "scatter" for trace in figure.data)
    apply_layout(
        figure, theme, title=name if title else None, body=PANEL * rows + BAR, heads=bool(titles), legend=legend
    )
    if own:
        set_layout(figure, height=figure.layout.height + LINE, margin_t=figure.layout.margin.t + LINE)
    set_xaxes(figure, range=edges([heat.steps for heat in drawn]))
    set_yaxes(figure, range=edges([heat.timesteps for heat in drawn]))
    return _labelled(figure, rows, columns)


def edges(places: Sequence[Ints]) -> list[float] | None:
    """From the outer edge of the first cell to that of the last, of cells at ``places``."""
    ends = [end for each in places if len(each) for end in _ends(each)]
    return [min(ends), max(ends)] if ends else None


def _ends(places: Ints) -> tuple[float, float]:
    """As plotly draws cells: each reaches halfway to the next, the outer ones as far outwards."""
    first, last = (places[1] - places[0], places[-1] - places[-2]) if len(places) > 1 else (1, 1)
    return float(places[0] - first / 2), float(places[-1] + last / 2)


def _add_ends(figure: go.Figure, heats: Sequence[Heat]) -> None:
    """Adds the ends of its own scale to each panel's title, as a line below: in one line those of a phone touch."""
    for title, heat in zip(figure.layout.annotations, heats, strict=True):
        if ends := robust_limits([heat]):
            title.text = f"{title.text}<br>{number(ends[0])} to {number(ends[1])}"


def _one_bar(figure: go.Figure, heat: Heat) -> None:
    """One colour bar for panels of which each has its own scale: it names the ends, whose values are in the titles."""
    figure.for_each_coloraxis(lambda axis: axis.update(showscale=False))
    first = figure.layout.coloraxis
    ends = {"tickvals": [first.cmin, first.cmax], "ticktext": ["lowest", "highest of each panel"]}
    set_layout(figure, coloraxis={"showscale": True, "colorbar": {**color_bar(_bar_title(heat)), **ends}})


def _show_in_legend(figure: go.Figure) -> None:
    """Each kind of mark once, without the place that its first cell has."""
    marks = {trace.name: trace for trace in figure.data if trace.type == "scatter" and trace.showlegend is False}
    for name, trace in marks.items():
        figure.add_scatter(x=[None], y=[None], mode="markers", name=name, legendgroup=name, marker=trace.marker)


def _traces(heat: Heat, palette: Palette, axis: str) -> list[go.Heatmap]:
    """The values, and over them one flat colour for each kind of cell that has none."""
    z = heat.values.T if heat.signed else log10(heat.values.T)
    hover = f"step %{{x}}, timestep %{{y}}<br>%{{text}}<extra>{safe(heat.source.label)}</extra>"
    drawn = {"x": heat.steps, "y": heat.timesteps, "hoverongaps": False}
    value = "%{z:.3f}" if heat.signed else "10<sup>%{z:.2f}</sup>"
    traces = [go.Heatmap(z=z, coloraxis=axis, hovertemplate=hover.replace("%{text}", value), **drawn)]
    for state, words, color in special_states(palette, heat.signed):
        cells = np.equal(heat.states.T, state)
        if cells.any():
            flat = np.where(cells, np.float32(1), np.float32(np.nan))
            scale = [[0, color], [1, color]]
            hint = hover.replace("%{text}", words)
            traces.append(go.Heatmap(z=flat, colorscale=scale, showscale=False, hovertemplate=hint, **drawn))
    return traces


def special_states(palette: Palette, signed: bool) -> list[tuple[CellState, str, str]]:
    """State, words and colour of the cells that are no value; on a linear scale zero is a value like any other."""
    colors = {CellState.MISSING: palette.missing, CellState.NAN: palette.nan, CellState.INF: palette.inf}
    if not signed:
        colors = {CellState.ZERO: palette.zero, **colors}
    return [(state, state.words, color) for state, color in colors.items()]


def _legend(heats: Sequence[Heat], palette: Palette) -> list[go.Scatter]:
    present = [
        (words, color)
        for state, words, color in special_states(palette, heats[0].signed)
        if any((heat.states == state).any() for heat in heats)
    ]
    outline = {"width": 1, "color": palette.muted}
    return [
        go.Scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=words,
            marker={"symbol": "square", "size": 11, "color": color, "line": outline},
        )
        for words, color in present
    ]


def log10(values: Any) -> Any:
    """log10 as float32, NaN where a value is not above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.log10(values), np.nan).astype(np.float32)


NARROW: Final = 48  # letters that fit beside each other on a phone


def color_bar(title: str) -> dict[str, Any]:
    """A colour scale below the panels, with its title."""
    return {
        "orientation": "h",
        "x": 0.5,
        "xanchor": "center",
        "len": 0.9,
        "y": 0,
        "yref": "container",
        "yanchor": "bottom",
        "thickness": 10,
        "outlinewidth": 0,
        "title": {"text": "<br>".join(map(_folded, title.split("<br>"))), "side": "bottom", "font": {"size": 11}},
        "tickfont": {"size": 11},
    }


def _folded(line: str) -> str:
    """The line, in two where it is wider than a phone: after its first part."""
    return line.replace(", ", "<br>", 1) if len(line) > NARROW else line


def _color_axis(heats: Sequence[Heat], limits: Limits | None, palette: Palette) -> dict[str, Any]:
    bar = color_bar(_bar_title(heats[0]))
    if heats[0].signed:
        return {"colorscale": palette.diverging, "cmin": -1, "cmax": 1, "colorbar": bar}
    low, high = (math.log10(each) for each in (limits or (0.1, 1.0)))
    if heats[0].signal == schema.TRANSPORT_GAIN:
        return around_one(max(abs(low), abs(high)), bar, palette)
    low, high = (low, high) if high - low > 0.1 else (low - 0.3, high + 0.3)
    ticks, texts = log_ticks(low, high)
    return {
        "colorscale": palette.scale,
        "cmin": low,
        "cmax": high,
        "colorbar": {**bar, "tickvals": ticks, "ticktext": texts},
    }


def around_one(size: float, bar: dict[str, Any], palette: Palette) -> dict[str, Any]:
    """A diverging colour axis about 1, as far down as up, that holds 10^-size to 10^size; it ends at a round number,
    with ticks at both ends, at 1 and halfway."""
    end = next((math.log10(end) for end in _ENDS if math.log10(end) >= size), float(math.ceil(size)))
    plain = 10.0**end <= _ENDS[-1]
    half = end / 2 if plain else float(end // 2)
    ticks = [-end, -half, 0.0, half, end]
    texts = [number(float(f"{10.0**tick:.2g}")) for tick in ticks] if plain else [_power(int(tick)) for tick in ticks]
    scale = {"colorscale": palette.diverging, "cmin": -end, "cmax": end}
    return {**scale, "colorbar": {**bar, "tickvals": ticks, "ticktext": texts}}


def _power(exponent: int) -> str:
    return f"10<sup>{exponent}</sup>".replace("-", "\N{MINUS SIGN}") if exponent else "1"


def _bar_title(heat: Heat) -> str:
    unit = "" if heat.unit == "1" else f"<br>{heat.unit}"
    return f"{heat.title}{unit}"


def _labelled(figure: go.Figure, rows: int, columns: int) -> go.Figure:
    set_xaxes(figure, showgrid=False)
    set_yaxes(figure, showgrid=False)
    for column in range(1, columns + 1):
        index_axis(figure, "step", row=rows, col=column)
    for row in range(1, rows + 1):
        index_axis(figure, "timestep", "y", row=row, col=1)
    set_layout(figure, margin_b=BAR)
    return figure
