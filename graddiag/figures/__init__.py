"""Figures: a result in, a plotly Figure out; no reading, no grouping, no arithmetic but that of drawing."""

from typing import TYPE_CHECKING, Protocol

from graddiag.deprecation import renamed_names
from graddiag.figures.bands_figure import bands
from graddiag.figures.cell import cell_path, time_constants
from graddiag.figures.clipping import effective_lr, what_if
from graddiag.figures.counterfactual_figure import counterfactual
from graddiag.figures.course_figure import course
from graddiag.figures.credit_figure import credit
from graddiag.figures.curves_figure import clip_coefficient, curves, norms, profile
from graddiag.figures.dead import dead_units
from graddiag.figures.depth_figure import depth
from graddiag.figures.direction_figure import direction
from graddiag.figures.effects_figure import effects
from graddiag.figures.events_figure import events
from graddiag.figures.experiment import multiples, success
from graddiag.figures.exponents import lyapunov_history
from graddiag.figures.frame import axis_roles, why_empty
from graddiag.figures.gates_figure import gate_profile, gates
from graddiag.figures.heat import heatmap
from graddiag.figures.heat_scale import shared_limits
from graddiag.figures.horizon_figure import horizon, layers
from graddiag.figures.line_options import LineOptions
from graddiag.figures.loss_figure import loss
from graddiag.figures.matrix import limits_of
from graddiag.figures.noise_figure import noise
from graddiag.figures.numerics_figure import numerics
from graddiag.figures.omega_figure import omega
from graddiag.figures.parallel_figure import parallel
from graddiag.figures.picking import mark_step, pickable
from graddiag.figures.ratio import heat_ratio
from graddiag.figures.reach_figure import reach, transport
from graddiag.figures.snapshots import unit_heat
from graddiag.figures.spectrum_figure import lyapunov, spectrum, spectrum_history
from graddiag.figures.stability_figure import stability
from graddiag.figures.theme import Style, Theme, arm_style, arm_styles
from graddiag.figures.timeline_figure import timeline
from graddiag.figures.truncation_figure import truncation
from graddiag.figures.units import gate_units
from graddiag.figures.updates_figure import updates
from graddiag.figures.weights import effective_timesteps, weight_contributions

if not TYPE_CHECKING:
    __getattr__ = renamed_names(
        __name__,
        {"story": "timeline", "teaching": "effective_timesteps", "weights_in_time": "weight_contributions"},
    )

__all__ = [
    "LineOptions",
    "Style",
    "Theme",
    "arm_style",
    "arm_styles",
    "axis_roles",
    "bands",
    "caption",
    "cell_path",
    "clip_coefficient",
    "counterfactual",
    "course",
    "credit",
    "curves",
    "dead_units",
    "depth",
    "direction",
    "effective_lr",
    "effective_timesteps",
    "effects",
    "events",
    "gate_profile",
    "gate_units",
    "gates",
    "heat_ratio",
    "heatmap",
    "horizon",
    "layers",
    "limits_of",
    "loss",
    "lyapunov",
    "lyapunov_history",
    "mark_step",
    "multiples",
    "noise",
    "norms",
    "numerics",
    "omega",
    "parallel",
    "pickable",
    "profile",
    "reach",
    "shared_limits",
    "spectrum",
    "spectrum_history",
    "stability",
    "success",
    "time_constants",
    "timeline",
    "transport",
    "truncation",
    "unit_heat",
    "updates",
    "weight_contributions",
    "what_if",
    "why_empty",
]


class Captioned(Protocol):
    """Any result of an analysis."""

    @property
    def caption(self) -> str: ...


def caption(result: Captioned) -> str:
    """One sentence that says what there is to see in the figure of ``result``."""
    return result.caption
