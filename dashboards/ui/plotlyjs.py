"""plotly.js for the pages: the server gives it by itself, as a part of the program."""

from streamlit.components.v1 import declare_component

from graddiag.figures.plotly_component import PLOTLY_JS


def address() -> str:
    """Where a page finds it, from its own address."""
    folder = declare_component("plotly", PLOTLY_JS.parent)  # never drawn: Streamlit serves the files of its folder
    return f"component/{folder.name}/{PLOTLY_JS.name}"
