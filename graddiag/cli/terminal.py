"""The terminal that output goes to: its width, and how text is written where its encoding lacks a character."""

import codecs
import io
import os
import shutil
import sys
import unicodedata
from typing import Final

NARROWEST: Final = 40
READABLE: Final = 100  # columns; longer lines of text are hard to read
HANDLER: Final = "graddiag-ascii"

_FORMS: Final = {
    "\N{DOUBLE VERTICAL LINE}": "||",
    "\N{MIDDLE DOT}": "-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{LEFTWARDS ARROW}": "<-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{MINUS SIGN}": "-",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{NOT EQUAL TO}": "!=",
    "\N{ALMOST EQUAL TO}": "~",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{PARTIAL DIFFERENTIAL}": "d",
    "\N{INFINITY}": "inf",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
}


def width() -> int | None:
    """Columns of the terminal, or of COLUMNS where that is set; None where output goes to a file or a pipe."""
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS", "").isdigit():
        return None
    return max(NARROWEST, shutil.get_terminal_size().columns)


def text_width(default: int) -> int:
    """Columns for text: those of the terminal, at most 100; ``default`` where there is none."""
    return min(width() or default, READABLE)


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Writes a line to stdout, or to stderr; without ``nl`` no end of the line."""
    print(text, file=sys.stderr if err else sys.stdout, end="\n" if nl else "", flush=True)


def write_any_text() -> None:
    """Makes stdout and stderr take every character: one that the encoding lacks is written in ASCII (``||`` for
    a norm sign), or as ``?``."""
    codecs.register_error(HANDLER, _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors=HANDLER)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """The ASCII forms of the characters that could not be encoded, and where to continue."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(ascii_form, error.object[error.start : error.end])), error.end


def ascii_form(character: str) -> str:
    """A character in ASCII: a form of its kind, without accents, or ``?``."""
    if character in _FORMS:
        return _FORMS[character]
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain if plain.strip() else "?"
