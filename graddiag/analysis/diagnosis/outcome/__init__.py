"""Did the training learn: which measure says so, how it moved, and the outcome that follows."""

from graddiag.analysis.diagnosis.outcome.judge import Outcome, outcome
from graddiag.analysis.diagnosis.outcome.levels import OUTCOME_NAMES

__all__ = ["OUTCOME_NAMES", "Outcome", "outcome"]
