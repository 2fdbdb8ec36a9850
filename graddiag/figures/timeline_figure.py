"""The findings of a diagnosis on the time axis: a row each, from the step at which it begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import plotly.graph_objects as go

from graddiag.analysis import Diagnosis, Finding
from graddiag.figures.frame import apply_layout, empty_figure, index_axis, panels, set_yaxes
from graddiag.figures.theme import PALETTES, Style, Theme, arm_styles, safe

TIMELINE_TITLE: Final = "Findings in order of time"
_ROW, _AXIS = 34, 70
_SYMBOLS: Final = {"severe": "diamond", "warning": "circle", "info": "circle-open"}
_NONFINITE: Final = "non-finite"


@dataclass(frozen=True)
class _Span:
    """A row: what it is called, its first and last step, the sign at the first, and the words of the hover text."""

    name: str
    first: int
    last: int
    symbol: str
    sentence: str


def timeline(results: Diagnosis | Sequence[Diagnosis], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """A row a finding that has a place in time, in order of time: a sign where it begins (severe a diamond, warning a
    dot, information a ring, the first NaN or inf a cross), and a line to the last step that its evidence names."""
    results = (results,) if isinstance(results, Diagnosis) else tuple(results)
    drawn = [(each, spans) for each in results if (spans := _spans(each))]
    if not drawn:
        why = "No finding has a place in time." if results else "There is no run to draw."
        return empty_figure(why, theme, title=TIMELINE_TITLE if title else None)
    figure = panels(1, 1)
    rows = list(dict.fromkeys(_row(each, span, len(drawn)) for each, spans in drawn for span in spans))
    styles = arm_styles([each.source for each, _ in drawn], theme)
    for (each, spans), style in zip(drawn, styles, strict=True):
        for span in spans:
            _add(figure, each, span, _row(each, span, len(drawn)), style, theme)
    ends = [end for _, spans in drawn for span in spans for end in (span.first, span.last)]
    margin = 0.03 * max(1, max(ends) - min(ends))
    index_axis(figure, "step", range=[min(ends) - margin, max(ends) + margin])
    set_yaxes(figure, type="category", categoryorder="array", categoryarray=rows[::-1])
    return apply_layout(figure, theme, title=TIMELINE_TITLE if title else None, body=_ROW * len(rows) + _AXIS)


def _spans(each: Diagnosis) -> list[_Span]:
    """Findings with a step, and what the story tells beside them, by their first step."""
    found = [span for finding in each.findings if (span := _span(finding)) is not None]
    named = {span.name for span in found}
    events = [event for event in each.timeline.events if event.name not in named]
    told = [_Span(event.name, event.step, event.step, "circle", event.sentence) for event in events]
    return sorted([*found, *told], key=lambda span: span.first)


def _span(finding: Finding) -> _Span | None:
    places = [each.place for each in finding.evidence]
    steps = [step for place in places for step in (place.step, place.last_step) if step is not None]
    first = finding.onset if finding.onset is not None else min(steps, default=None)
    if first is None:
        return None
    symbol = "x" if finding.name == _NONFINITE else _SYMBOLS[finding.severity]
    return _Span(finding.name, first, max([first, *steps]), symbol, finding.sentence)


def _row(each: Diagnosis, span: _Span, runs: int) -> str:
    return f"{safe(each.source.label)}: {safe(span.name)}" if runs > 1 else safe(span.name)


def _add(figure: go.Figure, each: Diagnosis, span: _Span, row: str, style: Style, theme: Theme) -> None:
    name = safe(each.source.arm_label)
    color = PALETTES[theme].nan if span.symbol == "x" else style.color
    figure.add_trace(
        go.Scatter(
            x=[span.first, span.last],
            y=[row, row],
            mode="lines+markers",
            line={"color": style.color, "width": 4},
            marker={
                "symbol": [span.symbol, "line-ns"],
                "size": [11, 8 if span.last > span.first else 0],
                "color": color,
            },
            name=name,
            legendgroup=name,
            showlegend=not any(trace.name == name for trace in figure.data),
            text=[safe(span.sentence), f"last step with evidence of: {safe(span.name)}"],
            hovertemplate=f"step %{{x}}: %{{text}}<extra>{safe(each.source.label)}</extra>",
        )
    )
