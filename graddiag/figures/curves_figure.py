"""Lines over steps or timesteps: scalars, norms, clip coefficients, profiles."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import Curves, NormHistory, Profile, Series, Source
from graddiag.figures.frame import (
    BODY,
    PANEL,
    apply_layout,
    empty_figure,
    index_axis,
    linear_axis,
    log_axis,
    panels,
    set_yaxes,
)
from graddiag.figures.line_options import AS_USUAL, FAINT, LineOptions
from graddiag.figures.lines import PanelPosition, add_line, add_nonfinite_markers, positive
from graddiag.figures.theme import PALETTES, Style, Theme, arm_styles, safe

LOSS_TITLE: Final = "Loss"
NORMS_TITLE: Final = "Gradient norm before and after clipping"
COEFFICIENT_TITLE: Final = "Clip coefficient"
PROFILE_TITLE: Final = "Signal along the sequence"


def curves(
    results: Curves | Sequence[Curves], *, theme: Theme = "light", title: bool = True, lines: LineOptions = AS_USUAL
) -> go.Figure:
    """The loss, or other scalars, over steps: a panel a scalar, a line a run, on a linear axis unless ``lines`` says
    otherwise."""
    results = (results,) if isinstance(results, Curves) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        return empty_figure(_why(results), theme, title=LOSS_TITLE if title else None)
    names = list(dict.fromkeys(line.name for each in drawn for line in each.series))
    titles = {line.name: line.title for each in drawn for line in each.series}
    figure = panels(
        len(names),
        1,
        list(titles.values()) if len(names) > 1 else (),
        shared_xaxes=True,
        vertical_spacing=0.1 / len(names),
    )
    for row, name in enumerate(names, start=1):
        found = [(each.source, each.steps, line) for each in drawn for line in each.series if line.name == name]
        log = lines.log(usual=False)
        add_lines(figure, found, theme, log=log, place=PanelPosition(row), options=lines)
        title_text = safe(_what(found[0][2], alone=len(names) == 1))
        axis = value_axis([line for _, _, line in found], log=log)
        set_yaxes(figure, title_text=title_text, row=row, col=1, **axis)
    lines.x_axis(figure, row=len(names))
    return apply_layout(figure, theme, title=safe(", ".join(titles.values())) if title else None, **size_of(len(names)))


def norms(
    results: NormHistory | Sequence[NormHistory],
    *,
    theme: Theme = "light",
    title: bool = True,
    lines: LineOptions = AS_USUAL,
) -> go.Figure:
    """The gradient norm over steps: before clipping above, after clipping below, on one shared scale (log unless
    ``lines`` says otherwise), with the threshold where there is one; one panel where clipping changed nothing."""
    results = (results,) if isinstance(results, NormHistory) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        return empty_figure(_why(results), theme, title=NORMS_TITLE if title else None)
    heads = {"before": "before clipping", "after": "after clipping"}
    if all(np.array_equal(each.before.values, each.after.values, equal_nan=True) for each in drawn):
        unclipped = not any(each.source.clipped for each in drawn)
        heads = {"before": "not clipped" if unclipped else "before and after clipping, which changed nothing"}
    spacing = {"shared_xaxes": True, "shared_yaxes": "all", "vertical_spacing": 0.12}
    figure = panels(len(heads), 1, tuple(heads.values()), **spacing)
    log = lines.log(usual=True)
    for row, part in enumerate(heads, start=1):
        found = [(each.source, each.steps, getattr(each, part)) for each in drawn]
        add_lines(figure, found, theme, log=log, place=PanelPosition(row), options=lines)
    for threshold in sorted({each.threshold for each in drawn if each.threshold is not None}):
        _add_threshold(figure, drawn, threshold, theme, len(heads), lines)
    axis = value_axis([line for each in drawn for line in (each.before, each.after)], log=log)
    set_yaxes(figure, title_text="L2 norm", **axis)
    lines.x_axis(figure, row=len(heads))
    return apply_layout(figure, theme, title=NORMS_TITLE if title else None, **{**size_of(len(heads)), "heads": True})


def clip_coefficient(
    results: NormHistory | Sequence[NormHistory],
    *,
    theme: Theme = "light",
    title: bool = True,
    lines: LineOptions = AS_USUAL,
) -> go.Figure:
    """The clip coefficient over steps, norm after / norm before: 1 is untouched; log scale unless ``lines`` says
    otherwise."""
    results = (results,) if isinstance(results, NormHistory) else tuple(results)
    drawn = [each for each in results if each.coefficient.measured]
    if not drawn:
        return empty_figure("No clip coefficient was recorded.", theme, title=COEFFICIENT_TITLE if title else None)
    figure, log = panels(1, 1), lines.log(usual=True)
    found = [(each.source, each.steps, each.coefficient) for each in drawn]
    add_lines(figure, found, theme, log=log, place=PanelPosition(), options=lines)
    set_yaxes(figure, title_text="coefficient", **value_axis([line for _, _, line in found], log=log))
    lines.x_axis(figure)
    return apply_layout(figure, theme, title=COEFFICIENT_TITLE if title else None, **size_of(1))


def profile(results: Profile | Sequence[Profile], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """Signals over the timesteps of a sequence: a panel a signal, a line a run; log scale but for signed signals."""
    results = (results,) if isinstance(results, Profile) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        return empty_figure(_why(results), theme, title=PROFILE_TITLE if title else None)
    lines = [(each.source, each.timesteps, line) for each in drawn for line in each.series]
    names = list(dict.fromkeys(line.name for _, _, line in lines))
    titles = {line.name: line.title for _, _, line in lines}
    figure = panels(
        len(names),
        1,
        list(titles.values()) if len(names) > 1 else (),
        shared_xaxes=True,
        vertical_spacing=0.1 / len(names),
    )
    for row, name in enumerate(names, start=1):
        chosen = [each for each in lines if each[2].name == name]
        log = not chosen[0][2].signed
        add_lines(figure, chosen, theme, log=log, place=PanelPosition(row))
        axis = log_axis(drawn_values([line for _, _, line in chosen])) if log else {}
        set_yaxes(figure, title_text=_short(chosen[0][2].unit) or chosen[0][2].title, row=row, col=1, **axis)
    index_axis(figure, "timestep", row=len(names), col=1)
    heading = f"{PROFILE_TITLE}: {', '.join(titles.values())}"
    return apply_layout(figure, theme, title=heading if title else None, **size_of(len(names)))


def add_lines(
    figure: go.Figure,
    lines: Sequence[tuple[Source, np.ndarray, Series]],
    theme: Theme,
    *,
    log: bool,
    place: PanelPosition,
    options: LineOptions = AS_USUAL,
) -> None:
    """One line a run, an entry in the legend an arm, and the marks of what no line can show. Under a smoothed line the
    values that it is made of are faint."""
    styles = arm_styles([source for source, _, _ in lines], theme)
    placed = [_placed(source, steps, line, options) for source, steps, line in lines]
    for (source, _, _), (x, line, smoothed), style in zip(lines, placed, styles, strict=True):
        if smoothed is not None:
            add_named_line(figure, x, positive(line.values) if log else line.values, source, style, place, faint=True)
        values = line.values if smoothed is None else smoothed
        add_named_line(figure, x, positive(values) if log else values, source, style, place)
    marked, names = [(x, line) for x, line, _ in placed], [safe(source.label) for source, _, _ in lines]
    add_nonfinite_markers(figure, marked, theme, log=log, place=place, names=names)


def _placed(
    source: Source, steps: np.ndarray, line: Series, options: LineOptions
) -> tuple[np.ndarray, Series, np.ndarray | None]:
    """Where the values of a line are drawn, those that are, and what they are when smoothed."""
    x, kept = options.x(source, steps)
    smoothed = options.smoothed(line.values)
    drawn = replace(line, values=line.values[kept], states=line.states[kept])
    return x, drawn, None if smoothed is None else smoothed[kept]


def add_log_panels(
    figure: go.Figure, rows: Sequence[tuple[Sequence[tuple[Source, np.ndarray, Series]], str]], theme: Theme
) -> None:  # fmt: skip
    """A panel a row, from the top: its lines on a log axis, and what its x axis counts."""
    for row, (lines, axis) in enumerate(rows, start=1):
        add_lines(figure, lines, theme, log=True, place=PanelPosition(row))
        set_yaxes(figure, row=row, col=1, **log_axis(drawn_values([line for _, _, line in lines])))
        index_axis(figure, axis, row=row, col=1)


def add_named_line(
    figure: go.Figure,
    x: np.ndarray,
    y: np.ndarray,
    source: Source,
    style: Style,
    place: PanelPosition,
    *,
    faint: bool = False,
) -> None:
    """A run's line: the arm is in the legend once, arm and seed in the hover text; of a faint line neither."""
    name = safe(source.arm_label)
    if faint:
        add_line(figure, x, y, style, name, place, showlegend=False, hoverinfo="skip", opacity=FAINT)
        return
    first = not any(trace.name == name and trace.showlegend for trace in figure.data)
    hover = f"%{{x}}: %{{y:.4g}}<extra>{safe(source.label)}</extra>"
    add_line(figure, x, y, style, name, place, showlegend=first, hovertemplate=hover, opacity=0.9)


