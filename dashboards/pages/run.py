"""One run: outcome, cause and what to do first, then the pictures, then the evidence. ``?run=experiment/name``"""

import streamlit as st

from graddiag import analysis
from graddiag.errors import GraddiagError
from ui import badges, pictures
from ui.findings import show_card, show_findings
from ui.live import FOLLOWS, live, places
from ui.results import OpenRun, of, open_run, state_of
from ui.runs import choose_run, facts, to_choose
from ui.settings import show_events, show_settings
from ui.shell import enter, link
from ui.text import heading, muted, refusal


def page() -> None:
    asked = choose_run()
    if asked is None:
        to_choose("Choose a run above, or follow a link from the Runs page.")
        return
    try:
        open_run(asked)
    except GraddiagError as error:
        refusal("Could not open run", str(error))
        return
    live(lambda: body(open_run(asked)), state=lambda: state_of([asked]))


def body(run: OpenRun) -> None:
    diagnosis = of(run, analysis.diagnose)
    heading(run.manifest.name)
    with st.container(horizontal=True, vertical_alignment="center"):
        badges.show_badge(run.manifest.status, badges.STATUSES)
        muted(facts(run.manifest))
        link("report", "Report", ":material/description:", {"run": run.link})
    state, card, evidence, drawn, happened, settings = places(6)
    with state:
        if run.manifest.status == "running":
            muted(FOLLOWS)
        if run.manifest.error:
            refusal("Ended with an error", run.manifest.error)
    with card:
        show_card(diagnosis)
    with evidence:
        show_findings(diagnosis)
    with drawn:
        pictures.everything([run])
    with happened:
        show_events(run)
    with settings:
        show_settings(run.manifest)


enter()
page()
