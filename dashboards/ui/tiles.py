"""The key figures of a run as a row of tiles: a title, a number, and what it is to be held against."""

from collections.abc import Iterable
from html import escape
from typing import Final

import streamlit as st

from graddiag.analysis import KeyFigure
from ui.theme import BAD, theme

_ROW: Final = "display:grid;grid-template-columns:repeat(auto-fit,minmax(7rem,1fr));gap:.5rem;margin:0;padding:0"
# as high as two lines of detail, so that what is below stays where it is while a run grows
_TILE: Final = (
    "border:1px solid rgba(128,128,128,.3);border-radius:.4rem;padding:.35rem .6rem;min-width:0;min-height:5.4rem"
)

_TITLE: Final = "margin:0;font-size:.8rem;line-height:1.35;opacity:.78"
_VALUE: Final = "margin:0;font-size:1.2rem;font-weight:600;line-height:1.3;font-variant-numeric:tabular-nums"
_DETAIL: Final = "margin:0;font-size:.8rem;line-height:1.3;opacity:.78;overflow-wrap:anywhere"


def tiles(figures: Iterable[KeyFigure]) -> None:
    """A tile for each; the number of one that went wrong has the colour of a bad outcome."""
    st.html(f'<dl style="{_ROW}">{"".join(map(_tile, figures))}</dl>')


def _tile(figure: KeyFigure) -> str:
    color = f";color:{BAD[theme()]}" if figure.alarming else ""
    return (
        f'<div style="{_TILE}"><dt style="{_TITLE}">{escape(figure.title)}</dt>'
        f'<dd style="{_VALUE}{color}">{escape(figure.value)}</dd>'
        f'<dd style="{_DETAIL}">{escape(figure.detail)}</dd></div>'
    )
