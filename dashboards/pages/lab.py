"""The Lab: choose a training, start it in a separate process, watch it live, stop it. ``?job=ID``"""

from collections.abc import Callable
from typing import Any, Final

import streamlit as st

from graddiag.errors import GraddiagError
from graddiag.jobs.control import start
from graddiag.jobs.files import read_jobs
from graddiag.jobs.values import Job, JobRequest
from ui import access, labform, labjobs, presetform
from ui.live import live
from ui.root import runs_root
from ui.runs import root_state
from ui.shell import enter
from ui.text import heading, muted, refusal, sentence

PAIR: Final = "pair"
PRESET: Final = "preset"
KINDS: Final = (PAIR, PRESET)
KINDS_ABOUT: Final = {
    PAIR: "A pair: two trainings from the same weights on the same batches, with clipping off and with clipping on.",
    PRESET: "A preset: a model or experiment from the literature. It is trained and recorded, and a short report with "
    "figures is written.",
}


def page() -> None:
    heading("Lab")
    if not access.may_change():
        refusal("Not offered", access.WHY_NOT)
        return
    kind = st.segmented_control("What to run", KINDS, key="kind", default=PAIR, required=True, bind="query-params")
    sentence(f"{KINDS_ABOUT[kind]} The job keeps running in the background if you close this page.")
    if kind == PAIR:
        form(labform.choose_training, labform.training_request)
    else:
        form(presetform.choose_preset, presetform.preset_request)
    live(body, state=lambda: (root_state(), labjobs.states(), labjobs.last_words()))


def form(choose: Callable[[], Any], request: Callable[[Any], JobRequest]) -> None:
    """The settings, and the button that starts them."""
    with st.container(border=True):
        chosen = choose()
        if st.button("Start", type="primary", icon=":material/play_arrow:"):
            begin(lambda: request(chosen))


def begin(request: Callable[[], JobRequest]) -> None:
    """Starts what was chosen and shows it; a refusal appears beside the button."""
    try:
        job = start(runs_root(), request())
    except GraddiagError as error:
        refusal("Not started", str(error))
        return
    st.query_params["job"] = job.id


def body() -> None:
    labjobs.job_problem()
    jobs = read_jobs(runs_root())
    if not jobs:
        muted("No jobs yet. What you start appears here, with its curves as they grow.")
        return
    first = asked(jobs)
    labjobs.show_job(first)
    labjobs.others([job for job in jobs if job.id != first.id])


def asked(jobs: list[Job]) -> Job:
    """The job of the address, else the newest."""
    wanted = st.query_params.get("job")
    return next((job for job in jobs if job.id == wanted), jobs[0])


enter()
page()
