"""A figure with its place in a report, and as JSON: once in light colours, and what differs in dark ones."""

import gzip
import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np
import plotly.graph_objects as go

from graddiag.figures.lines import MOST_POINTS, decimated
from graddiag.figures.theme import Theme
from graddiag.store.slugs import slug

DEFAULT_HEIGHT: Final = 450  # plotly's own
MOST_BYTES: Final = 2_300_000  # of all figures of a report: with their tables and plotly.js it stays below 8 MB
TABLE_BYTES: Final = 600_000  # of all tables; figures give way to what is beyond
PAPER_WIDTH: Final = 672  # CSS pixels, 96 an inch, between the margins of 16 mm of A4
LOWER: Final = 0.48  # of the height of panels on the screen: so that most pages hold three figures
LOWEST: Final = 62  # pixels of a panel with its ticks, below which those of one overprint the next
TICKS: Final = 45  # pixels below the panels, beside the margins
POINTS: Final = (MOST_POINTS, 1000, 500, 250)  # of a line, the first that fits

_BY_POINT: Final = ("x", "y", "customdata", "text")


@dataclass(frozen=True)
class FigurePlace:
    """The place of a figure: the id of its chapter, its name there, and the layer that it is about, the n-th."""

    chapter: str
    name: str
    layer: str | None = None
    number: int = 0

    @property
    def id(self) -> str:
        return f"{self.chapter}-{self.name}" if self.layer is None else f"{self.chapter}-{self.number}-{self.name}"

    @property
    def file(self) -> str:
        """A name for a file of the figure, the same for the same run; two layers may share one."""
        return self.name if self.layer is None else f"{self.name}-{slug(self.layer, fallback='layer')}"


class Draw(Protocol):
    """Draws a figure in a theme."""

    def __call__(self, *, theme: Theme) -> go.Figure: ...


@dataclass(frozen=True)
class Picture:
    """A figure in a report: its place, its title, what to see in it, the figure itself in both themes, each drawn when
    it is first asked for, and its numbers as CSV where it has any. detail: see ``View``."""

    place: FigurePlace
    title: str
    captions: tuple[str, ...]
    draw: Draw
    csv: Callable[[], str] | None = None
    detail: bool = False

    @cached_property
    def light(self) -> go.Figure:
        return self.draw(theme="light")

    @cached_property
    def dark(self) -> go.Figure:
        return self.draw(theme="dark")

    @property
    def id(self) -> str:
        return self.place.id

    @property
    def height(self) -> int:
        return int(self.light.layout.height or DEFAULT_HEIGHT)

    @property
    def paper_height(self) -> int:
        """The height on paper: panels are lower, what is around them has the same size."""
        margin = self.light.layout.margin
        around = (margin.t or 0) + (margin.b or 0) + TICKS
        rows = len({axis.domain for axis in self.light.select_yaxes()})
        return min(self.height, round(around + max((self.height - around) * LOWER, rows * LOWEST)))

    @property
    def columns(self) -> int:
        """How many panels are side by side."""
        starts = {axis.domain[0] for axis in self.light.select_xaxes() if axis.domain}
        return max(len(starts), 1)


def printable(each: Picture, width: int, height: int | None = None) -> dict[str, Any]:
    """The figure in light colours on white and so many CSS pixels wide, as plain JSON. ``height``: None is that of the
    screen."""
    plain = _parsed(each.light)
    plain["layout"] |= {
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "width": width,
        "height": height or each.height,
    }
    return plain


def figures_json(pictures: Sequence[Picture]) -> str:
    """All ``pictures`` as JSON that is safe inside a script element: no text in it can end that element.

    Where that would be more than ``MOST_BYTES``, lines have fewer points; their peaks stay.
    """
    tables = ["{" if text is None else f"{script_json({'csv': text})[:-1]}," for text in packed_tables(pictures)]
    texts = [script_json(_plain(each, POINTS[0])) for each in pictures]
    most = MOST_BYTES - max(0, sum(map(len, tables)) - TABLE_BYTES)
    for points in POINTS[1:]:
        if len(_list(texts)) <= most:
            break
        thinner = zip(pictures, texts, strict=True)
        texts = [script_json(_plain(each, points)) if _longest(each) > points else text for each, text in thinner]
    return _list([f"{table}{text[1:]}" for table, text in zip(tables, texts, strict=True)])


def packed_tables(pictures: Sequence[Picture]) -> list[str | None]:
    """The CSV of each figure, compressed, in base64; where it repeats that of an earlier figure, # and the figure's id;
    None where there is none."""
    first: dict[str, str] = {}
    found: list[str | None] = []
    for each in pictures:
        text = None if each.csv is None else each.csv()
        if text is None or text in first:
            found.append(None if text is None else f"#{first[text]}")
        else:
            first[text] = each.id
            found.append(b64encode(gzip.compress(text.encode(), mtime=0)).decode())
    return found


def _list(texts: Sequence[str]) -> str:
    return f"[{','.join(texts)}]"


def script_json(value: Any) -> str:
    """``value`` as JSON that is safe inside a script element."""
    plain = json.dumps(value, separators=(",", ":"))
    return plain.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _plain(each: Picture, points: int) -> dict[str, Any]:
    light, dark = _parsed(_thinned(each.light, points)), _parsed(_thinned(each.dark, points))
    traces = zip(light["data"], dark["data"], strict=True)
    return {
        "id": each.id,
        "data": light["data"],
        "layout": light["layout"],
        "paper": {"width": PAPER_WIDTH, "height": each.paper_height},
        "dark": {"data": [_changes(before, after) for before, after in traces], "layout": dark["layout"]},
    }


def _parsed(figure: go.Figure) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(figure.to_json())
    parsed["layout"].pop("width", None)  # as wide as the page
    return parsed


def _thinned(figure: go.Figure, points: int) -> go.Figure:
    """The figure with at most so many points in a line: the smallest and the largest of each stretch are kept."""
    thin = go.Figure(figure)
    for trace in _lines(thin):
        if _count(trace) > points:
            kept, count = decimated(np.asarray(trace.y, dtype=np.float64), points), _count(trace)
            trace.update({name: trace[name][kept] for name in _BY_POINT if _count(trace, name) == count})
    return thin


def _longest(each: Picture) -> int:
    """How many points the longest line of a picture has that could have fewer."""
    return max(map(_count, _lines(each.light)), default=0)


def _lines(figure: go.Figure) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.type == "scatter" and trace.fill is None]


def _count(trace: go.Scatter, name: str = "y") -> int:
    values = trace[name]
    return len(values) if isinstance(values, np.ndarray) else 0


def _changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in after.items() if before.get(name) != value}
