"""A figure on the page: its caption first, then the picture, with the table behind it to take away."""

from collections.abc import Callable
from typing import Any, Final

import streamlit as st
from plotly.graph_objects import Figure
from streamlit.components.v2 import component

from graddiag.figures import why_empty
from graddiag.figures.picking import PICKED
from graddiag.figures.plotly_component import PROGRAM, packed
from ui import plotlyjs
from ui.downloads import download
from ui.text import heading, muted

PAGE_FONT: Final = "Source Sans, sans-serif"

Csv = Callable[[], str]

# st.plotly_chart makes a chart that has changed anew, and it is away for a moment
_chart: Final = component("graddiag_chart", js=PROGRAM, isolate_styles=False)


def captioned(figure: Figure, *captions: str, key: str, csv: Csv) -> None:
    """The picture under its captions, a line each; they are also read to those who cannot see it. ``csv`` gives its
    numbers."""
    if _above(figure, captions, key, csv):
        _chart(key=key, data=_packed(figure, captions), height=figure.layout.height)


def picked(figure: Figure, *captions: str, key: str, csv: Csv, take: Callable[[Any], None]) -> None:
    """``captioned``, of a figure that one can point at: ``take`` is given what was taken, before the page is drawn
    anew: ``{"points": [{"x"}]}`` of a click, ``{"box": [{"x", "y"}]}`` of a drag, in numbers of the axes."""
    if _above(figure, captions, key, csv):
        _pickable(figure, captions, key, take)


def titled(
    figure: Figure, title: str, *captions: str, key: str, csv: Csv, take: Callable[[Any], None] | None = None
) -> None:
    """The picture under its title alone, with its numbers beside that; its captions are read to those who cannot see
    it. ``take``: as in ``picked``."""
    if not figure.data:
        heading(title, level=3)
        muted(*dict.fromkeys(why for why in (why_empty(figure), *captions) if why))
        return
    figure.update_layout(font_family=PAGE_FONT)
    with st.container(horizontal=True, wrap=False, vertical_alignment="center"):
        heading(title, level=3)
        _csv(key, csv)
    if take is None:
        _chart(key=key, data=_packed(figure, captions), height=figure.layout.height)
    else:
        _pickable(figure, captions, key, take)


def _pickable(figure: Figure, captions: tuple[str, ...], key: str, take: Callable[[Any], None]) -> None:
    _chart(
        key=key,
        data=_packed(figure, captions, picks=PICKED),
        height=figure.layout.height,
        on_picked_change=lambda: take(st.session_state[key]["picked"]),
    )


def _packed(figure: Figure, captions: tuple[str, ...], picks: str | None = None) -> bytes:
    return packed(figure, plotly_js=plotlyjs.address(), alt=" ".join(captions), picks=picks)


def _above(figure: Figure, captions: tuple[str, ...], key: str, csv: Csv) -> bool:
    """The captions, and the numbers of the figure to take away; of a figure without any, why it is empty.

    Returns:
        Whether there is anything to draw.
    """
    if not figure.data:
        why = why_empty(figure)
        muted(*dict.fromkeys(captions if why is None else (*captions, why)))
        return False
    figure.update_layout(font_family=PAGE_FONT)
    # of two columns the shorter one makes up for it here, so that the pictures of both stand level
    with st.container(horizontal=True, wrap=False, height="stretch"):
        muted(*captions)
        _csv(key, csv)
    return True


def _csv(key: str, csv: Csv) -> None:
    download("CSV", csv, f"{key}.csv", "text/csv", key=key, about="The numbers of this picture, as a table")
