"""Analyses: a run in, a frozen result out. No torch, no plotly; what was not measured is said, never guessed."""

from graddiag.analysis.clipping import ClipStatistics, clip_statistics
from graddiag.analysis.compare import ArmSummary, Comparison, Effect, Pair, compare
from graddiag.analysis.curves import Curves, logged_scalars, loss_curve
from graddiag.analysis.differences import Difference
from graddiag.analysis.findings import Diagnosis, Evidence, Finding
from graddiag.analysis.gates import GateHistory, GateProfile, GateSeries, gate_history, gate_profile
from graddiag.analysis.heat import Heat, heat
from graddiag.analysis.metrics import METRICS, RunSummary, final_loss
from graddiag.analysis.nonfinite import NonfiniteOrigin, nonfinite_origin
from graddiag.analysis.norms import NormHistory, norm_history
from graddiag.analysis.parting import Parting, parting
from graddiag.analysis.profile import Profile, profile
from graddiag.analysis.reach import Reach, reach
from graddiag.analysis.selection import Selection, common_selections, recorded_steps, selections, signals
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import CellState, Result, Series, Source
from graddiag.analysis.verdict import diagnose
from graddiag.analysis.words import gate_title, number, scalar_title, scalar_unit, signal_title, signal_unit

__all__ = [
    "METRICS",
    "ArmSummary",
    "CellState",
    "ClipStatistics",
    "Comparison",
    "Curves",
    "Diagnosis",
    "Difference",
    "Effect",
    "Evidence",
    "Finding",
    "GateHistory",
    "GateProfile",
    "GateSeries",
    "Heat",
    "NonfiniteOrigin",
    "NormHistory",
    "Pair",
    "Parting",
    "Profile",
    "Reach",
    "Result",
    "RunSummary",
    "Selection",
    "Series",
    "Source",
    "Thresholds",
    "clip_statistics",
    "common_selections",
    "compare",
    "diagnose",
    "final_loss",
    "gate_history",
    "gate_profile",
    "gate_title",
    "heat",
    "logged_scalars",
    "loss_curve",
    "nonfinite_origin",
    "norm_history",
    "number",
    "parting",
    "profile",
    "reach",
    "recorded_steps",
    "scalar_title",
    "scalar_unit",
    "selections",
    "signal_title",
    "signal_unit",
    "signals",
]
