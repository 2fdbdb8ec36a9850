"""Analyses: a run in, a frozen result out. No torch, no plotly; what was not measured is said, never guessed."""

from graddiag.analysis.bands import Band, Bands, bands
from graddiag.analysis.captions import captions
from graddiag.analysis.cellpath import CellPath, cell_path
from graddiag.analysis.clipping import ClipStatistics, clip_statistics
from graddiag.analysis.compare import ArmSummary, Comparison, Pair, compare
from graddiag.analysis.counterfactual import Counterfactuals, LookedStep, counterfactual
from graddiag.analysis.credit import CreditMatrix, credit_matrix
from graddiag.analysis.curves import Curves, logged_scalars, loss_curve
from graddiag.analysis.depth import Depth, LayerNorm, LayerRatio, depth
from graddiag.analysis.diagnosis import Diagnosis
from graddiag.analysis.differences import Difference
from graddiag.analysis.direction import DirectionChange, direction_change
from graddiag.analysis.distance import Coverage, task_distance
from graddiag.analysis.effective import EffectiveLr, effective_lr
from graddiag.analysis.effects import Effect
from graddiag.analysis.events import EventKind, Events, events
from graddiag.analysis.experiment import Experiment, Goal, experiment, goals
from graddiag.analysis.exponents import ExponentCourse, LyapunovHistory, lyapunov_history
from graddiag.analysis.findings import (
    CALM,
    FINDING_NAMES,
    NOTE_NAMES,
    SEVERITIES,
    Advice,
    Evidence,
    Finding,
    Note,
    Place,
)
from graddiag.analysis.gates import GateHistory, GateProfile, GateSeries, gate_history, gate_profile
from graddiag.analysis.gateunits import GateUnits, UnitSaturation, gate_units
from graddiag.analysis.heat import Heat, heat
from graddiag.analysis.loss import LossDynamics, Stability, loss_dynamics
from graddiag.analysis.measured import Measured
from graddiag.analysis.metrics import METRICS, RunSummary, final_loss
from graddiag.analysis.noise import GradientNoise, NoiseBlock, gradient_noise
from graddiag.analysis.nonfinite import NonfiniteOrigin, nonfinite_origin
from graddiag.analysis.norms import NormHistory, norm_history
from graddiag.analysis.numerics import Numerics, Underflow, Zeros, numerics
from graddiag.analysis.omega import Omega, OmegaForm, omega
from graddiag.analysis.outcome import OUTCOME_NAMES, Outcome
from graddiag.analysis.parting import Parting, parting
from graddiag.analysis.profile import Profile, profile
from graddiag.analysis.ratio import HeatRatio, heat_ratio
from graddiag.analysis.reach import Reach, horizon_captions, reach
from graddiag.analysis.reaches import LayerReaches, reaches
from graddiag.analysis.recommended import RecommendedThresholds, recommended_thresholds
from graddiag.analysis.rules import RULES, RULES_VERSION, Rule, rule
from graddiag.analysis.selection import Selection, common_selections, recorded_steps, selections, signals
from graddiag.analysis.snapshots import UnitHeat, snapshot_columns, snapshot_steps, snapshot_title, unit_heat
from graddiag.analysis.spectra import Lyapunov, SpectrumHistory, WeightSpectrum, spectrum_history, weight_spectra
from graddiag.analysis.stability import EdgeOfStability, edge_of_stability
from graddiag.analysis.story import Moment, Story
from graddiag.analysis.success import SuccessRates
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.timeconstants import TimeConstants, time_constants
from graddiag.analysis.truncation import Truncation, truncation
from graddiag.analysis.units import DeadUnits, dead_units
from graddiag.analysis.updates import RULE_OF_THUMB, ParameterUpdate, Updates, updates
from graddiag.analysis.values import CellState, Result, Series, Source
from graddiag.analysis.verdict import diagnose
from graddiag.analysis.weights import WeightsInTime, weights_in_time
from graddiag.analysis.whatif import WhatIf, WhatIfCurves, what_if
from graddiag.analysis.words import gate_title, number, scalar_title, scalar_unit, signal_title, signal_unit

__all__ = [
    "CALM",
    "FINDING_NAMES",
    "METRICS",
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
    "GateHistory",
    "GateProfile",
    "GateSeries",
    "GateUnits",
    "Goal",
    "GradientNoise",
    "Heat",
    "HeatRatio",
    "LayerNorm",
    "LayerRatio",
    "LayerReaches",
    "LookedStep",
    "LossDynamics",
    "Lyapunov",
    "LyapunovHistory",
    "Measured",
    "Moment",
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
    "Parting",
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
    "Story",
    "SuccessRates",
    "Thresholds",
    "TimeConstants",
    "Truncation",
    "Underflow",
    "UnitHeat",
    "UnitSaturation",
    "Updates",
    "WeightSpectrum",
    "WeightsInTime",
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
    "gate_history",
    "gate_profile",
    "gate_title",
    "gate_units",
    "goals",
    "gradient_noise",
    "heat",
    "heat_ratio",
    "horizon_captions",
    "logged_scalars",
    "loss_curve",
    "loss_dynamics",
    "lyapunov_history",
    "nonfinite_origin",
    "norm_history",
    "number",
    "numerics",
    "omega",
    "parting",
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
    "truncation",
    "unit_heat",
    "updates",
    "weight_spectra",
    "weights_in_time",
    "what_if",
]
