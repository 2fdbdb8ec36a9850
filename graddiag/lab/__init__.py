"""The lab: tasks, models and one visible training loop that make runs worth looking at."""

from graddiag.lab.experiments import (
    BASELINE,
    CLIP_OFF,
    CLIP_ON,
    plan_arms,
    plan_pair,
    plan_run,
    unnamed_changes,
    unused_experiment,
)
from graddiag.lab.spec import TrainingSpec, training_spec
from graddiag.lab.training import Plan, StepSeen, Trained, train

__all__ = [
    "BASELINE",
    "CLIP_OFF",
    "CLIP_ON",
    "Plan",
    "StepSeen",
    "Trained",
    "TrainingSpec",
    "plan_arms",
    "plan_pair",
    "plan_run",
    "train",
    "training_spec",
    "unnamed_changes",
    "unused_experiment",
]
