"""The jobs of the Lab: state, progress, results and output; buttons to stop or dismiss them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import streamlit as st

from graddiag.errors import GraddiagError
from graddiag.jobs.control import forget, stop
from graddiag.jobs.files import log_of, read_jobs, report_of
from graddiag.jobs.values import Job
from graddiag.overview import RunEntry
from graddiag.views import ViewContext, view
from ui import access
from ui.badges import Badge
from ui.charts import captioned
from ui.results import ask, open_run
from ui.root import runs_root
from ui.runs import all_runs
from ui.shell import link
from ui.text import as_label, heading, muted, refusal, sentence
from ui.theme import theme

STATES: Final = {
    "running": Badge(":material/play_arrow:", "▶", "blue"),
    "stopping": Badge(":material/hourglass_bottom:", "‖", "yellow"),
    "finished": Badge(":material/done:", "✓", "green"),
    "stopped": Badge(":material/pause:", "‖", "yellow"),
    "failed": Badge(":material/close:", "✕", "red"),
    "lost": Badge(":material/help:", "?", "gray"),
}
LINES: Final = 12
PICTURED: Final = 6  # runs in one picture; the newest
OTHERS: Final = 8
MOST_COMPARED: Final = 24  # runs that fit into an address and a picture
_REFUSED: Final = "lab refused"


def show_job(job: Job) -> None:
    """One job in full: its state and progress, its runs as they grow, its last words."""
    runs = runs_of(job)
    with st.container(border=True):
        head(job)
        progress(job, runs)
        trouble(job)
        ways(job, runs)
    started = [entry for entry in runs if entry.steps]
    if started:
        curves(started[-PICTURED:])
    words(job)


def states() -> tuple[tuple[str, str], ...]:
    """Changes whenever a job is started, ends, is asked to stop or is dismissed."""
    return tuple((job.id, job.state) for job in read_jobs(runs_root()))


def last_words() -> tuple[str, ...]:
    """What the jobs at work have printed last."""
    return tuple(line for job in read_jobs(runs_root()) if job.at_work for line in log_of(runs_root(), job.id, 1))


def at_work() -> None:
    """On a page that is not theirs: the jobs at work, and the newest one if it went wrong."""
    jobs = read_jobs(runs_root())
    for job in jobs:
        if job.at_work or (job is jobs[0] and job.state in ("failed", "lost")):
            with st.container(border=True):
                head(job)
                progress(job, runs_of(job))
                trouble(job)
                link("lab", "Watch it in the Lab", ":material/science:", {"job": job.id})


def others(jobs: Sequence[Job]) -> None:
    """The other jobs, a line each, to show or dismiss."""
    if not jobs:
        return
    st.subheader("Other jobs")
    for job in jobs[:OTHERS]:
        with st.container(border=True):
            head(job, elsewhere=True)


def head(job: Job, *, elsewhere: bool = False) -> None:
    look = STATES[job.state]
    with st.container(horizontal=True, vertical_alignment="center"):
        heading(job.started.title, level=3)
        st.badge(job.state, icon=look.icon, color=look.colour)
        muted(f"started {job.started.created:%Y-%m-%d %H:%M} UTC")
        if elsewhere:
            st.button("Show", key=f"show-{job.id}", icon=":material/visibility:", on_click=_ask, args=(job.id,))
        if not access.may_change():
            return
        if job.at_work:
            label = "End at once" if job.state == "stopping" else "Stop"
            st.button(label, key=f"stop-{job.id}", icon=":material/stop:", on_click=_stop, args=(job.id,))
        else:
            st.button("Dismiss", key=f"forget-{job.id}", icon=":material/close:", on_click=_forget, args=(job.id,))


def runs_of(job: Job) -> list[RunEntry]:
    """The runs that a job has made so far, in the order of creation."""
    inside = f"{job.started.experiment}{'' if job.started.parts else '/'}"
    found = [entry for entry in all_runs() if entry.manifest and entry.run.startswith(inside)]
    return [entry for entry in found if entry.manifest and entry.manifest.created >= job.started.created]


def progress(job: Job, runs: Sequence[RunEntry]) -> None:
    """The steps of all its runs against those there will be."""
    if not job.at_work:
        return
    done, wanted = sum(entry.steps or 0 for entry in runs), job.started.steps
    if not runs:
        st.progress(0.0, text="Starting: loading torch and the task")
    elif wanted:
        told = f"Step {done:,} of {wanted:,}, run {len(runs)}: {as_label(runs[-1].run)}"
        st.progress(min(done / wanted, 1.0), text=told)
    else:
        sentence(f"{len(runs)} runs, {done:,} steps so far.")


def trouble(job: Job) -> None:
    """What went wrong, in its own last words, and the way out."""
    if job.state == "failed":
        last = log_of(runs_root(), job.id, 1)
        refusal("Failed", f"{last[0] if last else 'It ended without a word.'} (status {job.code})")
        muted("Change the settings above and start again; what was recorded until then is kept.")
    elif job.state == "lost":
        refusal("Lost", "Its process is gone without a word of how it ended; the machine may have been restarted.")
        muted("What it recorded is kept. Put the job away and start it again.")


def ways(job: Job, runs: Sequence[RunEntry]) -> None:
    """To the pages that show its runs."""
    links = [entry.run for entry in runs]
    if not links:
        return
    report = report_of(runs_root(), job)
    with st.container(horizontal=True):
        if report:
            name, mime = f"{job.started.experiment}.html", "text/html"
            st.download_button("Download its report", report, name, mime, icon=":material/description:", type="primary")
        if 1 < len(links) <= MOST_COMPARED:
            link("compare", "Compare its runs", ":material/compare:", {"run": links})
        link("run", "Open its newest run", ":material/search_insights:", {"run": links[-1]})


def curves(runs: Sequence[RunEntry]) -> None:
    """Loss and gradient norm of the runs, as far as they have come; both pictures are of one height."""
    opened = [open_run(entry.run) for entry in runs]
    plots = [(key, plot) for key in ("loss", "norms") for plot in view(key).plots(opened, ViewContext(), ask)]
    drawn = [(key, plot, plot.figure(theme=theme())) for key, plot in plots]
    height = max(figure.layout.height for _, _, figure in drawn)
    for (key, plot, figure), column in zip(drawn, st.columns(2), strict=True):
        with column:
            st.subheader(plot.title)
            figure.update_layout(height=height)
            captioned(figure, *plot.captions, key=key, csv=plot.csv)


def words(job: Job) -> None:
    with st.expander("Command and last output"):
        st.code(" ".join(("graddiag", *job.started.arguments)), language=None, wrap_lines=True)
        lines = log_of(runs_root(), job.id, LINES)
        st.code("\n".join(lines) or "It has printed nothing yet.", language=None, wrap_lines=True)


def job_problem() -> None:
    """What the last press could not do, once."""
    message = st.session_state.pop(_REFUSED, None)
    if message:
        refusal("Not done", message)


def _stop(job_id: str) -> None:
    _try(stop, job_id)


def _forget(job_id: str) -> None:
    _try(forget, job_id)


def _try(act: Callable[[Path, str], object], job_id: str) -> None:
    try:
        act(runs_root(), job_id)
    except GraddiagError as error:
        st.session_state[_REFUSED] = str(error)


def _ask(job_id: str) -> None:
    st.query_params["job"] = job_id
