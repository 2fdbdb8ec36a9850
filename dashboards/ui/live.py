"""A part of a page that is drawn again when what it shows has changed on disk, and rests as long as nothing does."""

from collections.abc import Callable
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from graddiag.errors import GraddiagError
from ui.text import refusal

REFRESH: Final = "1s"
FOLLOWS: Final = (
    "Being written: this page follows within two seconds. What takes over a second to compute may lag by twice "
    "the time it takes."
)


def live(body: Callable[[], None], *, state: Callable[[], object]) -> None:
    """Draws ``body``; the page is drawn again when ``state``, which is asked every second, is not what it was.

    ``state`` has to be cheap, as every open page asks for it. It is asked before ``body`` is drawn, so that what
    changes meanwhile is drawn as well. What has not changed is neither computed nor sent again. A run that turns out to
    be damaged is reported in words, where the drawing stopped.
    """
    seen, drawn = state(), False

    @st.fragment
    def part() -> None:
        try:
            body()
        except GraddiagError as error:
            refusal("Could not be read", str(error))

    @st.fragment(run_every=REFRESH)
    def watch() -> None:
        nonlocal drawn
        if drawn and state() != seen:  # not at once: a page that takes longer than a flush would never rest
            st.rerun()
        drawn = True

    # Of a part that is drawn again before the browser has all of its page, Streamlit drops what it drew before: if
    # anything came after it in its container, that would stand where nothing is, and the browser would show no page.
    with st.container():
        part()
        watch()


def places(count: int) -> list[DeltaGenerator]:
    """Places below each other, for parts of a page that may be there or not while it is drawn again and again: without
    them each part would move up and down with those above it, and what moves is made anew by the browser, which keeps
    the boxes that unfold of all those before."""
    return [st.container() for _ in range(count)]
