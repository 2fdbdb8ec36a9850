"""Values in a notebook: the HTML of each, and ``graddiag.show``, the summary of a run that grows while it trains."""

from typing import Any

from graddiag.notebook.cards import CARDS
from graddiag.notebook.summary import show as show


def html_of(value: Any) -> str:
    """The HTML of a value of a class in ``CARDS``, text in it escaped, legible on a light and on a dark ground."""
    return str(CARDS[type(value).__name__](value))