def _add_threshold(
    figure: go.Figure, drawn: Sequence[NormHistory], threshold: float, theme: Theme, rows: int, lines: LineOptions
) -> None:
    ends = [float(x) for each in drawn for x in lines.x(each.source, each.steps)[0][[0, -1]]]
    for row in range(1, rows + 1):
        figure.add_trace(
            go.Scatter(
                x=[min(ends), max(ends)],
                y=[threshold, threshold],
                mode="lines",
                name=f"threshold {threshold:g}",
                legendgroup=f"threshold {threshold:g}",
                showlegend=row == 1,
                line={"color": PALETTES[theme].threshold, "dash": "dot", "width": 1.2},
                hovertemplate="threshold %{y:g}<extra></extra>",
            ),
            row=row,
            col=1,
        )


def value_axis(lines: Sequence[Series], *, log: bool) -> dict[str, Any]:
    """The y axis for the finite values of ``lines``."""
    if log:
        return log_axis(drawn_values(lines))
    return linear_axis([end for line in lines for end in _ends(line.values[np.isfinite(line.values)])])


def drawn_values(lines: Sequence[Series]) -> list[float]:
    """The positive values of all lines: those that a log axis shows."""
    return [float(value) for line in lines for value in _ends(line.values[line.values > 0])]


def _ends(values: np.ndarray) -> tuple[float, ...]:
    return (float(values.min()), float(values.max())) if len(values) else ()


def _what(line: Series, *, alone: bool) -> str:
    """Along an axis: what a scalar is, with its unit where that is more than "1"; below a head of its own the unit."""
    unit = _short(line.unit)
    if not alone:
        return unit or line.title.lower()
    return f"{line.title.lower()}, {unit}" if unit else line.title.lower()


def _short(unit: str) -> str:
    """A unit as it fits along an axis: which norm, before or after clipping."""
    if unit.endswith("before clipping"):
        return f"{unit.split(' ')[0].strip(',')}, before clipping"
    return "" if unit == "1" else unit


def size_of(panels: int) -> dict[str, Any]:
    """The body of a figure of so many panels one above another; a single one has no head."""
    return {"body": BODY if panels == 1 else panels * PANEL, "heads": panels > 1}


def _why(results: Sequence[Curves | NormHistory | Profile]) -> str:
    return next((each.missing for each in results if each.missing), "There is no run to draw.")
