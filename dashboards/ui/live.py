"""A part of a page that refreshes itself while a run is being written, and rests when none is."""

from collections.abc import Callable
from typing import Final

import streamlit as st

from graddiag.errors import GraddiagError
from ui.text import refusal

REFRESH: Final = "1s"


def live(body: Callable[[], bool], *, running: bool, state: Callable[[], object] | None = None) -> None:
    """Draws ``body``, again while ``running``. ``body`` says whether anything still runs.

    With ``state`` it is looked at every second, and the page drawn again when it is not what it was: what has not
    changed costs nothing. Without it ``body`` itself is drawn every second. When the running begins or ends the page is
    drawn once more, which starts or stops the refreshing. A run that turns out to be damaged is told in words, where
    the drawing stopped.
    """
    seen = state() if state and running else None

    @st.fragment(run_every=REFRESH if running and state is None else None)
    def part() -> None:
        try:
            still = body()
        except GraddiagError as error:
            refusal("Could not be read", str(error))
            return
        if still != running:
            st.rerun()

    @st.fragment(run_every=REFRESH)
    def watch() -> None:
        if state is not None and state() != seen:
            st.rerun()

    part()
    if running and state is not None:
        watch()
