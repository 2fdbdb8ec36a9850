"""Frames as they are printed: a table for people, JSON for programs."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from graddiag.cli.terminal import echo
from graddiag.cli.terminal import width as terminal_width

if TYPE_CHECKING:
    import pandas as pd

_UNFOLDED: Final = 10_000  # a line that is folded by the terminal can still be read, a column folded in itself cannot

_MANY: Final = 200  # rows

_FIRST: Final = 24  # columns of the terminal that the names of the rows have at least


def print_table(frame: "pd.DataFrame", width: int | None = None) -> None:
    """Prints a frame as a table as wide as it needs, or folded to ``width``; text in it stays text, whatever markup or
    controls it holds."""
    names = [str(name) for name in frame.columns]
    print_grid(names, shown_rows(frame), wide=width is None, width=width)


def shown_rows(frame: "pd.DataFrame") -> list[list[str]]:
    """The cells of a frame as ``print_table`` prints them."""
    return [[shown(value) for value in row] for row in _rows(frame)]


def fitting(columns: Sequence[str], rows: Sequence[Sequence[str]], order: Sequence[str], width: int) -> list[str]:
    """Those of ``columns``, in their order, that fit a terminal of ``width``: as many as do in the order of their
    importance, ``order``; the first always."""
    needed = {
        name: 2 + max(map(_cells, [name, *(printable(row[place]) for row in rows)]))
        for place, name in enumerate(columns)
    }
    taken, used = {order[0]}, min(needed[order[0]], max(_FIRST, width // 2))  # long ones are folded
    for name in order[1:]:
        if used + needed[name] <= width:
            taken.add(name)
            used += needed[name]
    return [name for name in columns if name in taken]


def _cells(text: str) -> int:
    """Columns that a text takes in a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def print_grid(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    wide: bool = False,
    width: int | None = None,
) -> None:
    """Prints a table of text, which stays text; cells are folded to ``width``, by default that of the terminal, unless
    it is ``wide``."""
    width = width or terminal_width()
    wide = wide or width is None
    heads, cells = [printable(name) for name in columns], [[printable(cell) for cell in row] for row in rows]
    spaces = _widths(heads, cells)
    if len(cells) > _MANY and not title and (wide or width is None or sum(spaces) + 3 * len(spaces) + 1 <= width):
        _print_lines(heads, cells, spaces)
    else:
        _print_folded(heads, cells, printable(title), wide=wide, width=width)


def _widths(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """The columns of the terminal that each column of a table needs."""
    return [max(map(_cells, [head, *(row[place] for row in rows)])) for place, head in enumerate(heads)]


def _print_lines(heads: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> None:
    """As ``_print_folded`` prints a table that needs no folding: rich takes a millisecond for each row."""
    rule = "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * (sum(widths) + 3 * len(widths) - 1)

    def line(row: Sequence[str]) -> str:
        return "  " + "   ".join(cell + " " * (w - _cells(cell)) for cell, w in zip(row, widths, strict=True)) + "  "

    echo("\n".join([line(heads), f" {rule} ", *map(line, rows)]))


def _print_folded(
    heads: Sequence[str], rows: Sequence[Sequence[str]], title: str, *, wide: bool, width: int | None
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heading = Text(title) if title else None
    table = Table(title=heading, title_justify="left", title_style="", box=SIMPLE_HEAD, header_style="bold")
    for place, name in enumerate(heads):
        least = 0 if place or width is None else min(_FIRST, width // 3)
        table.add_column(Text(name), no_wrap=wide, min_width=least, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(width=_UNFOLDED if wide else width).print(table)


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
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
