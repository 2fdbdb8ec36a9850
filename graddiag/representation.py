"""How a value appears where it is the last line of a cell or of a prompt: one line of text, or HTML in a notebook."""

from importlib import import_module
from typing import Any, Final

LONGEST: Final = 200  # characters of a line


def one_line(value: object, *parts: object) -> str:
    """``Name(part, part)`` of a value: one printable line of 200 characters at most; parts that are None or empty are
    left out."""
    words = ", ".join(str(part) for part in parts if part is not None and str(part))
    text = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    name = type(value).__name__
    room = LONGEST - len(name) - 2
    return f"{name}({text if len(text) <= room else f'{text[: room - 3]}...'})"


def notebook_html(value: Any) -> str:
    """The HTML of a value in a notebook, made by ``graddiag.notebook``, which is loaded when first needed."""
    found = import_module("graddiag.notebook").html_of(value)
    assert isinstance(found, str)
    return found
