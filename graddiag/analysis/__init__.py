"""Analyses: a run in, a frozen result out. No torch, no plotly; what was not measured is said, never guessed."""

from typing import TYPE_CHECKING

from graddiag.analysis.captioning import captions
from graddiag.analysis.clipping.statistics import ClipStatistics, clip_statistics
from graddiag.analysis.clipping.update import DirectionChange, EffectiveLr, direction_change, effective_lr
from graddiag.analysis.clipping.what_if import (
    Counterfactuals,
    SweepStep,
    WhatIf,
    WhatIfCurves,
    counterfactual,
    what_if,
)
from graddiag.analysis.comparison.bands import Band, Bands, bands
from graddiag.analysis.comparison.compare import ArmSummary, Comparison, Pair, compare
from graddiag.analysis.comparison.differences import Difference, FirstDivergence, first_divergence
from graddiag.analysis.comparison.effects import Effect
from graddiag.analysis.comparison.experiment import Experiment, Goal, experiment, goals
from graddiag.analysis.comparison.metrics import METRICS, RunSummary, final_loss
from graddiag.analysis.comparison.success import SuccessRates
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.diagnose import Diagnosis
from graddiag.analysis.diagnosis.findings import (
    FINDING_NAMES,
    NEUTRAL_FINDINGS,
    NOTE_NAMES,
    SEVERITIES,
    Advice,
    Evidence,
    Finding,
    Measurement,
    Note,
    Place,
)
from graddiag.analysis.diagnosis.key_figures import KeyFigure, KeyFigures, key_figures
from graddiag.analysis.diagnosis.outcome import OUTCOME_NAMES, Outcome
from graddiag.analysis.diagnosis.recommended import RecommendedThresholds, recommended_thresholds
from graddiag.analysis.diagnosis.rules import RULES, RULES_VERSION, Rule, rule
from graddiag.analysis.diagnosis.timeline import EventKind, Events, Timeline, TimelineEvent, events
from graddiag.analysis.diagnosis.verdict import diagnose
from graddiag.analysis.flow.cell_path import CellPath, cell_path
from graddiag.analysis.flow.credit import CreditMatrix, credit_matrix
from graddiag.analysis.flow.depth import Depth, LayerNorm, LayerRatio, LayerReaches, depth, reaches
from graddiag.analysis.flow.distance import Coverage, task_distance
from graddiag.analysis.flow.exponents import ExponentCourse, LyapunovHistory, lyapunov_history
from graddiag.analysis.flow.omega import Omega, OmegaForm, omega
from graddiag.analysis.flow.reach import Reach, horizon_captions, reach
from graddiag.analysis.flow.spectra import Lyapunov, SpectrumHistory, WeightSpectrum, spectrum_history, weight_spectra
from graddiag.analysis.flow.truncation import Truncation, truncation
from graddiag.analysis.flow.weight_contributions import WeightContributions, weight_contributions
from graddiag.analysis.gates.history import GateHistory, GateProfile, GateSeries, gate_history, gate_profile
from graddiag.analysis.gates.time_constants import TimeConstants, time_constants
from graddiag.analysis.gates.units import DeadUnits, GateUnits, UnitSaturation, dead_units, gate_units
from graddiag.analysis.optimization.course import TrainingCourse, training_course
from graddiag.analysis.optimization.curves import Curves, logged_scalars, loss_curve
from graddiag.analysis.optimization.loss import LossDynamics, Stability, loss_dynamics
from graddiag.analysis.optimization.noise import GradientNoise, NoiseBlock, gradient_noise
from graddiag.analysis.optimization.norms import NormHistory, norm_history
from graddiag.analysis.optimization.numerics import (
    NonfiniteOrigin,
    Numerics,
    Underflow,
    Zeros,
    nonfinite_origin,
    numerics,
)
from graddiag.analysis.optimization.updates import (
    RULE_OF_THUMB,
    EdgeOfStability,
    ParameterUpdate,
    Updates,
    edge_of_stability,
    updates,
)
from graddiag.analysis.selection import Selection, common_selections, recorded_steps, selections, signals
from graddiag.analysis.status import LayerStatus, layer_status
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.timesteps.heat import Heat, heat
from graddiag.analysis.timesteps.profile import Profile, profile
from graddiag.analysis.timesteps.ratio import HeatRatio, heat_ratio
from graddiag.analysis.timesteps.snapshots import UnitHeat, snapshot_columns, snapshot_steps, snapshot_title, unit_heat
from graddiag.analysis.values import CellState, Result, Series, Source
from graddiag.analysis.words import gate_title, number, scalar_title, scalar_unit, signal_title, signal_unit
from graddiag.deprecation import renamed_names

