"""The frame around every figure: axes, legend, margins, title, and what is shown when there is nothing to draw."""

import html
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Final, Literal

import plotly.graph_objects as go
from plotly.basedatatypes import BasePlotlyType
from plotly.subplots import make_subplots

from graddiag.analysis import number
from graddiag.figures.theme import FONT, FONT_SIZE, PALETTES, Palette, Theme, safe

BODY: Final = 280
PANEL: Final = 200
AXIS_ROLES: Final = "axis_roles"  # in the layout's metadata
EMPTY: Final = "empty"  # the same: why there is nothing to see

_TITLE, _LEGEND, _ROW, _HEAD, _NOTHING = 32, 26, 21, 24, 64
_NARROWEST, _MOST_ROWS = 320, 5  # pixels of a legend on a phone; rows of it that room is kept for
_FEW_DECADES, _NARROW, _MOST_TICKS = 2, 0.7, 7
_POWER_SIZE: Final = round((FONT_SIZE - 1) / 1.25)  # plotly draws powers of ten a quarter larger than other ticks
_CONSTANT: Final = 1e-4  # numbers that differ by less, in decades or of their size, are one number to the eye


def panels(rows: int, columns: int, titles: Sequence[str] = (), **shared: Any) -> go.Figure:
    """A figure of ``rows`` x ``columns`` panels; ``shared`` goes to plotly's make_subplots."""
    heads = [safe(title) for title in titles] or None
    layout, grid = _grid(json.dumps({"rows": rows, "cols": columns, "subplot_titles": heads, **shared}))
    figure = go.Figure(layout=layout)
    figure._grid_ref, figure._grid_str = grid
    return figure


@lru_cache(maxsize=256)
def _grid(settings: str) -> tuple[dict[str, Any], tuple[Any, str]]:
    """The layout that make_subplots makes, and what it keeps of its panels; making it anew takes ten times as long."""
    figure = make_subplots(**json.loads(settings))
    layout = figure.layout.to_plotly_json()
    return {name: value for name, value in layout.items() if name != "template"}, (figure._grid_ref, figure._grid_str)


def set_layout(figure: go.Figure, **values: Any) -> go.Figure:
    """``figure`` with ``values`` in its layout, as ``update_layout`` does it, in a tenth of the time."""
    _assign(figure.layout, values)
    return figure


def set_xaxes(figure: go.Figure, *, row: int | None = None, col: int | None = None, **values: Any) -> None:
    """Gives all x axes, or those of a row or column, ``values``, as ``update_xaxes`` does it, in less time."""
    for axis in figure.select_xaxes(row=row, col=col):
        _assign(axis, values)


def set_yaxes(figure: go.Figure, *, row: int | None = None, col: int | None = None, **values: Any) -> None:
    """Gives all y axes, or those of a row or column, ``values``, as ``update_yaxes`` does it, in less time."""
    for axis in figure.select_yaxes(row=row, col=col):
        _assign(axis, values)


def _assign(part: BasePlotlyType, values: Mapping[str, Any]) -> None:
    """Each of ``values``, and of the mappings in it each value, leaving the rest of ``part`` as it is."""
    for name, value in values.items():
        present = part[name] if isinstance(value, Mapping) and name in part else None
        if isinstance(present, BasePlotlyType) and present.to_plotly_json():
            _assign(present, value)
        else:
            part[name] = value


def apply_layout(
    figure: go.Figure, theme: Theme, *, title: str | None, body: int, heads: bool = False, legend: bool = True
) -> go.Figure:
    """``figure`` with the common layout, from the top: the title unless it is None, the legend, the panels' heads,
    and ``body`` pixels of panels with their axes."""
    palette = PALETTES[theme]
    above = _TITLE if title else 0
    top = above + (_LEGEND + _ROW * (_rows_when_narrow(figure) - 1) if legend else 0) + (_HEAD if heads else 8)
    figure.layout.template = _template(theme)
    set_layout(
        figure,
        height=body + top,
        margin={"l": 8, "r": 8, "t": top, "b": 8},
        showlegend=legend,
        legend={
            "orientation": "h",
            "x": 0,
            "xref": "container",
            "y": 1 - (above + 2) / (body + top),
            "yref": "container",
            "yanchor": "top",
            "tracegroupgap": 2,
            "bgcolor": "rgba(0,0,0,0)",
        },
        title=None if title is None else _title(title),
    )
    if figure.layout.annotations:
        figure.update_annotations(font={"size": FONT_SIZE, "color": palette.text})
    return figure


def index_axis(
    figure: go.Figure, role: str, letter: Literal["x", "y"] = "x", row: Any = None, col: Any = None, **more: Any
) -> None:
    """Gives axes of steps or timesteps their title, and the role of each in the figure's metadata (``axis_roles``);
    ``more`` goes to plotly. Without ``row`` and ``col`` to all of the letter."""
    select = figure.select_xaxes if letter == "x" else figure.select_yaxes
    axes = list(select(row=row, col=col))
    for axis in axes:
        _assign(axis, {"title_text": role, **more})
    roles = {axis.plotly_name: role for axis in axes}
    figure.layout.meta = {**(figure.layout.meta or {}), AXIS_ROLES: axis_roles(figure) | roles}


