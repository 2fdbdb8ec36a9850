"""Views of clipping: what it did, and what other thresholds would have done."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import plotly.graph_objects as go

from graddiag import analysis, figures
from graddiag.analysis import RecommendedThresholds, WhatIf
from graddiag.figures.clipping import EFFECTIVE_LR_TITLE, WHAT_IF_TITLE
from graddiag.figures.counterfactual_figure import COUNTERFACTUAL_TITLE
from graddiag.figures.direction_figure import DIRECTION_TITLE
from graddiag.figures.theme import Theme
from graddiag.views.declaration import View, ViewContext, no_arguments, own_captions


def _what_if(
    found: Sequence[WhatIf], recommended: Sequence[RecommendedThresholds], *, theme: Theme, title: bool
) -> go.Figure:
    return figures.what_if(found, recommended[0], theme=theme, title=title)


def _what_if_caption(found: Sequence[WhatIf], recommended: Sequence[RecommendedThresholds]) -> Sequence[str]:
    known = [each for each in recommended if each.missing is None]
    return own_captions(known) if known else own_captions(found)


def _step(context: ViewContext) -> Mapping[str, Any]:
    return {} if isinstance(context.step, tuple) else {"step": context.step}


VIEWS: Final = (
    View(
        "what-if", WHAT_IF_TITLE, "clipping", analysis.what_if, _what_if,
        support=((analysis.recommended_thresholds, no_arguments),), caption=_what_if_caption, detail=True,
    ),
    View(
        "effective-lr", EFFECTIVE_LR_TITLE, "clipping", analysis.effective_lr, figures.effective_lr,
        applies=lambda run: run.manifest.clip not in (None, "none"), optional=True, detail=True,
    ),
    View(
        "direction", DIRECTION_TITLE, "clipping", analysis.direction_change, figures.direction,
        shown=lambda each: bool(len(each.steps)), optional=True, detail=True,
    ),
    View(
        "counterfactual", COUNTERFACTUAL_TITLE, "clipping", analysis.counterfactual, figures.counterfactual,
        options=_step, optional=True,
    ),
)  # fmt: skip
