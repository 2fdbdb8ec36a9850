"""A report within the page: plotly.js comes by itself, as a part of the program, and not in every report anew."""

from typing import Final

import streamlit as st

from graddiag.report import lightened
from ui import plotlyjs

HEIGHT: Final = 900  # pixels


def preview(report: str) -> None:
    """Shows ``report``, an HTML report."""
    with st.container(border=True):  # the report has the colours of the page
        st.iframe(_light(report, plotlyjs.address()), height=HEIGHT, alt="Preview of the report")


@st.cache_data(show_spinner=False, max_entries=4)
def _light(report: str, address: str) -> str:
    return lightened(report, address)
