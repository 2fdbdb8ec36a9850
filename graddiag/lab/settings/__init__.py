"""The settings of a training, by what they are about; ``graddiag.lab.spec.TrainingSpec`` has them all."""

from graddiag.kinds import ModelKind, Nonlinearity
from graddiag.lab.settings.data import DataSettings, TaskName
from graddiag.lab.settings.model import Initialisation, ModelSettings
from graddiag.lab.settings.recording import OnNonfinite, RecordingSettings
from graddiag.lab.settings.update import LossReduction, UpdateSettings

__all__ = [
    "DataSettings",
    "Initialisation",
    "LossReduction",
    "ModelKind",
    "ModelSettings",
    "Nonlinearity",
    "OnNonfinite",
    "RecordingSettings",
    "TaskName",
    "UpdateSettings",
]
