"""A diagnosis on a page: a card with the outcome, its cause and what to do first; the evidence folded below."""

import re
from collections.abc import Sequence
from html import escape
from typing import Final

import streamlit as st

from graddiag.analysis import Diagnosis, Finding, Measurement
from ui import badges
from ui.text import bullets, muted, sentence, table
from ui.theme import BAD, theme

_TONES: Final = {  # ink and ground, light and dark
    "light": {
        "good": ("#0b6b4f", "#eaf6f1"),
        "bad": (BAD["light"], "#fdf0ed"),
        "warning": ("#7a4a00", "#fdf5e6"),
        "neutral": ("#4a5059", "#f2f3f4"),
    },
    "dark": {
        "good": ("#74d3ae", "#17302a"),
        "bad": (BAD["dark"], "#33201c"),
        "warning": ("#f3c06a", "#312818"),
        "neutral": ("#b4bbc4", "#22262b"),
    },
}
_CARD: Final = (  # as high as three lines, so that what is below stays in place when an outcome changes
    "border-left:.3rem solid {ink};background:{ground};border-radius:.5rem;padding:.55rem 1rem .65rem;"
    "overflow-wrap:anywhere;line-height:1.45;min-height:8.05rem"
)
_HEADLINE: Final = "margin:0;padding:0;font-size:1.25rem;font-weight:700;line-height:1.35;color:{ink}"
_CAUSE: Final = "font-weight:600"
_QUIET: Final = "font-weight:400"
_LINE: Final = "margin:.3rem 0 0"
_NOTE: Final = f"{_LINE};font-size:.875rem;opacity:.75"
MOST_REMARKS: Final = 3
_CODE: Final = re.compile(r"`([^`]+)`")
_NO_CAUSE: Final = (
    "No cause was found in the gradient. That leaves the data, the targets, the learning rate, the capacity or the "
    "optimizer."
)


def show_card(diagnosis: Diagnosis) -> None:
    """Outcome and cause in one line, a sentence on each, and what to do first and then."""
    ink, ground = _TONES[theme()][diagnosis.tone]
    lines = [_line(_coded(" ".join(account(diagnosis))))]
    advised = [_line(f"<strong>{escape(label)}:</strong> {_coded(text)}") for label, text in advice(diagnosis)]
    notes = [_line(_coded(text), _NOTE) for text in remarks(diagnosis)]
    head = f'<h2 style="{_HEADLINE.format(ink=ink)}">{_headline(diagnosis)}</h2>'
    st.html(
        f'<section aria-label="Diagnosis" style="{_CARD.format(ink=ink, ground=ground)}">'
        f"{head}{''.join([*lines, *advised, *notes])}</section>"
    )


def account(diagnosis: Diagnosis) -> list[str]:
    """What became of the training, and why: a sentence or two each."""
    texts = [diagnosis.outcome.sentence]
    if diagnosis.causes:
        texts.append(diagnosis.causes[0].first_sentence)
    elif diagnosis.outcome.failed:
        texts.append(_NO_CAUSE)
    elif diagnosis.tone == "good":
        texts[0] = f"{texts[0]} No gradient problem was found."
    return texts


def advice(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """What to do, first and then, each with its label."""
    first = [] if diagnosis.do_first is None else [(diagnosis.first_label, diagnosis.do_first.text)]
    return first + [("Then", each.text) for each in diagnosis.then[:1]]


def remarks(diagnosis: Diagnosis) -> list[str]:
    """Of a training in which nothing has to be repaired: what was found besides, a sentence each."""
    if diagnosis.tone != "good":
        return []
    found = [each.first_sentence for each in diagnosis.others]
    more = [f"{len(found) - MOST_REMARKS} more under Other findings."] if len(found) > MOST_REMARKS else []
    return [" ".join([*found[:MOST_REMARKS], *more])] if found else []


def show_findings(diagnosis: Diagnosis) -> None:
    """Evidence with its rules and places, other findings, the order in time, and what was measured: each folded."""
    shown = diagnosis.causes or (diagnosis.lead,)
    others = [each for each in diagnosis.findings if each not in shown]
    with st.expander("Evidence"):
        _list(shown)
        muted(diagnosis.basis.sentence)
    if others:
        with st.expander(f"Other findings ({len(others)})"):
            _list(others)
    if diagnosis.timeline.missing is None:
        with st.expander("Findings in order of time"):
            bullets(f"step {event.step}: {event.sentence}" for event in diagnosis.timeline.events)
    with st.expander("What was and was not measured"):
        table(("What", "Measured", "Note"), [_measurement(each) for each in diagnosis.measurements], words=True)


def _measurement(each: Measurement) -> tuple[tuple[str, ...], ...]:
    measured = "yes" if each.measured else "no" if each.what else ""
    return (each.what or "Besides",), (measured,), (each.sentence,)


def _list(findings: Sequence[Finding]) -> None:
    for each in findings:
        _finding(each)


def _finding(finding: Finding) -> None:
    """One finding: its sentence, its evidence, what to try, and below them the rule."""
    with st.container(border=True):
        with st.container(horizontal=True):
            badges.show_badge(finding.name, badges.VERDICTS, quiet=not finding.alarming)
            badges.show_badge(finding.severity, badges.SEVERITIES)
            if finding.strength:
                muted(f"{finding.strength} evidence", width="content")
        sentence(finding.sentence)
        lists = {"Evidence": finding.evidence, "What to try": finding.advice}
        parts = {head: items for head, items in lists.items() if items}
        for (head, items), column in zip(parts.items(), st.columns(len(parts)) if parts else (), strict=True):
            with column:
                muted(head)
                bullets(map(str, items))
        if finding.rule:
            muted(f"Rule: {finding.rule}")


def _headline(diagnosis: Diagnosis) -> str:
    head = escape(diagnosis.outcome.headline)
    if not diagnosis.causes:
        return head
    first = diagnosis.causes[0]
    strength = f'<span style="{_QUIET}">({escape(str(first.strength))} evidence)</span>'
    return f'{head} <span style="{_CAUSE}">· cause: {escape(first.title)}</span> {strength}'


def _line(html: str, style: str = _LINE) -> str:
    return f'<p style="{style}">{html}</p>'


def _coded(text: str) -> str:
    """Text as HTML, what stands between backquotes as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))
