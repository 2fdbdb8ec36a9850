"""A figure on the page: its caption first, then the picture, which never offers to upload itself."""

from typing import Final, Literal

import streamlit as st
from plotly.graph_objects import Figure

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
    muted(*captions)
    figure.update_layout(font_family=PAGE_FONT)
    st.plotly_chart(figure, key=key, alt=" ".join(captions), config=CONFIG, width="stretch", theme=None)
