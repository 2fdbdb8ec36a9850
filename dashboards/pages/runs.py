"""All runs under the root: find, open, compare; with none yet, how to make some."""

from collections.abc import Sequence

import streamlit as st

from graddiag import schema
from ui import recording
from ui.live import live
from ui.offer import first_steps, offer_pair
from ui.runs import Row, all_runs
from ui.runtable import matching, select
from ui.shell import enter
from ui.text import heading, muted


def page() -> None:
    heading("Runs")
    rows = all_runs()
    live(body, running=at_work(rows))
    if not rows:
        first_steps()
    with st.expander("Record a small pair", icon=":material/add_circle:", expanded=not rows):
        offer_pair()


def body() -> bool:
    """Draws what changes while runs are made; says whether any is being made."""
    recording.show()
    rows = all_runs()
    if rows:
        table(rows)
    return at_work(rows)


def at_work(rows: Sequence[Row]) -> bool:
    return recording.current() is not None or any(row[schema.STATUS] == "running" for row in rows)


def table(rows: Sequence[Row]) -> None:
    muted(summary(rows))
    above = st.container(horizontal=True, vertical_alignment="bottom")
    with above:
        words = st.text_input(
            "Find", key="find", bind="query-params", placeholder="words that a row holds: lstm exploding", width=340
        )
    shown = matching(rows, words or "")
    chosen = select(shown) if shown else []
    with above:
        actions(chosen, rows)
    if not shown:
        muted(f"No run holds these words; {len(rows)} runs are hidden.")


def summary(rows: Sequence[Row]) -> str:
    experiments = {row[schema.EXPERIMENT] for row in rows if row[schema.EXPERIMENT]}
    running = sum(row[schema.STATUS] == "running" for row in rows)
    words = f"{len(rows)} runs in {len(experiments)} experiments" + (
        f", {running} being written now" if running else ""
    )
    return f"{words}. Select one row to open it, two or more to compare them."


def actions(chosen: Sequence[Row], rows: Sequence[Row]) -> None:
    """What can be done with the selected runs."""
    links = [row[schema.RUN] for row in chosen]
    if st.button("Open", icon=":material/search_insights:", disabled=len(links) != 1):
        st.switch_page("pages/run.py", query_params={"run": links[0]})
    if st.button("Compare", icon=":material/compare:", disabled=len(links) < 2, type="primary"):
        st.switch_page("pages/compare.py", query_params={"run": links})
    experiment = chosen[0][schema.EXPERIMENT] if len(chosen) == 1 else None
    if experiment and st.button("Compare its experiment", icon=":material/science:"):
        arms = [row[schema.RUN] for row in rows if row[schema.EXPERIMENT] == experiment]
        st.switch_page("pages/compare.py", query_params={"run": arms})


enter()
page()
