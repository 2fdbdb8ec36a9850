"""Runs side by side: curves and heatmaps on shared scales, then effects in numbers. ``?run=one&run=another``"""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from graddiag import analysis, figures
from ui import badges, pictures
from ui.effects import show_effects
from ui.live import FOLLOWS, live, places
from ui.opening import opened
from ui.results import OpenRun, of, of_all, open_run, state_of
from ui.runs import choose_runs, common_facts, facts, to_choose
from ui.settings import show_differences
from ui.shell import enter, link
from ui.shown import ShownRuns, choose_shown, say_what_is_hidden
from ui.summary import at_a_glance
from ui.text import heading, keyed, muted, sentence
from ui.theme import theme

ROWS: Final = (4, 3, 2)  # cards in a row, as many as leave fewer places empty


def page() -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        heading("Compare")
        to_hide, to_report = st.container(width="content"), st.empty()
    links = choose_runs()
    runs = opened(links)
    if len(runs) < 2:
        to_choose("Choose two or more runs above, e.g. the arms of a pair with clipping off and on.")
        return
    known = [run.link for run in runs]
    with to_report:
        link("report", "Report on these runs", ":material/description:", {"run": known})
    with to_hide:
        shown = choose_shown(known, "the pictures; the effects are of all runs")
    live(lambda: body([open_run(link) for link in known], shown), state=lambda: state_of(known))


def body(runs: Sequence[OpenRun], shown: ShownRuns) -> None:
    cards = st.container(key="compare-who")
    answer, glance, effects, drawn, differences = places(5)
    comparison = of_all(runs, analysis.compare)
    with cards:
        who(shown.first(runs, link_of), shown)
    with answer:
        sentence(comparison.caption)
        say_what_is_hidden([run.link for run in runs], shown)
        if any(run.manifest.status == "running" for run in runs):
            muted(FOLLOWS)
    with drawn:
        visible = shown.of(runs, link_of)
        pictured = of_one_seed(visible, shown)
        chosen = pictures.choose_section(pictured)
        pictures.show_section(chosen)
        if chosen.choice and chosen.section == pictures.WEIGHTS:
            to_snapshots(pictured)
    with glance:
        at_a_glance(chosen, visible)
    with effects:
        st.subheader("Effects")
        show_effects(comparison)
        if several_seeds(runs):
            pictures.compared(runs)
    with differences:
        show_differences(comparison)


def link_of(run: OpenRun) -> str:
    return run.link


def who(runs: Sequence[OpenRun], shown: ShownRuns) -> None:
    visible = shown.of(runs, link_of)
    styles = figures.arm_styles([of(run, analysis.diagnose).source for run in visible], theme())
    styled = {run.link: style for run, style in zip(visible, styles, strict=True)}
    cards = [(run, styled.get(run.link)) for run in runs]
    across = min(ROWS, key=lambda places: -len(cards) % places)
    shared = common_facts([run.manifest for run in runs])
    for first in range(0, len(cards), across):
        for (run, style), column in zip(cards[first : first + across], st.columns(across), strict=False):
            with column, st.container(border=True, height="stretch", gap="xsmall"):
                card(run, style, facts(run.manifest, shared), pinned=run.link in shown.pinned)
    muted(f"The same in all: {' · '.join(shared)}." if shared else "No setting is the same in all of them.")


def card(run: OpenRun, style: figures.Style | None, differing: str, *, pinned: bool) -> None:
    """Who the run is, how it ended, and how the pictures draw its arm, or that it is hidden there."""
    heading(run.link, level=3)
    with st.container(horizontal=True):
        badges.outcome(of(run, analysis.diagnose))
        badges.show_badge(run.manifest.status, badges.STATUSES)
    if style is None:
        muted(f"{differing} · hidden")
    else:
        keyed(f"{differing} · pinned" if pinned else differing, color=style.color, dash=style.dash)


def of_one_seed(runs: Sequence[OpenRun], shown: ShownRuns) -> list[OpenRun]:
    """The runs to picture: those of one seed, which the user picks where there are several, and the pinned ones."""
    if not several_seeds(runs):
        return list(runs)
    seeds = sorted({run.manifest.seed for run in runs if run.manifest.seed is not None})
    seed = st.segmented_control(
        "Seed to picture", seeds, default=seeds[0], required=True, key="seed", bind="query-params"
    )
    return [run for run in runs if run.manifest.seed == seed or run.link in shown.pinned]


def to_snapshots(runs: Sequence[OpenRun]) -> None:
    """The pictures that are of one run at one step alone: units, credit, spectrum."""
    muted("Snapshots of units, the credit matrix and spectra are on the page of each run:")
    with st.container(horizontal=True):
        for run in runs:
            link("run", run.link, ":material/grid_on:", {"run": run.link, "section": pictures.WEIGHTS})


def several_seeds(runs: Sequence[OpenRun]) -> bool:
    """Whether there are fewer seeds than runs, and more than one."""
    seeds = {run.manifest.seed for run in runs if run.manifest.seed is not None}
    return 1 < len(seeds) < len(runs)


enter()
page()
