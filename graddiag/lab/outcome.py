"""What became of a training that was handed to an engine."""

from dataclasses import dataclass

from graddiag.lab.training import Plan, Trained


@dataclass(frozen=True)
class TrainingOutcome:
    """What became of a plan: a run, or the error that ended it. lost: the error is that of the worker, which was killed
    or whose node was lost, and none of the training."""

    plan: Plan
    trained: Trained | None = None
    error: BaseException | None = None
    lost: bool = False
