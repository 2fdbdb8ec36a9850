"""One run on one screen: outcome, cause, what to do first, key figures, curves, heatmap. ``?run=experiment/name``"""

import streamlit as st

from graddiag import analysis
from graddiag.errors import GraddiagError
from ui import badges, pictures
from ui.findings import show_card, show_findings
from ui.live import FOLLOWS, live, places
from ui.results import OpenRun, of, open_run, state_of
from ui.runs import choose_run, facts, title_of, to_choose
from ui.settings import show_events, show_settings
from ui.shell import enter, link
from ui.summary import at_a_glance
from ui.text import heading, muted, refusal
from ui.tiles import tiles


def page() -> None:
    titles, picker = st.columns([7, 4], vertical_alignment="center")
    with picker:
        asked = choose_run()
    if asked is None:
        with titles:
            heading("Run")
        to_choose("Choose a run, or follow a link from the Runs page.")
        return
    run = found(asked)
    with titles:
        title(run)
    if run is not None:
        about(run)
    live(lambda: show_run(asked), state=lambda: state_of([asked]))


def found(asked: str) -> OpenRun | None:
    try:
        return open_run(asked)
    except GraddiagError:
        return None


def title(run: OpenRun | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        heading("Run" if run is None else title_of(run.manifest), width="content")
        if run is not None:
            badges.show_badge(run.manifest.status, badges.STATUSES)


def about(run: OpenRun) -> None:
    """What the run is, and the ways on."""
    with st.container(horizontal=True, vertical_alignment="center", key="run-about"):
        muted(facts(run.manifest))
        link("compare", "Compare with...", ":material/compare:", {"run": run.link})
        link("report", "Report", ":material/description:", {"run": run.link})


def show_run(asked: str) -> None:
    """The run; while there is none under that link, why, until there is one."""
    try:
        run = open_run(asked)
    except GraddiagError as error:
        refusal("Could not open run", str(error))
        muted("Once there is a run under this link, this page shows it.")
        return
    body(run)


def body(run: OpenRun) -> None:
    state, answer, findings, drawn, settings = places(5)
    with state:
        if run.manifest.status == "running":
            muted(FOLLOWS)
    with drawn:
        chosen = pictures.choose_section([run])
        pictures.show_section(chosen)
    with answer:
        show_card(of(run, analysis.diagnose))
        with st.container(key="run-figures"):
            tiles(of(run, analysis.key_figures).figures)
        with st.container(key="run-glance"):
            at_a_glance(chosen)
    with findings:
        if run.manifest.error:
            refusal("Ended with an error", run.manifest.error)
        show_findings(of(run, analysis.diagnose))
    with settings:
        show_events(run)
        show_settings(run.manifest)


enter()
page()
