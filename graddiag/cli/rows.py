"""Frames as they are printed: a table for people, JSON for programs."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

_UNFOLDED: Final = 10_000  # a line that is folded by the terminal can still be read, a column folded in itself cannot

_FIRST: Final = 24  # columns of the terminal that the names of the rows have at least


def print_table(frame: "pd.DataFrame") -> None:
    """Prints a frame as a table as wide as it needs; text in it stays text, whatever markup or controls it holds."""
    names = [str(name) for name in frame.columns]
    print_grid(names, [[shown(value) for value in row] for row in _rows(frame)], wide=True)


def print_grid(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", wide: bool = False) -> None:
    """Prints a table of text, which stays text; cells are folded to the width of a terminal unless it is ``wide``."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    wide = wide or not console.is_terminal
    heading = Text(printable(title)) if title else None
    table = Table(title=heading, title_justify="left", title_style="", box=SIMPLE_HEAD, header_style="bold")
    for place, name in enumerate(columns):
        table.add_column(Text(printable(name)), no_wrap=wide, min_width=0 if place else _FIRST)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    (Console(width=_UNFOLDED) if wide else console).print(table)


def print_json(value: Any) -> None:
    """Prints JSON that any reader takes: what is missing is null, NaN and inf are the strings "nan", "inf", "-inf"."""
    print(json.dumps(value, indent=2, allow_nan=False, default=str))


def records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """A row a dict, its values as JSON has them."""
    names = [str(name) for name in frame.columns]
    return [dict(zip(names, map(plain, row), strict=True)) for row in _rows(frame)]


def plain(value: Any) -> Any:
    """One value of a frame for JSON; missing (None, pandas' NA) is None and stays apart from NaN, the finding."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    value = value.item() if hasattr(value, "item") else value
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def shown(value: Any) -> str:
    """One value of a frame for a table: four digits of a float, a dash for what is missing."""
    value = plain(value)
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _rows(frame: "pd.DataFrame") -> Iterator[tuple[Any, ...]]:
    """The rows of a frame; text that is missing, NaN in pandas, is None."""
    texts = [bool(dtype == "str") for dtype in frame.dtypes]
    for row in frame.itertuples(index=False):
        yield tuple(None if text and value != value else value for text, value in zip(texts, row, strict=True))


def printable(text: str) -> str:
    """The text without what would steer the terminal; such characters show as their escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
