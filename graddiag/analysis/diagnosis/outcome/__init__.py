"""Did the training learn: which measure says so, how it moved, and the outcome that follows."""

from graddiag.analysis.diagnosis.outcome.judge import OUTCOME_NAMES, Outcome, outcome

__all__ = ["OUTCOME_NAMES", "Outcome", "outcome"]
