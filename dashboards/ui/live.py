"""A part of a page that refreshes itself while a run is being written, and rests when none is."""

from collections.abc import Callable
from typing import Final

import streamlit as st

from graddiag.errors import GraddiagError
from ui.text import refusal

REFRESH: Final = "2s"


def live(body: Callable[[], bool], *, running: bool) -> None:
    """Draws ``body``, again every two seconds while ``running``. ``body`` says whether anything still runs.

    When that changes the whole page is drawn once more, which starts or stops the refreshing. A run that turns out to
    be damaged is told in words, where the drawing stopped.
    """

    @st.fragment(run_every=REFRESH if running else None)
    def part() -> None:
        try:
            still = body()
        except GraddiagError as error:
            refusal("Could not be read", str(error))
            return
        if still != running:
            st.rerun()

    part()
