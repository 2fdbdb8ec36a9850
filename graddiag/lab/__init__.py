"""The lab: tasks, models and one visible training loop that make runs worth looking at.

Names are loaded when first used, so that the settings can be read without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graddiag.lab.experiments import BASELINE as BASELINE
    from graddiag.lab.experiments import CLIP_OFF as CLIP_OFF
    from graddiag.lab.experiments import CLIP_ON as CLIP_ON
    from graddiag.lab.experiments import plan_arms as plan_arms
    from graddiag.lab.experiments import plan_pair as plan_pair
    from graddiag.lab.experiments import plan_run as plan_run
    from graddiag.lab.experiments import unnamed_changes as unnamed_changes
    from graddiag.lab.experiments import unused_experiment as unused_experiment
    from graddiag.lab.spec import TrainingSpec as TrainingSpec
    from graddiag.lab.spec import training_spec as training_spec
    from graddiag.lab.training import Plan as Plan
    from graddiag.lab.training import StepSeen as StepSeen
    from graddiag.lab.training import Trained as Trained
    from graddiag.lab.training import train as train

_HOMES = {
    "BASELINE": "experiments",
    "CLIP_OFF": "experiments",
    "CLIP_ON": "experiments",
    "Plan": "training",
    "StepSeen": "training",
    "Trained": "training",
    "TrainingSpec": "spec",
    "plan_arms": "experiments",
    "plan_pair": "experiments",
    "plan_run": "experiments",
    "train": "training",
    "training_spec": "spec",
    "unnamed_changes": "experiments",
    "unused_experiment": "experiments",
}

__all__ = [*_HOMES]


if not TYPE_CHECKING:  # a type checker is to see misspelt names

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(import_module(f"graddiag.lab.{_HOMES[name]}"), name)
        raise AttributeError(f"module 'graddiag.lab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
