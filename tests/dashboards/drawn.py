"""The pictures of a page, as AppTest has them."""

from typing import Any

from streamlit.testing.v1 import AppTest

from graddiag.figures.inplace import unpacked


def charts(page: AppTest) -> list[dict[str, Any]]:
    """What each picture of the page was drawn with: ``figure``, ``alt``, ``picks``."""
    return [unpacked(each.proto.bytes) for each in page.get("bidi_component")]


def figures(page: AppTest) -> list[dict[str, Any]]:
    return [chart["figure"] for chart in charts(page)]
