"""The table behind a picture, and its CSV."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from graddiag.analysis import Source

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\n")  # what a spreadsheet takes for the beginning of a formula


def source_table(parts: Sequence[tuple[Source | None, pd.DataFrame]]) -> pd.DataFrame:
    """The tables of several results as one; before the columns of each, the run that it is of, its arm and seed."""
    frames = [_named(source, frame) for source, frame in parts]
    known = [frame for frame in frames if len(frame)] or frames[:1]
    return pd.concat(known, ignore_index=True) if known else pd.DataFrame()


def table_of(*results: Any) -> pd.DataFrame:
    """The tables of ``results``, of sequences of them too, as one; what has none is left out."""
    flat = [each for result in results for each in (result if isinstance(result, Sequence) else (result,))]
    return source_table(
        [(getattr(each, "source", None), each.to_frame()) for each in flat if hasattr(each, "to_frame")]
    )


def csv_of(*results: Any) -> str:
    """``table_of`` as CSV."""
    return to_csv(table_of(*results))


def to_csv(frame: pd.DataFrame, digits: int = 7) -> str:
    """``frame`` as CSV with a header. What was not measured is an empty field, NaN is nan, infinity inf or -inf; text
    that a spreadsheet would take for a formula begins with a quote, in the header too. Numbers have so many significant
    ``digits``."""
    return pd.DataFrame({_text(str(name)): _fields(frame[name], digits) for name in frame}).to_csv(index=False)


def _named(source: Source | None, frame: pd.DataFrame) -> pd.DataFrame:
    if source is None:
        return frame
    whose = {"run": source.run, "arm": source.arm_label, "seed": source.seed}
    whole = frame.assign(**{name: value for name, value in whose.items() if name not in frame})
    return whole[[*(name for name in whose if name not in frame), *frame.columns]]


def _fields(column: "pd.Series[Any]", digits: int) -> list[Any]:
    if pd.api.types.is_integer_dtype(column.dtype) and not column.hasnans:
        return list(column)
    return [_field(value, digits) for value in column.astype(object)]


def _text(value: str) -> str:
    """A line break of another system would not be quoted, and begin a row."""
    plain = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{plain}" if plain.startswith(_FORMULA) else plain


def _field(value: Any, digits: int) -> Any:
    if value is None or value is pd.NA:
        return None
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float | np.floating):
        return "nan" if np.isnan(value) else f"{value:.{digits}g}"
    return value
