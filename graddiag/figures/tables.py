"""The table behind a figure: every number that it draws, in rows."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

_COLUMNS: Final = ("panel", "series", "x", "x value", "y", "y value", "z", "z value")
_LOG10: Final = "10<sup>%{z"  # what the hover text of a heatmap holds whose colour is the log10 of a number


def table(figure: go.Figure) -> pd.DataFrame:
    """The points of every line and the cells of every heatmap of ``figure``, a row each, as they are drawn: lines of
    many points thinned out with their peaks kept, heatmaps binned.

    ``x``, ``y`` and ``z`` say what the values beside them are. A heatmap's numbers are natural ones, not their
    logarithms. NaN where there is none. A column that is empty throughout is left out.
    """
    parts = [frame for trace in figure.data for frame in _rows(figure, trace)]
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(_COLUMNS), dtype=object)
    return whole[[name for name in _COLUMNS if not (whole[name].isna() | (whole[name] == "")).all() or not len(whole)]]


def csv(figure: go.Figure) -> str:
    """``table`` as CSV with a header; an empty field is no number."""
    return table(figure).to_csv(index=False)


def _rows(figure: go.Figure, trace: Any) -> Iterator[pd.DataFrame]:
    if trace.type == "heatmap":
        yield _cells(figure, trace)
    elif trace.type in ("scatter", "bar") and trace.hoverinfo not in ("skip", "none") and not _legend_only(trace):
        x, y = np.asarray(trace.x), np.asarray(trace.y)
        yield _frame(figure, trace, x, y)


def _cells(figure: go.Figure, trace: Any) -> pd.DataFrame:
    z = np.asarray(trace.z, dtype=np.float64)
    x, y = np.tile(np.asarray(trace.x), z.shape[0]), np.repeat(np.asarray(trace.y), z.shape[1])
    values, shown = z.ravel(), np.isfinite(z.ravel())
    if _LOG10 in (trace.hovertemplate or ""):
        values = 10.0**values
    frame = _frame(figure, trace, x[shown], y[shown])
    scale = figure.layout[trace.coloraxis].colorbar.title.text if trace.coloraxis else None
    return frame.assign(**{"z": _plain(scale), "z value": values[shown] if trace.coloraxis else np.nan})


def _frame(figure: go.Figure, trace: Any, x: Any, y: Any) -> pd.DataFrame:
    across, up = (figure.layout[_axis(anchor, letter)] for anchor, letter in ((trace.xaxis, "x"), (trace.yaxis, "y")))
    return pd.DataFrame(
        {
            "panel": _panel(figure, across, up),
            "series": _plain(trace.name),
            "x": _plain(across.title.text) or _shared(figure, "x"),
            "x value": x,
            "y": _plain(up.title.text) or _shared(figure, "y"),
            "y value": y,
            "z": "",
            "z value": np.nan,
        }
    )


def _panel(figure: go.Figure, across: Any, up: Any) -> str:
    """The head of the panel that these axes span: the annotation that stands above it."""
    if not across.domain or not up.domain:
        return ""
    middle, top = sum(across.domain) / 2, up.domain[1]
    heads = [note for note in figure.layout.annotations if note.xref == "paper" and note.yref == "paper"]
    near = [note for note in heads if abs(note.x - middle) < 0.01 and abs(note.y - top) < 0.01]
    return _plain(near[0].text) if near else ""


def _shared(figure: go.Figure, letter: str) -> str:
    """Axes that share a scale have one title between them."""
    axes = (figure.layout[name] for name in figure.layout if str(name).startswith(f"{letter}axis"))
    return next((_plain(axis.title.text) for axis in axes if axis.title.text), "")


def _legend_only(trace: Any) -> bool:
    return trace.x is None or (len(trace.x) == 1 and trace.x[0] is None)


def _axis(anchor: str | None, letter: str) -> str:
    return f"{letter}axis{(anchor or letter)[1:]}"


def _plain(text: str | None) -> str:
    return (text or "").replace("<br>", ", ").replace("<sup>", "^").replace("</sup>", "")
