"""A report: choose runs, sections and a format, look at it, download it. ``?run=one&run=another&format=PDF``"""

from typing import Final

import streamlit as st

from graddiag.errors import GraddiagError
from graddiag.report import FORMATS, FORMS, SECTIONS, Packed, pack_report
from ui.opening import opened
from ui.preview import preview as draw
from ui.results import OpenRun, read
from ui.runs import choose_runs, to_choose
from ui.shell import enter
from ui.text import as_label, heading, muted, refusal, sentence

KEPT: Final = "report made"  # in the session: what was asked for, and what was made of it
HTML: Final = "html"
ABOUT: Final = {each.name: each.help for each in FORMATS}
MEGABYTE: Final = 1e6


def page() -> None:
    heading("Report")
    sentence("A shareable file: outcome, cause, advice, evidence and methods for the chosen runs.")
    runs = opened(choose_runs("Choose one run or several"))
    if not runs:
        to_choose("Choose the runs above. Those of one experiment are compared; runs of several become a chapter each.")
        return
    with st.container(border=True):
        asked = choose(runs)
        with st.container(horizontal=True, vertical_alignment="center"):
            pressed = st.button("Make the report", type="primary", icon=":material/description:", disabled=not asked[1])
            preview = asked[3] == HTML and st.toggle("Preview", key="preview", bind="query-params")
        if pressed or (preview and asked[1] and KEPT not in st.session_state):  # a link to a preview shows one
            make(runs, asked)
    show(asked, preview=preview)


def choose(runs: list[OpenRun]) -> tuple[tuple[str, ...], tuple[str, ...], str, str]:
    """Draws the form; gives the runs and their revisions, the sections, the title and the format."""
    cells = st.columns([3, 2])
    sections = cells[0].pills(
        "Sections", SECTIONS, selection_mode="multi", default=SECTIONS, key="sections", bind="query-params", wrap=True
    )
    with cells[1]:
        form = st.segmented_control(
            "Format",
            list(FORMS),
            default=HTML,
            required=True,
            format_func=lambda name: FORMS[name],
            key="format",
            bind="query-params",
        )
        muted(ABOUT[form])
    title = st.text_input(
        "Title", max_chars=200, key="title", bind="query-params", placeholder="the experiment's or the run's own name"
    )
    ordered = tuple(name for name in SECTIONS if name in sections)
    return tuple(f"{run.link}@{run.revision}" for run in runs), ordered, title, form


def make(runs: list[OpenRun], asked: tuple[tuple[str, ...], tuple[str, ...], str, str]) -> None:
    """Makes the report and keeps it for this visitor, until another one is made."""
    _, sections, title, form = asked
    st.session_state[KEPT] = (None, None)
    try:
        with st.status("reading the runs", expanded=False) as status:
            members = [read(run) for run in runs]

            def on_progress(doing: str) -> None:
                status.update(label=as_label(doing))

            packed = pack_report(members, form, sections=sections, title=title or None, on_progress=on_progress)
            status.update(label="made", state="complete")
    except GraddiagError as error:
        refusal("Not made", str(error))
        return
    st.session_state[KEPT] = (asked, packed)


def show(asked: tuple[tuple[str, ...], tuple[str, ...], str, str], *, preview: bool) -> None:
    """The report that was made, as long as it is of what is asked for now."""
    made, packed = st.session_state.get(KEPT, (None, None))
    if made is None:
        return
    if made != asked:
        muted("What is asked for has changed since the report was made; make it again.")
        return
    download(packed)
    if preview and packed.mime == "text/html":
        draw(packed.content.decode())


def download(packed: Packed) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            f"Download {packed.name}",
            packed.content,
            packed.name,
            packed.mime,
            icon=":material/download:",
            on_click="ignore",
        )
        muted(f"{len(packed.content) / MEGABYTE:.1f} MB. It opens offline.")


enter()
page()
