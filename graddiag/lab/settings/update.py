"""What an update is: the loss, what is done to its gradient, and the optimizer."""

from typing import Literal

from pydantic import BaseModel, Field, field_validator

from graddiag import clipping
from graddiag.lab import optimizers
from graddiag.lab.omega import OmegaForm

LossReduction = Literal["mean", "sum"]


class UpdateSettings(BaseModel):
    """From a loss to an update.

    Attributes:
        optimizer: ``sgd``, ``sgd:M`` with momentum M, ``rmsprop:A`` with the smoothing constant A, ``adam``.
        lr: learning rate, at the start.
        schedule: ``constant``, or ``decay:F:AFTER:EVERY``: from step AFTER on, multiplied by F at every EVERY-th step.
        loss: over timesteps that answer, their mean or their sum; over the batch it is always the mean.
        clip: the clip policy.
        omega: weight of Omega, the regulariser of Pascanu et al. (2013) that keeps an RNN's gradient from vanishing;
            its derivative is added before clipping, its value logged as the scalar omega. None leaves it out.
        omega_form: squared, or norm; None is squared. See ``graddiag.lab.omega``.
        h_detach: probability with which an LSTM sends nothing back through its gates; see ``graddiag.lab.remedies``.
    """

    optimizer: str = "sgd"
    lr: float = Field(gt=0, allow_inf_nan=False)
    schedule: str = "constant"
    loss: LossReduction = "mean"
    clip: str = "none"
    omega: float | None = Field(None, gt=0, allow_inf_nan=False)
    omega_form: OmegaForm | None = None
    h_detach: float | None = Field(None, ge=0, le=1)

    @field_validator("clip")
    @classmethod
    def _policy(cls, clip: str) -> str:
        return str(clipping.parse(clip))

    @field_validator("optimizer")
    @classmethod
    def _optimiser(cls, optimizer: str) -> str:
        return str(optimizers.parse(optimizer))

    @field_validator("schedule")
    @classmethod
    def _schedule(cls, schedule: str) -> str:
        return str(optimizers.parse_schedule(schedule))
