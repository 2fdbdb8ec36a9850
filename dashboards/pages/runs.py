"""All runs under the root: find, sort, open, compare, annotate, put aside; with none yet, how to make some."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from graddiag.overview import RunEntry, list_runs
from graddiag.views.table import to_csv
from ui import access, annotations, labjobs
from ui.downloads import download
from ui.live import live
from ui.offer import first_steps, offer_pair
from ui.root import renew_root, runs_root
from ui.runs import all_runs, root_state, statuses
from ui.runtable import ORDERS, filters, matching, select
from ui.search import HINT
from ui.shell import enter, link
from ui.shown import pin, pinned_runs, pins_of
from ui.text import heading, muted, refusal

SHOWN_AT_FIRST: Final = 200
_FIND: Final = (
    "Words, all of which a run has to have in its name, tags, notes or settings; a comparison of loss, steps or a "
    "setting: `loss<1`; a regular expression between strokes: `/seed[01]/`."
)


def page() -> None:
    heading("Runs")
    entries = all_runs()
    waiting = any(map(unjudged, entries))
    running = [entry for entry in entries if entry.status == "running"]
    live(body, state=lambda: (root_state(), labjobs.states(), statuses(running), judged() if waiting else None))
    if not entries:
        first_steps()
    if not access.may_change():
        return
    annotations.trash()
    with st.expander("Record a small pair, clipping off and on", expanded=not entries):
        offer_pair()


def body() -> None:
    """Draws what changes while runs are made."""
    if (problem := renew_root()) is not None:
        refusal("Could not read the runs folder", problem)
    labjobs.at_work()
    labjobs.job_problem()
    annotations.change_outcome()
    entries = all_runs()
    if entries:
        table(entries)


def judged() -> int:
    """How many runs have a diagnosis by now."""
    return sum(not unjudged(entry) for entry in all_runs())


def unjudged(entry: RunEntry) -> bool:
    return entry.outcome is None and entry.status != "damaged"


def table(entries: Sequence[RunEntry]) -> None:
    muted(summary(entries))
    found = narrowed(entries)
    shown = found if len(found) <= SHOWN_AT_FIRST or st.session_state.get("all") else found[:SHOWN_AT_FIRST]
    above = st.container(horizontal=True, vertical_alignment="center")
    chosen = select(shown) if shown else []
    with above:
        actions(chosen)
    if not found:
        muted(f"No run holds these words and settings; {len(entries)} runs are hidden.")
    if len(found) > SHOWN_AT_FIRST:
        st.toggle(f"Show all {len(found):,}, not the first {SHOWN_AT_FIRST} alone", key="all", bind="query-params")


def narrowed(entries: Sequence[RunEntry]) -> list[RunEntry]:
    """The runs that answer to the words and settings asked for, in the order asked for; pinned ones first,
    whatever is asked for."""
    left, middle, right = st.columns([4, 5, 3])
    with left:
        words = st.text_input("Find", key="find", bind="query-params", placeholder=HINT, help=_FIND)
    with middle:
        chosen = st.multiselect(
            "Filter",
            filters(entries),
            key="filter",
            bind="query-params",
            placeholder="Any setting: model = lstm",
            help="Values of one setting add up, different settings narrow down.",
        )
    with right:
        order = st.selectbox("Sort", list(ORDERS), key="sort", bind="query-params")
    found, pinned = matching(entries, words or "", chosen), pinned_runs()
    kept = [entry for entry in entries if entry in found or entry.run in pinned]
    return sorted(kept, key=lambda entry: (entry.run not in pinned, ORDERS[order](entry)))


def summary(entries: Sequence[RunEntry]) -> str:
    experiments = {entry.manifest.experiment for entry in entries if entry.manifest and entry.manifest.experiment}
    running = sum(entry.status == "running" for entry in entries)
    waiting = sum(map(unjudged, entries))
    words = _many(len(entries), "run")
    words += f" in {_many(len(experiments), 'experiment')}" if experiments else ""
    words += f", {running:,} being written now" if running else ""
    words += f", {waiting:,} diagnosis pending" if waiting else ""
    return f"{words}. Select rows to open{', compare, tag or delete' if access.may_change() else ' or compare'} them."


def _listed_csv() -> str:
    return to_csv(list_runs(runs_root()))


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def actions(chosen: Sequence[RunEntry]) -> None:
    """What can be done with the selected runs."""
    links = [entry.run for entry in chosen]
    if len(links) == 1:
        link("run", "Open", ":material/search_insights:", {"run": links})
    elif links:
        link("compare", "Compare", ":material/compare:", {"run": links, **pins_of(links)})
    experiments = {entry.manifest.experiment for entry in chosen if entry.manifest}
    experiment = experiments.pop() if len(experiments) == 1 else None
    if experiment:
        link("experiment", "Its experiment", ":material/science:", {"experiment": experiment})
    download("CSV", _listed_csv, "runs.csv", "text/csv", key="runs", about="All runs under the folder, as a table")
    if links:
        unpins = set(links) <= set(pinned_runs())
        st.button(
            "Unpin" if unpins else "Pin", icon=":material/keep_off:" if unpins else ":material/keep:",
            on_click=pin, args=(links,), kwargs={"pinned": not unpins},
            help="Pinned runs come first and stay in the table whatever is found, filtered or sorted.",
        )  # fmt: skip
    if chosen and access.may_change():
        annotations.tags_and_notes(chosen)
        annotations.delete(chosen)


enter()
page()
