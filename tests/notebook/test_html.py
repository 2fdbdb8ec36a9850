"""The pieces that cards are made of."""

import pytest

from graddiag.notebook.html import line, tiles
from tests.notebook.parsed import parsed


@pytest.mark.parametrize(
    ("words", "codes", "text"),
    [
        ("Use `a < b` first.", 1, "Use a < b first."),
        ("One ` alone", 0, "One ` alone"),
        ("`a` and `b` and ` alone", 2, "a and b and ` alone"),
        ("<code>no</code>", 0, "<code>no</code>"),
    ],
)
def test_what_is_between_backticks_is_code(words: str, codes: int, text: str) -> None:
    found = parsed(str(line(words)))
    assert found.elements.count("code") == codes
    assert found.text == text


def test_tiles_have_title_value_and_detail_and_mark_what_went_wrong() -> None:
    good = parsed(str(tiles([("Loss", "0.1", "<chance>", False)])))
    bad = parsed(str(tiles([("Loss", "0.1", "<chance>", True)])))
    assert good.text == bad.text == "Loss0.1<chance>"
    assert (good.elements.count("span"), bad.elements.count("span")) == (0, 1)
