"""Figures: a result in, a plotly Figure out; no reading, no grouping, no arithmetic but that of drawing."""

from typing import Protocol

from graddiag.figures.curves import clip_coefficient, curves, norms, profile
from graddiag.figures.effects import effects
from graddiag.figures.gates import gate_profile, gates
from graddiag.figures.heat import heatmap, shared_limits
from graddiag.figures.reach import reach, transport
from graddiag.figures.theme import Theme, arm_style

__all__ = [
    "Theme",
    "arm_style",
    "caption",
    "clip_coefficient",
    "curves",
    "effects",
    "gate_profile",
    "gates",
    "heatmap",
    "norms",
    "profile",
    "reach",
    "shared_limits",
    "transport",
]


class Captioned(Protocol):
    """Any result of an analysis."""

    @property
    def caption(self) -> str: ...


def caption(result: Captioned) -> str:
    """One sentence that says what there is to see in the figure of ``result``."""
    return result.caption
