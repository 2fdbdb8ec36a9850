"""The settings of a training, by what they are about; ``graddiag.lab.spec.TrainingSpec`` has them all."""

from graddiag.kinds import ModelKind, Nonlinearity
from graddiag.lab.networks import NetworkName
from graddiag.lab.settings.data import DataSettings, TaskName
from graddiag.lab.settings.model import Initialization, ModelSettings
from graddiag.lab.settings.recording import RecordingSettings
from graddiag.lab.settings.update import LossReduction, OmegaForm, UpdateSettings

__all__ = [
    "DataSettings",
    "Initialization",
    "LossReduction",
    "ModelKind",
    "ModelSettings",
    "NetworkName",
    "Nonlinearity",
    "OmegaForm",
    "RecordingSettings",
    "TaskName",
    "UpdateSettings",
]
