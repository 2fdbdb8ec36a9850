"""A figure on the page: its caption first, then the picture, with the table behind it to take away."""

from collections.abc import Callable
from functools import partial
from html import unescape
from typing import Any, Final, Literal

import streamlit as st
from plotly.graph_objects import Figure

from graddiag import figures
from ui.text import muted

PAGE_FONT: Final = "Source Sans, sans-serif"
CONFIG: Final = {
    "showSendToCloud": False,
    "displaylogo": False,
    "displayModeBar": "hover",
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
    "responsive": True,
}


def theme() -> Literal["light", "dark"]:
    """The theme the browser shows; light while it has not said."""
    return "dark" if st.context.theme.type == "dark" else "light"


def captioned(figure: Figure, *captions: str, key: str) -> None:
    """The picture under its captions, a line each; they are also read to those who cannot see it."""
    if _above(figure, captions, key):
        st.plotly_chart(figure, key=key, alt=" ".join(captions), config=CONFIG, width="stretch", theme=None)


def picked(figure: Figure, *captions: str, key: str, take: Callable[[Any], None]) -> None:
    """``captioned``, of a figure that one can point at: ``take`` is given what was selected, before the page is drawn
    anew. The key has to change with what the figure shows, so that a selection belongs to one picture."""
    if not _above(figure, captions, key):
        return
    st.plotly_chart(
        figure,
        key=key,
        alt=" ".join(captions),
        config=CONFIG,
        width="stretch",
        theme=None,
        selection_mode=("points", "box"),
        on_select=lambda: take(st.session_state[key]["selection"]),
    )


def _above(figure: Figure, captions: tuple[str, ...], key: str) -> bool:
    """The captions, and the numbers of the figure to take away; of a figure without any, why it is empty.

    Returns:
        Whether there is anything to draw.
    """
    if not figure.data:
        notes = [unescape(note.text.replace("<br>", " ")) for note in figure.layout.annotations if note.text]
        muted(*dict.fromkeys((*captions, *notes)))
        return False
    figure.update_layout(font_family=PAGE_FONT)
    # of two columns the shorter one makes up for it here, so that the pictures of both stand level
    with st.container(horizontal=True, wrap=False, height="stretch"):
        muted(*captions)
        st.download_button(
            "CSV",
            partial(figures.csv, figure),
            file_name=f"{key.partition('-')[0]}.csv",
            mime="text/csv",
            key=f"csv-{key}",
            help="The numbers of this picture, as a table",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            width="content",
        )
    return True
