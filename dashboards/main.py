"""What every page is in: the navigation above it, the runs folder below it. Reads the runs under one root."""

from pathlib import Path
from typing import Final

import streamlit as st

from ui.root import named_root
from ui.shell import frame, navigation
from ui.text import muted

HERE: Final = Path(__file__).parent

st.set_page_config(page_title="graddiag", page_icon=str(HERE / "mark.svg"), layout="wide")
st.logo(str(HERE / "logo.svg"), size="medium")
page = navigation()
inside, below = st.container(), st.container()
with inside:
    page.run()
with below, frame(page.url_path):
    st.space("medium")
    muted(f"Runs folder: {named_root()}", "For another folder: graddiag dashboard --root DIR")
