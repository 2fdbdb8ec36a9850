"""The table behind a figure: every number that it draws, in rows."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from graddiag.analysis import CellState

_WORDS: Final = ("panel", "series", "text", "x", "x value", "y", "y value")
_COLUMNS: Final = (*_WORDS, "low", "high", "z", "z value", "state")
_LOG10: Final = "10<sup>%{z"  # what the hover text of a heatmap holds whose colour is the log10 of a number
_TYPES: Final = ("heatmap", "scatter", "bar")
_EXTRA: Final = re.compile(r"<extra>(.*?)</extra>", re.DOTALL)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of a formula

# what the points of a trace are worth that are drawn at some place because they have none
_WORTH: Final = {CellState.ZERO: 0.0, CellState.MISSING: np.nan, CellState.NAN: np.nan, CellState.INF: np.inf}


@dataclass(frozen=True)
class Columns:
    """What the numbers of one trace are: its panel and series, what x, y and z measure, whether z is a log10, and what
    kind of number all of them are, where they are no ordinary ones.

    x_values: what stands at x, where the places are not the values themselves.
    """

    panel: str
    series: str
    x: str
    y: str
    z: str
    log: bool
    state: str
    x_values: tuple[Any, ...] | None = None


def noted(state: CellState | None = None, **more: Any) -> dict[str, Any]:
    """The ``meta`` of a trace, by which the table knows what cannot be read off its points: ``state``, what kind of
    number all of them are; ``state_words``, where the kind has words of its own; ``x``, what stands at each place on
    the axis; ``x_title``, ``y_title``: what the values are, where that is not what the axis says. Its ``customdata``,
    one a point, stands in the table in place of the heights."""
    return {**({} if state is None else {"state": int(state)}), **more}


def table(figure: go.Figure) -> pd.DataFrame:
    """The points of every line and the cells of every heatmap of ``figure``, a row each, as they are drawn: lines of
    many points thinned out with their peaks kept, heatmaps binned.

    ``x``, ``y`` and ``z`` say what the values beside them are; ``low`` and ``high`` are the ends of an interval or a
    band. Numbers are natural ones, not the logarithms, heights or shares of a panel that stand for them. ``state`` says
    which are exactly zero, not measured, NaN or inf; a point of a line that has no row has no number. What is empty
    throughout is left out.
    """
    parts = [_rows(told, trace) for told, trace in zip(columns_of(figure), figure.data, strict=True) if told]
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(_COLUMNS), dtype=object)
    held = {name for name in _COLUMNS if not (whole[name].isna() | (whole[name] == "")).all() or not len(whole)}
    held |= {"y value"} if "state" in held else set()  # where nothing but what has no number is drawn
    return whole[[name for name in _COLUMNS if name.removesuffix(" value") in held or name in held]]


def csv(figure: go.Figure) -> str:
    """``table`` as CSV with a header; an empty field is no number. No text in it is a formula to a spreadsheet."""
    found = table(figure)
    words = found.select_dtypes(exclude="number").columns
    return found.assign(**{name: found[name].map(_harmless) for name in words}).to_csv(index=False)


def columns_of(figure: go.Figure) -> Iterator[Columns | None]:
    """For each trace what its numbers are; None for one that stands for nothing but an entry in the legend."""
    for trace in figure.data:
        meta = trace.meta or {}
        heat = trace.type == "heatmap"
        if trace.type not in _TYPES or (not heat and (_legend_only(trace) or (_skipped(trace) and not trace.fill))):
            yield None
            continue
        across, up = (figure.layout[_axis(at, letter)] for at, letter in ((trace.xaxis, "x"), (trace.yaxis, "y")))
        scale = figure.layout.coloraxis.colorbar.title.text if heat else None
        state = CellState(meta["state"]).words if "state" in meta else ""
        yield Columns(
            _panel(figure, across, up),
            _series(trace),
            meta.get("x_title") or _plain(across.title.text) or _shared(figure, "x"),
            meta.get("y_title") or _plain(up.title.text) or _shared(figure, "y"),
            _plain(scale),
            _LOG10 in (trace.hovertemplate or ""),
            _plain(meta.get("state_words")) or state,
            tuple(map(_plain, meta["x"])) if "x" in meta else None,
        )


def _rows(told: Columns, trace: Any) -> pd.DataFrame:
    if trace.type == "heatmap":
        return _cells(told, trace)
    return _band(told, trace) if trace.fill else _points(told, trace)


def _cells(told: Columns, trace: Any) -> pd.DataFrame:
    z = np.asarray(trace.z, dtype=np.float64)
    x, y = np.tile(np.asarray(trace.x), z.shape[0]), np.repeat(np.asarray(trace.y), z.shape[1])
    shown = np.isfinite(z.ravel())
    values = 10.0 ** z.ravel()[shown] if told.log else z.ravel()[shown]
    if "state" in (trace.meta or {}):
        values = np.full(len(values), _WORTH[CellState(trace.meta["state"])])
    return _frame(told, x[shown], y[shown], **{"z": told.z, "z value": values, "state": told.state or "value"})


def _points(told: Columns, trace: Any) -> pd.DataFrame:
    x = np.asarray(trace.x if told.x_values is None else told.x_values)
    y, own = np.asarray(trace.y), trace.customdata
    if own is not None and np.ndim(np.empty(0) if not len(own) else own[0]) == 0:
        y = own if isinstance(own, np.ndarray) else pd.Series(own, dtype=object).to_numpy()
    low, high = _interval(trace)
    if "state" in (trace.meta or {}):
        y = np.full(len(x), _WORTH[CellState(trace.meta["state"])])
        shown = np.ones(len(x), dtype=bool)
    else:
        shown = ~pd.isna(pd.Series(y, dtype=object)).to_numpy()
    x, y = (x if told.x_values else _read(x)), _read(y)
    text = np.full(len(x), "", dtype=object)
    if isinstance(trace.text, tuple | list | np.ndarray):
        text = np.array([_plain(each) for each in trace.text], dtype=object)
    frame = _frame(told, x, y, text=text, low=low, high=high, state=told.state)
    return frame[shown]


def _read(values: Any) -> Any:
    """``values`` with text as a reader sees it."""
    if values.dtype.kind not in "OU":
        return values
    read = np.empty(len(values), dtype=object)
    read[:] = [_plain(each) if isinstance(each, str) else each for each in values]
    return read


def _band(told: Columns, trace: Any) -> pd.DataFrame:
    """A filled trace goes along its upper edge and back along the lower one."""
    x, y = np.asarray(trace.x), np.asarray(trace.y, dtype=np.float64)
    half = len(x) // 2
    return _frame(told, x[:half], np.nan, low=y[half:][::-1], high=y[:half])


def _interval(trace: Any) -> tuple[Any, Any]:
    for name in ("x", "y"):
        bars = getattr(trace, f"error_{name}")
        if bars.array is not None:
            middle = np.asarray(getattr(trace, name), dtype=np.float64)
            return middle - np.asarray(bars.arrayminus), middle + np.asarray(bars.array)
    return np.nan, np.nan


def _frame(told: Columns, x: Any, y: Any, **more: Any) -> pd.DataFrame:
    plain = {"panel": told.panel, "series": told.series, "x": told.x, "x value": x, "y": told.y, "y value": y}
    empty = {"text": "", "low": np.nan, "high": np.nan, "z": "", "z value": np.nan, "state": ""}
    return pd.DataFrame({**plain, **empty, **more}, index=range(len(x)))


def _series(trace: Any) -> str:
    """Whose numbers they are: what the hover text says beside them, and the name in the legend unless that is in it."""
    name, found = _plain(trace.name), _EXTRA.search(trace.hovertemplate or "")
    whose = _plain(found[1]) if found else ""
    if "state" in (trace.meta or {}) and whose:
        return whose
    return whose if name in whose else "; ".join(filter(None, (whose, name)))


def _panel(figure: go.Figure, across: Any, up: Any) -> str:
    """The head of the panel that these axes span: the annotation that stands above it."""
    if not across.domain or not up.domain:
        return ""
    middle, top = sum(across.domain) / 2, up.domain[1]
    heads = [note for note in figure.layout.annotations if note.xref == "paper" and note.yref == "paper"]
    near = [note for note in heads if abs(note.y - top) < 0.01]
    exact = [note for note in near if abs(note.x - middle) < 0.01] or (near if across.domain == (0.0, 1.0) else [])
    return _plain(exact[0].text) if exact else ""


def _shared(figure: go.Figure, letter: str) -> str:
    """Axes that share a scale have one title between them."""
    axes = (figure.layout[name] for name in figure.layout if str(name).startswith(f"{letter}axis"))
    return next((_plain(axis.title.text) for axis in axes if axis.title.text), "")


def _skipped(trace: Any) -> bool:
    return trace.hoverinfo in ("skip", "none")


def _legend_only(trace: Any) -> bool:
    return trace.x is None or (len(trace.x) == 1 and trace.x[0] is None)


def _axis(anchor: str | None, letter: str) -> str:
    return f"{letter}axis{(anchor or letter)[1:]}"


def _plain(text: Any) -> str:
    """What a reader of the figure sees of ``text``, on one line."""
    lined = str("" if text is None else text).replace("<br>", ", ").replace("<sup>", "^").replace("<sub>", "_")
    return html.unescape(re.sub("</?b>|</su[bp]>", "", lined))


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
