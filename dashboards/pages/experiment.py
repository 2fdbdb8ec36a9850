"""An experiment: its arms, seeds and lengths, which runs succeeded, and how each went. ``?experiment=name``"""

from collections.abc import Sequence

import streamlit as st

from graddiag import analysis
from graddiag.analysis import Experiment, Goal
from graddiag.errors import GraddiagError
from ui import pictures
from ui.live import live
from ui.results import OpenRun, of_all, open_run, state_of
from ui.runs import all_runs, root_state
from ui.shell import enter, link
from ui.shown import choose_shown, say_what_is_hidden
from ui.text import heading, muted, refusal, table


def page() -> None:
    heading("Experiment")
    name = chosen()
    if name is None:
        live(lambda: None, state=root_state)
        return
    live(lambda: body(opened(members(name))), state=lambda: (members(name), state_of(members(name))))


def members(name: str) -> list[str]:
    """The runs of the experiment as they are now: one that is started while the page is open belongs to it too."""
    return [entry.run for entry in all_runs() if entry.manifest and entry.manifest.experiment == name]


def chosen() -> str | None:
    """The experiment that the address asks for, else the newest one; None, and a sentence why, where there is none."""
    found = [entry.manifest.experiment for entry in all_runs() if entry.manifest and entry.manifest.experiment]
    names = list(dict.fromkeys(reversed(found)))
    if not names:
        muted("No run under this root belongs to an experiment. Give runs one: graddiag.watch(..., experiment='name').")
        link("lab", "Record an experiment in the Lab", ":material/arrow_forward:")
        return None
    asked = st.query_params.get("experiment")
    if asked is not None and asked not in names:
        refusal("Could not open", f"There is no experiment {asked!r} under this root; the newest one is shown.")
    return st.selectbox("Experiment", names, key="experiment", bind="query-params")


def opened(links: Sequence[str]) -> list[OpenRun]:
    """The runs that can be opened; a damaged one is left out, as it is listed on the Runs page."""
    runs = []
    for each in links:
        try:
            runs.append(open_run(each))
        except GraddiagError:
            continue
    return runs


def body(runs: Sequence[OpenRun]) -> None:
    if not runs:
        muted("None of its runs can be opened. The Runs page says what is there.")
        return
    links = [run.link for run in runs]
    shown = choose_shown(links, "this page, success rates included")
    say_what_is_hidden(links, shown)
    runs = shown.of(runs, lambda run: run.link)
    goal = aimed_at(runs)
    if goal:
        found = of_all(runs, analysis.experiment, goal)
        for key in pictures.of_experiment(runs, goal):
            if key == "success":
                rates(found)
    else:
        muted("No scalar was logged in any of these runs: call recorder.log(loss=...) in the loop.")
    if len(runs) > 1:
        link("compare", f"Compare the {len(runs)} runs", ":material/compare:", {"run": [run.link for run in runs]})


def aimed_at(runs: Sequence[OpenRun]) -> Goal | None:
    """What counts as a success, which the user may change."""
    offered = {goal.name: goal for goal in of_all(runs, analysis.goals)}
    if not offered:
        return None
    left, right, _ = st.columns([3, 2, 4])
    with left:
        name = st.selectbox(
            "A run succeeds by its", list(offered), format_func=analysis.scalar_title, key="goal", bind="query-params"
        )
    with right:
        below = st.number_input(
            "that ends at most at" if offered[name].better == "lower" else "that ends at least at",
            value=offered[name].below,
            format="%g",
            key=f"below-{name}",
            bind="query-params",
            help="In the mean over the last 5% of the steps.",
        )
    return Goal(name, float(below), offered[name].better)


def rates(found: Experiment) -> None:
    rows = [
        (
            (rate.arm, ""),
            ("unknown" if rate.length is None else str(rate.length), ""),
            (f"{rate.successes} of {rate.runs}", ""),
            (f"{rate.interval[0]:.0%} to {rate.interval[1]:.0%}", ""),
        )
        for rate in found.rates
    ]
    table(("Arm", "Length", "Succeeded", "95% interval of the rate"), rows)


enter()
page()