if not TYPE_CHECKING:
    __getattr__ = renamed_names(
        __name__,
        {
            "CALM": "NEUTRAL_FINDINGS",
            "LookedStep": "SweepStep",
            "Measured": "DiagnosticContext",
            "Moment": "TimelineEvent",
            "Parting": "FirstDivergence",
            "Story": "Timeline",
            "WeightsInTime": "WeightContributions",
            "parting": "first_divergence",
            "weights_in_time": "weight_contributions",
        },
    )

__all__ = [
    "FINDING_NAMES",
    "METRICS",
    "NEUTRAL_FINDINGS",
    "NOTE_NAMES",
    "OUTCOME_NAMES",
    "RULES",
    "RULES_VERSION",
    "RULE_OF_THUMB",
    "SEVERITIES",
    "Advice",
    "ArmSummary",
    "Band",
    "Bands",
    "CellPath",
    "CellState",
    "ClipStatistics",
    "Comparison",
    "Counterfactuals",
    "Coverage",
    "CreditMatrix",
    "Curves",
    "DeadUnits",
    "Depth",
    "Diagnosis",
    "DiagnosticContext",
    "Difference",
    "DirectionChange",
    "EdgeOfStability",
    "Effect",
    "EffectiveLr",
    "EventKind",
    "Events",
    "Evidence",
    "Experiment",
    "ExponentCourse",
    "Finding",
    "FirstDivergence",
    "GateHistory",
    "GateProfile",
    "GateSeries",
    "GateUnits",
    "Goal",
    "GradientNoise",
    "Heat",
    "HeatRatio",
    "KeyFigure",
    "KeyFigures",
    "LayerNorm",
    "LayerRatio",
    "LayerReaches",
    "LayerStatus",
    "LossDynamics",
    "Lyapunov",
    "LyapunovHistory",
    "Measurement",
    "NoiseBlock",
    "NonfiniteOrigin",
    "NormHistory",
    "Note",
    "Numerics",
    "Omega",
    "OmegaForm",
    "Outcome",
    "Pair",
    "ParameterUpdate",
    "Place",
    "Profile",
    "Reach",
    "RecommendedThresholds",
    "Result",
    "Rule",
    "RunSummary",
    "Selection",
    "Series",
    "Source",
    "SpectrumHistory",
    "Stability",
    "SuccessRates",
    "SweepStep",
    "Thresholds",
    "TimeConstants",
    "Timeline",
    "TimelineEvent",
    "TrainingCourse",
    "Truncation",
    "Underflow",
    "UnitHeat",
    "UnitSaturation",
    "Updates",
    "WeightContributions",
    "WeightSpectrum",
    "WhatIf",
    "WhatIfCurves",
    "Zeros",
    "bands",
    "captions",
    "cell_path",
    "clip_statistics",
    "common_selections",
    "compare",
    "counterfactual",
    "credit_matrix",
    "dead_units",
    "depth",
    "diagnose",
    "direction_change",
    "edge_of_stability",
    "effective_lr",
    "events",
    "experiment",
    "final_loss",
    "first_divergence",
    "gate_history",
    "gate_profile",
    "gate_title",
    "gate_units",
    "goals",
    "gradient_noise",
    "heat",
    "heat_ratio",
    "horizon_captions",
    "key_figures",
    "layer_status",
    "logged_scalars",
    "loss_curve",
    "loss_dynamics",
    "lyapunov_history",
    "nonfinite_origin",
    "norm_history",
    "number",
    "numerics",
    "omega",
    "profile",
    "reach",
    "reaches",
    "recommended_thresholds",
    "recorded_steps",
    "rule",
    "scalar_title",
    "scalar_unit",
    "selections",
    "signal_title",
    "signal_unit",
    "signals",
    "snapshot_columns",
    "snapshot_steps",
    "snapshot_title",
    "spectrum_history",
    "task_distance",
    "time_constants",
    "training_course",
    "truncation",
    "unit_heat",
    "updates",
    "weight_contributions",
    "weight_spectra",
    "what_if",
]
