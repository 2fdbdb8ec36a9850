"""What surrounds every page: the navigation, and the way into it for a visitor who comes by a link."""

from pathlib import Path
from typing import Final

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

APP: Final = Path(__file__).resolve().parents[1] / "app.py"
_ENTERED: Final = "entered"


def navigation() -> st.Page:
    """The page that the address asks for, to be run; the other pages stand above it.

    They have no icons: Streamlit would make them the icon of the browser's tab, and fetch that from elsewhere.
    """
    st.session_state[_ENTERED] = True
    return st.navigation(
        [
            st.Page("pages/runs.py", title="Runs", default=True),
            st.Page("pages/run.py", title="Run"),
            st.Page("pages/compare.py", title="Compare"),
        ],
        position="top",
    )


def enter() -> None:
    """Starts over with app.py if Streamlit has left it out.

    As long as app.py has not run once, Streamlit serves the files of a folder called pages by itself. So the first
    visitor of a fresh server who follows a link to a page would get that page alone, without navigation and root.
    """
    context = get_script_run_ctx()
    if context and Path(context.main_script_path).resolve() == APP and _ENTERED not in st.session_state:
        navigation()
        st.rerun()
