"""A diagnosis in words: the summary, then each finding with its evidence and what to try."""

from typing import Final

import streamlit as st

from graddiag.analysis import Diagnosis, Finding
from ui import badges
from ui.live import places
from ui.text import bullets, muted, sentence

OPEN_FINDINGS: Final = 2


def show_findings(diagnosis: Diagnosis) -> None:
    """The account, the worst findings in full, the rest folded; the order in time, and what could not be known."""
    sentence(diagnosis.account)
    worst, others, story, unknown = places(4)
    with worst:
        for each in diagnosis.told[:OPEN_FINDINGS]:
            _finding(*each)
    rest = diagnosis.told[OPEN_FINDINGS:]
    if rest:
        with others.expander(f"{len(rest)} more"):
            for each in rest:
                _finding(*each)
    if diagnosis.story.missing is None:
        with story:
            muted("In order of time")
            bullets(f"step {moment.step}: {moment.sentence}" for moment in diagnosis.story.moments)
    if diagnosis.notes:
        with unknown.expander("What could not be known"):
            bullets(note.sentence for note in diagnosis.notes)


def _finding(finding: Finding, words: str) -> None:
    """One finding, in ``words``: of the one that the account begins with those that it leaves out."""
    with st.container(border=True):
        with st.container(horizontal=True):
            badges.show(finding.name, badges.VERDICTS)
            badges.show(finding.severity, badges.SEVERITIES)
        if words:
            sentence(words)
        told_of = {"Evidence": finding.evidence, "What to try": finding.advice}
        parts = {head: items for head, items in told_of.items() if items}
        for (head, items), column in zip(parts.items(), st.columns(len(parts)) if parts else (), strict=True):
            with column:
                muted(head)
                bullets(map(str, items))
        if finding.rule:
            muted(f"Rule: {finding.rule}")
