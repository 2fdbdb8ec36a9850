"""What an update is: the loss, what is done to its gradient, and the optimizer."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator

from graddiag.clipping import registry
from graddiag.lab import optimizers, schedules
from graddiag.lab.settings.declared import Shown

LossReduction = Literal["mean", "sum"]
OmegaForm = Literal["squared", "norm"]


class UpdateSettings(BaseModel):
    """From a loss to an update."""

    optimizer: str = Field("sgd", description=f"Optimizer: {optimizers.known_optimizers()}.")
    lr: Annotated[float, Shown("Learning rate (SGD)")] = Field(
        gt=0, allow_inf_nan=False, description="Learning rate at the start."
    )
    schedule: str = Field(
        "constant",
        description=f"Learning rate schedule: {schedules.known_schedules()}.",
    )
    weight_decay: Annotated[float | None, Shown(default="0.01 for adamw, else 0")] = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="Weight decay of all parameters: of adamw lr times so much of a weight is taken off it, of the "
        "others it is added to the gradient after clipping.",
    )
    loss: LossReduction = Field(
        "mean", description="Over timesteps that answer: their mean or their sum. Over the batch it is always the mean."
    )
    clip: Annotated[str, Shown("Clip policy of the second arm")] = Field(
        "none", description=f"Clip policy: {registry.help_text()}."
    )
    omega: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Weight of the regularizer Omega of Pascanu et al. (2013), which keeps an rnn's gradient from "
        "vanishing.",
    )
    omega_form: Annotated[OmegaForm | None, Shown(default="squared")] = Field(
        None, description="Form of Omega: squared or norm."
    )
    h_detach: Annotated[float | None, Shown(default="never")] = Field(
        None, ge=0, le=1, description="Probability with which an lstm sends no gradient back through its gates."
    )

    @field_validator("clip")
    @classmethod
    def _policy(cls, clip: str) -> str:
        return registry.normalized(clip)

    @field_validator("optimizer")
    @classmethod
    def _optimizer(cls, optimizer: str) -> str:
        return str(optimizers.parse_optimizer(optimizer))

    @field_validator("schedule")
    @classmethod
    def _schedule(cls, schedule: str) -> str:
        return str(schedules.parse_schedule(schedule))
