"""The flat pictures of the Learn pages: the cliff from above, and a gradient as an arrow in the plane."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import plotly.graph_objects as go

from graddiag.figures.frame import apply_layout, set_xaxes, set_yaxes
from graddiag.figures.lines import as_float32
from graddiag.figures.theme import FONT_SIZE, PALETTES, Palette, Theme
from graddiag.lessons.values import Clipped, Descent, Region, Surface, written

Shown = Literal["error", "gradient"]
_SURFACE: Final = 440
_ARROW: Final = 250
_BAR: Final = {  # below the map: beside it there is no room on a phone
    "orientation": "h",
    "thickness": 10,
    "outlinewidth": 0,
    "ticklen": 3,
    "y": 0,
    "yref": "container",
    "yanchor": "bottom",
    "ypad": 0,
}


def cliff(
    surface: Surface, descents: Sequence[Descent], *, shown: Shown = "error", theme: Theme = "light"
) -> go.Figure:
    """The error, or the norm of its gradient as log10, over (w, b), with each descent's path and its start.

    The first descent is drawn over those after it.
    """
    palette = PALETTES[theme]
    figure = go.Figure(_ground(surface, shown, palette))
    for descent in reversed(descents):
        figure.add_trace(_path(descent, palette))
    w, b = descents[0].points[0] if descents else (None, None)
    mark = {"symbol": "circle", "size": 10, "color": "#ffffff", "line": {"width": 2, "color": "#111111"}}
    figure.add_trace(go.Scatter(x=[w], y=[b], mode="markers", marker=mark, name="start", hoverinfo="name+x+y"))
    set_xaxes(figure, title_text="w, recurrent weight", range=[surface.w[0], surface.w[-1]], showgrid=False)
    set_yaxes(figure, title_text="b, bias", range=[surface.b[0], surface.b[-1]], showgrid=False)
    figure.update_legends(itemsizing="trace", traceorder="reversed")
    return apply_layout(figure, theme, title=None, body=_SURFACE)


def arrow(result: Clipped, *, extent: float, theme: Theme = "light") -> go.Figure:
    """A gradient before (thin) and after (thick) a policy, and where the policy lets it lie.

    Args:
        extent: the axes run from -extent to extent, so that pictures can share a scale.
    """
    palette = PALETTES[theme]
    figure = go.Figure()
    if result.allowed:
        figure.add_shape(**_outline(result.allowed), line={"color": palette.muted, "width": 1, "dash": "4px,3px"})
    _point(figure, result.before, "before", palette.muted, 1.2)
    _point(figure, result.after, "after", palette.arms[1], 2.6)
    axis: dict[str, Any] = {"range": [-extent, extent], "zeroline": True, "zerolinecolor": palette.grid}
    set_xaxes(figure, title_text="first entry", **axis)
    set_yaxes(figure, title_text="second entry", scaleanchor="x", **axis)
    return apply_layout(figure, theme, title=None, body=_ARROW, legend=False)


def _ground(surface: Surface, shown: Shown, palette: Palette) -> go.Heatmap:
    words = "error E" if shown == "error" else "‖∇E‖"
    values = surface.error if shown == "error" else np.log10(surface.grad_norm)
    number = "%{z:.3g}" if shown == "error" else "10<sup>%{z:.1f}</sup>"
    ticks = {} if shown == "error" else {"tickprefix": "10<sup>", "ticksuffix": "</sup>"}
    return go.Heatmap(
        x=as_float32(surface.w),
        y=as_float32(surface.b),
        z=values.astype(np.float32),
        colorscale=palette.scale,
        colorbar={
            **_BAR,
            **ticks,
            "tickfont": {"size": FONT_SIZE - 1, "color": palette.muted},
            "title": {"text": words, "side": "bottom", "font": {"size": FONT_SIZE, "color": palette.muted}},
        },
        hovertemplate=f"w = %{{x:.2f}}, b = %{{y:.2f}}<br>{words}: {number}<extra></extra>",
    )


def _path(descent: Descent, palette: Palette) -> go.Scatter:
    """White beneath would hide the ground: a path stands out by its markers and its outline."""
    off = descent.clip == "none"
    color = "#ff5a4f" if off else "#56d8ff"
    return go.Scatter(
        x=descent.points[:, 0],
        y=descent.points[:, 1],
        mode="lines+markers",
        name="without clipping" if off else f"with {descent.clip}",
        line={"color": color, "width": 1.5, "dash": "6px,3px" if off else "solid"},
        marker={"color": color, "size": 4, "symbol": "x" if off else "circle", "line": {"color": "#111", "width": 0.5}},
        customdata=np.stack([np.arange(len(descent.points)), descent.errors, descent.norms], axis=1),
        hovertemplate="step %{customdata[0]}: E = %{customdata[1]:.3g}, ‖∇E‖ = %{customdata[2]:.3g}",
    )


def _outline(region: Region) -> dict[str, Any]:
    shape = "circle" if region.shape == "disc" else "rect"
    return {"type": shape, "x0": -region.x, "x1": region.x, "y0": -region.y, "y1": region.y}


def _point(figure: go.Figure, vector: np.ndarray, name: str, color: str, width: float) -> None:
    """The arrow from the origin, and its tip as a point that can be read; words where it has no place."""
    x, y = (float(value) for value in vector)
    if not np.isfinite(vector).all():
        words = f"{name}: ({written(x)}, {written(y)})"
        place = {"xref": "paper", "yref": "paper", "x": 0.03, "y": 0.97 if name == "before" else 0.86}
        figure.add_annotation(text=words, showarrow=False, xanchor="left", yanchor="top", **place)
        return
    figure.add_annotation(
        x=x, y=y, ax=0, ay=0, xref="x", yref="y", axref="x", ayref="y", text="", arrowcolor=color, arrowwidth=width
    )
    figure.update_annotations(arrowhead=2, arrowsize=0.7)
    tip = {"color": color, "size": 4}
    hover = f"{name}: (%{{x:.4g}}, %{{y:.4g}})<extra></extra>"
    figure.add_trace(go.Scatter(x=[x], y=[y], mode="markers", marker=tip, name=name, hovertemplate=hover))
