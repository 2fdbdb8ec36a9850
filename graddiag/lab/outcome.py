"""What became of a training that was handed to an engine."""

from dataclasses import dataclass

from graddiag.lab.training import Plan, Trained


@dataclass(frozen=True)
class TrainingOutcome:
    """What became of a plan: a run, or the error that ended it."""

    plan: Plan
    trained: Trained | None = None
    error: BaseException | None = None