def axis_roles(figure: go.Figure) -> dict[str, str]:
    """What axes count, "step" or "timestep", by plotly's name of each: ``{"xaxis": "step"}``. One that shares its scale
    with another has no role."""
    return dict((figure.layout.meta or {}).get(AXIS_ROLES, {}))


def _rows_when_narrow(figure: go.Figure) -> int:
    """The rows that the legend takes on a phone, about: room is kept for them, so that no panel is written over."""
    names = dict.fromkeys(trace.name for trace in figure.data if trace.name and trace.showlegend is not False)
    rows, used = 1, 0.0
    for name in names:
        width = 45 + 6.4 * len(html.unescape(name))
        rows, used = (rows, used + width) if not used or used + width <= _NARROWEST else (rows + 1, width)
    return min(rows, _MOST_ROWS)


@cache
def _template(theme: Theme) -> go.layout.Template:
    """What all figures share, once: to set it axis by axis costs many times as much as the drawing."""
    palette = PALETTES[theme]
    axis = _axis(palette)
    return go.layout.Template(
        layout={
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": FONT, "size": FONT_SIZE, "color": palette.text},
            "modebar": {"bgcolor": palette.veil, "color": palette.muted, "activecolor": palette.text},
            "hoverlabel": {"bgcolor": palette.hover, "bordercolor": palette.grid, "font": {"color": palette.text}},
            "xaxis": axis,
            "yaxis": axis,
        }
    )


def _title(text: str) -> dict[str, Any]:
    place = {"x": 0, "xref": "container", "xanchor": "left", "y": 1, "yref": "container", "yanchor": "top"}
    return {"text": text, "pad": {"l": 8, "t": 8}, "font": {"size": FONT_SIZE + 2}, **place}


def empty_figure(sentence: str, theme: Theme, *, title: str | None) -> go.Figure:
    """A figure that says why there is nothing to see, and has the sentence in its metadata (``why_empty``)."""
    figure = apply_layout(go.Figure(), theme, title=title, body=_NOTHING, legend=False)
    set_xaxes(figure, visible=False)
    set_yaxes(figure, visible=False)
    figure.add_annotation(
        text="<br>".join(_broken(safe(sentence))), showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper"
    )
    figure.update_annotations(font={"size": FONT_SIZE + 1, "color": PALETTES[theme].muted})
    figure.layout.meta = {EMPTY: sentence}
    return figure


def why_empty(figure: go.Figure) -> str | None:
    """Why there is nothing to see in it; None where there is."""
    found: str | None = (figure.layout.meta or {}).get(EMPTY)
    return found


def log_axis(values: Sequence[float]) -> dict[str, Any]:
    """A log axis for those of ``values`` that have a place on it: ticks at powers of ten; below two decades at 1, 2 and
    5 times those; on a narrow range wherever plotly sets them."""
    axis = {"type": "log", "exponentformat": "power"}
    placed = [value for value in values if 0 < value < math.inf]
    if not placed:
        return axis
    low, high = math.log10(min(placed)), math.log10(max(placed))
    if high - low >= _FEW_DECADES:
        return {**axis, "dtick": max(1, math.ceil((high - low) / _MOST_TICKS)), "tickfont": {"size": _POWER_SIZE}}
    if high - low < _CONSTANT:
        return {**axis, **_around(10.0**low, [low - 0.1, low + 0.1])}
    if high - low < _NARROW:
        return axis
    ticks = finer_ticks(low - 1, high + 1)
    return {**axis, "tickvals": ticks, "ticktext": [number(tick) for tick in ticks]}


def linear_axis(values: Sequence[float]) -> dict[str, Any]:
    """A linear axis: of numbers that are all but the same, with one tick, at it; else as plotly sets it."""
    placed = [value for value in values if math.isfinite(value)]
    if not placed or max(placed) - min(placed) > _CONSTANT * max(abs(max(placed)), abs(min(placed))):
        return {}
    room = 0.1 * abs(placed[0]) or 1.0
    return _around(placed[0], [placed[0] - room, placed[0] + room])


def _around(value: float, limits: list[float]) -> dict[str, Any]:
    return {"range": limits, "tickvals": [value], "ticktext": [number(value)]}


def log_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Places of the ticks of a scale from 10^low to 10^high, as log10, and their texts."""
    if high - low < _FEW_DECADES:
        ticks = [tick for tick in finer_ticks(low, high) if low <= math.log10(tick) <= high]
        return [math.log10(tick) for tick in ticks], [number(tick) for tick in ticks]
    powers = range(math.ceil(low), math.floor(high) + 1, max(1, math.ceil((high - low) / _MOST_TICKS)))
    minus = "\N{MINUS SIGN}"
    return [float(power) for power in powers], [f"10<sup>{power}</sup>".replace("-", minus) for power in powers]


def finer_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten from 10^low to 10^high, and a little beyond."""
    return [digit * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for digit in (1, 2, 5)]


def _axis(palette: Palette) -> dict[str, Any]:
    return {
        "gridcolor": palette.grid,
        "zeroline": False,
        "linecolor": palette.grid,
        "automargin": True,
        "ticks": "outside",
        "ticklen": 3,
        "tickcolor": palette.grid,
        "tickfont": {"size": FONT_SIZE - 1, "color": palette.muted},
        "title": {"font": {"size": FONT_SIZE, "color": palette.muted}, "standoff": 6},
    }


def _broken(sentence: str, width: int = 44) -> list[str]:
    return textwrap.wrap(sentence, width) or [""]
