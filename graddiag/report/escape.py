"""Text for Markdown: whatever a user wrote stays text, in CommonMark and in GitHub's dialect."""

import re
from typing import Any, Final

from markupsafe import Markup

# what can begin markup anywhere: emphasis, code, links, HTML, entities, tables, strikethrough, formulas, mentions
_ANYWHERE: Final = re.compile(r"([\\`*_\[\]<>&|~$@])")
_LINK: Final = re.compile(r"(?i)(:)(?=//)|(?<=\bwww)(\.)")
# a bullet, a heading, the dot behind the number of a list
_AT_START: Final = re.compile(r"^(\d*)([-+=#.)])(?=\s|$|[-=#])")
_BACKTICKS: Final = re.compile(r"`+")


def escaped(value: Any) -> Markup:
    """``value`` as inline Markdown that reads as its text: on one line, markup and bare links taken literally.

    What is Markdown already, a Markup, stays as it is.
    """
    if isinstance(value, Markup):
        return value
    text = _ANYWHERE.sub(r"\\\1", one_line(str(value)))
    text = _LINK.sub(lambda found: f"\\{found[0]}", text)
    return Markup(_AT_START.sub(r"\1\\\2", text))


def fenced(text: str) -> Markup:
    """``text`` as a block of code, in a fence longer than any in it."""
    longest = max((len(found) for found in _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    lines = "\n".join(_printable(line) for line in text.split("\n"))
    return Markup(f"{fence}text\n{lines}\n{fence}")


def one_line(text: str) -> str:
    """``text`` on one line, without control characters."""
    return " ".join(_printable(text).split())


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)
