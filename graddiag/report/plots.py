"""A figure as the JSON that the report's script draws: once in light colours, and what differs in dark ones."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import plotly.graph_objects as go

Theme = Literal["light", "dark"]
DEFAULT_HEIGHT = 450  # plotly's own


@dataclass(frozen=True)
class Picture:
    """A figure in a report, drawn in both themes, with its place, its title and what to see in it."""

    id: str
    title: str
    captions: tuple[str, ...]
    light: go.Figure
    dark: go.Figure

    @property
    def height(self) -> int:
        return int(self.light.layout.height or DEFAULT_HEIGHT)

    @property
    def columns(self) -> int:
        """How many panels stand side by side."""
        starts = {axis.domain[0] for axis in self.light.select_xaxes() if axis.domain}
        return max(len(starts), 1)


class Draw(Protocol):
    """Draws a figure in a theme."""

    def __call__(self, *, theme: Theme) -> go.Figure: ...


def picture(id: str, title: str, captions: Sequence[str], draw: Draw) -> Picture:
    return Picture(id, title, tuple(captions), draw(theme="light"), draw(theme="dark"))


def figures_json(pictures: Sequence[Picture]) -> str:
    """All ``pictures`` as JSON that may stand inside a script element: no text in it can end that element."""
    plain = json.dumps([_plain(each) for each in pictures], separators=(",", ":"))
    return plain.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _plain(each: Picture) -> dict[str, Any]:
    light, dark = _parsed(each.light), _parsed(each.dark)
    traces = zip(light["data"], dark["data"], strict=True)
    return {
        "id": each.id,
        "data": light["data"],
        "layout": light["layout"],
        "dark": {"data": [_changes(before, after) for before, after in traces], "layout": dark["layout"]},
    }


def _parsed(figure: go.Figure) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(figure.to_json())
    parsed["layout"].pop("width", None)  # as wide as the page
    return parsed


def _changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in after.items() if before.get(name) != value}
