"""Views of whatever else can be wrong: findings, updates, noise, depth, zeros, the edge of stability."""

from typing import Final

import pandas as pd

from graddiag import analysis, figures, schema
from graddiag.analysis import Diagnosis
from graddiag.figures.depth_figure import DEPTH_TITLE
from graddiag.figures.horizon_figure import LAYERS_TITLE
from graddiag.figures.noise_figure import NOISE_TITLE
from graddiag.figures.numerics_figure import ZEROS_TITLE
from graddiag.figures.stability_figure import STABILITY_TITLE
from graddiag.figures.timeline_figure import TIMELINE_TITLE
from graddiag.figures.updates_figure import UPDATES_TITLE
from graddiag.views.declaration import View

_STORY: Final = (
    "Each row is a finding, from the step at which it begins to the last step that shows it. What began earlier may be "
    "the cause of what began later."
)
_LAYERS: Final = (
    "Left of the line at 1 the gradient of a layer shrinks on its way back through time, right of it it grows. The bar "
    "is the 95% interval over steps."
)


def _findings(diagnosis: Diagnosis) -> pd.DataFrame:
    """A row a finding that has a step of its own."""
    timed = [each for each in diagnosis.findings if each.onset is not None]
    rows = [(each.onset, each.name, each.severity, each.sentence) for each in timed]
    return pd.DataFrame(rows, columns=[schema.STEP, "finding", "severity", "sentence"])


VIEWS: Final = (
    View(
        "timeline", TIMELINE_TITLE, "health", analysis.diagnose, figures.timeline,
        shown=lambda each: any(finding.onset is not None for finding in each.findings),
        caption=lambda found: [_STORY], frame=_findings, optional=True,
    ),
    View("updates", UPDATES_TITLE, "health", analysis.updates, figures.updates, optional=True, detail=True),
    View("noise", NOISE_TITLE, "health", analysis.gradient_noise, figures.noise, optional=True, detail=True),
    View(
        "stability", STABILITY_TITLE, "health", analysis.edge_of_stability, figures.stability,
        optional=True, detail=True,
    ),
    View(
        "layers", LAYERS_TITLE, "health", analysis.reaches, figures.layers,
        shown=lambda each: each.missing is None and len(each.layers) > 1, caption=lambda found: [_LAYERS],
        optional=True, detail=True,
    ),
    View(
        "depth", DEPTH_TITLE, "health", analysis.depth, figures.depth,
        shown=lambda each: each.missing is None and len(each.layers) > 1, separate=True, few_runs=True, half=True,
        optional=True,
    ),
    View(
        "zeros", ZEROS_TITLE, "health", analysis.numerics, figures.numerics,
        shown=lambda each: any(zero.largest > 0 for zero in each.zeros), few_runs=True, optional=True, detail=True,
    ),
)  # fmt: skip
