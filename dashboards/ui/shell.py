"""What surrounds every page: the navigation, and the way into it for a visitor who comes by a link."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from ui import access
from ui.text import as_label
from ui.theme import follow

MAIN: Final = Path(__file__).resolve().parents[1] / "main.py"
LESSONS: Final = (  # file and title of each page under Learn, in the order to read them
    ("learn_vanishing", "What vanishes, and why"),
    ("learn_gates", "What a gate does"),
    ("learn_clipping", "What clipping does"),
    ("learn_cliff", "The cliff"),
    ("learn_saturation", "Loss and saturation"),
)
LAB: Final = "lab"
LESSON: Final = 1180  # pixels: controls and pictures side by side
_ENTERED: Final = "entered"
_PAGE: Final = "page"
_KEPT: Final = (_ENTERED, _PAGE, "problem", "done", "lab refused")
# what is about to be drawn again stays as it is until then: by default Streamlit fades it
_CALM: Final = '[data-stale="true"] { opacity: 1 !important; transition: none !important }'
# the button beside a caption is no taller than a line of it
_FLAT: Final = 'button[data-testid="stBaseButton-tertiary"] { min-height: 1.5rem; padding-block: 0 }'
# an arrow before a link to a file, which is not read out
_ARROW: Final = 'a[download]::before { content: "\\2193" / "" }'
# a formula is a box that scrolls: without room around it its slanted last letter brings a scroll bar
_WHOLE: Final = ".katex-display { padding: .25rem }"
# the row of sections folds on a phone, which would leave some of them without an edge
_FOLDED: Final = (
    '@media (max-width: 640px) { .st-key-section [role="radiogroup"] { gap: .25rem } '
    ".st-key-section button { border-radius: .5rem; margin: 0; flex: 1 1 30% } }"
)
# the CSV of a table is made by the browser, with text that a spreadsheet takes for a formula
_NO_CSV: Final = 'button[aria-label^="Download as CSV"] { display: none }'
# a phone shows the answer, the curves and the heatmap before anything else
_LATER: Final = ("run-about", "run-figures", "compare-who")
_ANSWER_FIRST: Final = (
    "@media (max-width: 640px) { h1 { font-size: 1.25rem !important } "
    + "".join(f"[data-testid='stLayoutWrapper']:has(> .st-key-{key}) {{ order: 1 }} " for key in _LATER)
    + "}"
)
# the menu of a section does not say by itself that the page is one of its own
_WITHIN: Final = (
    '[data-testid="stTopNavSection"] { background: rgba(153, 173, 194, .25) } [data-testid="stTopNavSection"] p '
    "{ font-weight: 600 }"
)
# Streamlit writes white on the primary colour, which by night has to be bright enough to be read as text
_READABLE: Final = (
    '[data-testid^="stBaseButton-primary"]:not(:disabled), [data-testid^="stBaseButton-primary"]:not(:disabled) *, '
    "[data-tag], [data-tag] * { color: light-dark(#ffffff, #12161b) !important }"
)


def navigation() -> st.Page:
    """The page that the address asks for, to be run; the other pages are above it.

    They have no icons: Streamlit would make them the icon of the browser's tab, and fetch that from elsewhere.
    """
    st.session_state[_ENTERED] = True
    page = st.navigation(
        {
            "": [
                st.Page("pages/runs.py", title="Runs", default=True),
                st.Page("pages/run.py", title="Run"),
                st.Page("pages/compare.py", title="Compare"),
                st.Page("pages/experiment.py", title="Experiment"),
                st.Page("pages/report.py", title="Report"),
                *([st.Page("pages/lab.py", title="Lab")] if access.may_change() else []),
            ],
            "Learn": [st.Page(f"pages/{name}.py", title=title) for name, title in LESSONS],
        },
        position="top",
    )
    _style(page.url_path)
    _forget(page.url_path)
    follow()
    return page


def frame(page: str) -> DeltaGenerator:
    """Where what belongs to ``page`` is placed: lessons are narrower than a wide window, and in its middle."""
    if page not in dict(LESSONS):
        return st.container()
    return st.container(horizontal_alignment="center").container(width=LESSON)


def _style(page: str) -> None:
    """What Streamlit's own style lacks."""
    rules = [_CALM, _FLAT, _ARROW, _WHOLE, _FOLDED, _READABLE, _ANSWER_FIRST, _NO_CSV]
    within = [_WITHIN] if page in dict(LESSONS) else []
    st.html(f"<style>{' '.join([*rules, *within])}</style>")


def _forget(page: str) -> None:
    """On the way to another ``page`` what widgets held: a name may mean something else there; a view is its address."""
    before = st.session_state.get(_PAGE, page)
    st.session_state[_PAGE] = page
    if before != page:
        for key in [key for key in st.session_state if key not in _KEPT]:
            del st.session_state[key]


def link(name: str, label: str, icon: str, query: Mapping[str, str | list[str]] | None = None) -> None:
    """A link to another page, by the name of its file, with what follows the ? in its address; none to the Lab where no
    training may be started.

    Links alone lead to another page: st.switch_page out of a part that refreshes itself can meet a refresh that is on
    its way, and Streamlit then draws the one page into the other.
    """
    if name == LAB and not access.may_change():
        return
    page = st.Page(MAIN.parent / "pages" / f"{name}.py")
    st.page_link(page, label=as_label(label), icon=icon, query_params=query)


def enter() -> None:
    """Starts over with main.py if Streamlit has left it out.

    As long as main.py has not run once, Streamlit serves the files of a folder called pages by itself. So the first
    visitor of a fresh server who follows a link to a page would get that page alone, without navigation and root.
    """
    context = get_script_run_ctx()
    if context and Path(context.main_script_path).resolve() == MAIN and _ENTERED not in st.session_state:
        navigation()
        st.rerun()
