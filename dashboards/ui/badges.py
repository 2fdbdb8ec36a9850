"""Outcomes, causes, severities and states of a run as badges: always a colour, a sign and a word."""

from dataclasses import dataclass
from typing import Final, Literal

import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from graddiag import schema
from graddiag.analysis import Diagnosis

Colour = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray"]


@dataclass(frozen=True)
class Badge:
    """How one word looks: in text with an icon, in a table cell with a sign."""

    icon: str
    sign: str
    colour: Colour


OUTCOMES: Final = {  # the worst first
    "broken": Badge(":material/error:", "✕", "red"),
    "diverged": Badge(":material/moving:", "↗", "red"),
    "stuck": Badge(":material/trending_flat:", "▬", "red"),
    "overfits": Badge(":material/call_split:", "⑂", "orange"),
    "unknown": Badge(":material/help:", "?", "gray"),
    "learning": Badge(":material/trending_up:", "↘", "green"),
    "learned": Badge(":material/check_circle:", "✓", "green"),
}
VERDICTS: Final = {  # causes and other findings, in the order of the rules
    "no-gradient": Badge(":material/link_off:", "∅", "red"),
    "parameters-not-updated": Badge(":material/lock:", "⊘", "orange"),
    "gradients-not-zeroed": Badge(":material/stacked_line_chart:", "Σ", "orange"),
    "clip-before-unscale": Badge(":material/swap_vert:", "⇅", "orange"),
    "clip-misplaced": Badge(":material/wrong_location:", "⇄", "orange"),
    "changed-during-training": Badge(":material/change_circle:", "Δ", "orange"),
    "truncated-reach": Badge(":material/content_cut:", "✂", "orange"),
    "non-finite": Badge(":material/error:", "✕", "violet"),
    "exploding": Badge(":material/trending_up:", "▲", "red"),
    "learning-rate-high": Badge(":material/arrow_upward:", "↑", "orange"),
    "clipping-always": Badge(":material/speed:", "⇥", "yellow"),
    "learning-rate-low": Badge(":material/arrow_downward:", "↓", "orange"),
    "vanishing": Badge(":material/trending_down:", "▼", "orange"),
    "dead-units": Badge(":material/power_off:", "○", "orange"),
    "saturated-gates": Badge(":material/compress:", "▮", "orange"),
    "threshold-above-all": Badge(":material/vertical_align_top:", "⤒", "yellow"),
    "clipping-never": Badge(":material/shield:", "◇", "gray"),
    "overfitting": Badge(":material/call_split:", "⑂", "orange"),
    "diverging": Badge(":material/moving:", "↗", "orange"),
    "plateau": Badge(":material/trending_flat:", "▬", "yellow"),
    "healthy": Badge(":material/check_circle:", "✓", "green"),
    "not-measured": Badge(":material/help:", "?", "gray"),
    "not-judged": Badge(":material/help:", "?", "gray"),
    "damaged": Badge(":material/broken_image:", "!", "gray"),
}
STATUSES: Final = {
    "running": Badge(":material/play_arrow:", "▶", "blue"),
    "finished": Badge(":material/done:", "✓", "gray"),
    schema.INCOMPLETE: Badge(":material/done:", "!", "yellow"),
    schema.STOPPED: Badge(":material/content_cut:", "✂", "gray"),
    "failed": Badge(":material/close:", "✕", "red"),
    "interrupted": Badge(":material/pause:", "‖", "yellow"),
    "damaged": Badge(":material/broken_image:", "!", "gray"),
}
SEVERITIES: Final = {
    "severe": Badge(":material/error:", "✕", "red"),
    "warning": Badge(":material/warning:", "!", "orange"),
    "info": Badge(":material/info:", "i", "blue"),
}
_UNKNOWN: Final = Badge(":material/help:", "?", "gray")


def show_badge(word: str, looks: dict[str, Badge], *, quiet: bool = False) -> None:
    """The word as a badge, in grey with ``quiet``. A word that is not ours is shown as 'unknown': it may hold
    markup."""
    look = looks.get(word, _UNKNOWN)
    st.badge(word if word in looks else "unknown", icon=look.icon, color="gray" if quiet else look.colour)


def outcome(diagnosis: Diagnosis) -> None:
    """The outcome as a badge, e.g. STUCK AT CHANCE; and its cause beside it."""
    look = OUTCOMES.get(diagnosis.outcome.name, _UNKNOWN)
    st.badge(diagnosis.outcome.headline, icon=look.icon, color=look.colour)
    if diagnosis.cause is not None:
        show_badge(diagnosis.cause, VERDICTS)


def cell(word: object, looks: dict[str, Badge]) -> list[str]:
    """The content of a table cell that shows the word as a coloured label; empty for a missing word."""
    return [f"{looks.get(word, _UNKNOWN).sign} {word}"] if isinstance(word, str) and word else []


def column(label: str, looks: dict[str, Badge], help: str, width: int | None = None) -> ColumnConfig:
    """The table column whose cells ``cell`` makes; width: in pixels."""
    return st.column_config.MultiselectColumn(
        label,
        width=width,
        help=help,
        options=[f"{look.sign} {word}" for word, look in looks.items()],
        color=[look.colour for look in looks.values()],
    )
