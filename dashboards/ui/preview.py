"""A report within the page: plotly.js comes by itself, as a part of the program, and not in every report anew."""

from typing import Final

import streamlit as st
from streamlit.components.v1 import declare_component

from graddiag.report import PLOTLY_JS, lightened

HEIGHT: Final = 900  # pixels
_NAME: Final = "plotly"


def preview(report: str) -> None:
    """Shows ``report``, an HTML report."""
    folder = declare_component(_NAME, PLOTLY_JS.parent)  # never drawn: Streamlit serves the files of its folder
    address = f"component/{folder.name}/{PLOTLY_JS.name}"  # from the page's own, wherever it is served
    with st.container(border=True):  # the report has the colours of the page
        st.iframe(_light(report, address), height=HEIGHT, alt="Preview of the report")


@st.cache_data(show_spinner=False, max_entries=4)
def _light(report: str, address: str) -> str:
    return lightened(report, address)
