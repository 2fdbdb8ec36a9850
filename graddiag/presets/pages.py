"""How a preset shows something: pictures and tables for its leaflet."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import pandas as pd

from graddiag.analysis import number
from graddiag.report.content import Grid
from graddiag.report.plots import Picture, Place
from graddiag.store import slug

R = TypeVar("R")


def picture(title: str, caption: str, draw: Callable[..., Any], *results: Any, **how: Any) -> Picture:
    """``draw(*results, theme=..., **how)`` with a title above it and one sentence below that says what to see.

    The title is unique within a leaflet: it names the figure's file.
    """
    return Picture(Place(slug(title, fallback="figure"), "figure"), title, (caption,), partial(draw, *results, **how))


def grid(caption: str, frame: pd.DataFrame) -> Grid:
    """A table with numbers as people write them; the first column names the row."""
    rows = frame.itertuples(index=False, name=None)
    return Grid(caption, tuple(map(str, frame.columns)), tuple(tuple(map(_cell, row)) for row in rows))


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _cell(value: Any) -> str:
    if value is None or value is pd.NA:
        return "-"
    return number(value) if isinstance(value, float) else str(value)
