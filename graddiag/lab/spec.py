"""What one training of the lab is, down to the last setting: the value from which a run can be repeated."""

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from graddiag import clipping
from graddiag.errors import SettingError

TaskName = Literal["text", "temporal-order"]
ModelKind = Literal["rnn", "lstm", "gru"]
OnNonfinite = Literal["continue", "stop"]

# Where each task shows its subject: explosion on text, credit over a distance in temporal order.
_TEXT: Final[dict[str, Any]] = {"steps": 300, "length": 100, "batch": 32, "hidden": 128, "embedding": 64, "lr": 3.0}
_ORDER: Final[dict[str, Any]] = {"steps": 2500, "length": 30, "batch": 20, "hidden": 50}
DEFAULTS: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("text", "rnn"): _TEXT,
    ("text", "lstm"): _TEXT,
    ("text", "gru"): _TEXT,
    ("temporal-order", "rnn"): {**_ORDER, "lr": 0.2, "init_std": 0.1},
    ("temporal-order", "lstm"): {**_ORDER, "lr": 1.0, "forget_bias": 2.0},
    ("temporal-order", "gru"): {**_ORDER, "lr": 1.0, "forget_bias": 1.0},
}
RECORDED_STEPS: Final = 300  # about as many as a picture can show


class TrainingSpec(BaseModel):
    """One training: task, model, optimiser, clip policy, seed. Equal specs give bit-identical runs on one machine.

    Attributes:
        length: T, timesteps of a sequence.
        batch: N, sequences of a batch.
        hidden: H, units of each recurrent layer.
        embedding: width of the symbols' embedding; None feeds them one-hot.
        init_std: weights drawn from N(0, init_std^2), biases 0; None keeps torch's initialisation.
        forget_bias: what the two biases of the gate that keeps the state (f of an LSTM, z of a GRU) sum to at the
            start; None keeps torch's.
        every: steps from one recording of the timesteps to the next; scalars are recorded at every step.
        text: the file to read, for the task text; None reads Python's reference documentation.
        threads: torch threads; results are the same for the same number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: TaskName
    model: ModelKind
    clip: str = "none"
    seed: int = Field(0, ge=0, lt=2**63)
    steps: int = Field(ge=1)
    length: int = Field(ge=1)
    batch: int = Field(ge=1)
    hidden: int = Field(ge=1)
    layers: int = Field(1, ge=1)
    embedding: int | None = Field(None, ge=1)
    lr: float = Field(gt=0, allow_inf_nan=False)
    init_std: float | None = Field(None, gt=0, allow_inf_nan=False)
    forget_bias: float | None = Field(None, allow_inf_nan=False)
    every: int = Field(1, ge=1)
    text: Path | None = None
    on_nonfinite: OnNonfinite = "continue"
    threads: int = Field(1, ge=1)

    @field_validator("clip")
    @classmethod
    def _canonical(cls, clip: str) -> str:
        return str(clipping.parse(clip))

    @field_validator("forget_bias")
    @classmethod
    def _needs_a_gate(cls, forget_bias: float | None, info: Any) -> float | None:
        if forget_bias is not None and info.data.get("model") == "rnn":
            raise SettingError(f"forget_bias {forget_bias:g}: a model 'rnn' has no gate that forgets; leave it out.")
        return forget_bias


def training_spec(task: str, model: str, **settings: Any) -> TrainingSpec:
    """The spec of a training; what is not given, or given as None, takes the task's default.

    Raises:
        SettingError: an unknown setting, task, model or clip policy, or a number out of range.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    merged = {**DEFAULTS.get((task, model), _TEXT), **given, "task": task, "model": model}
    try:
        spec = TrainingSpec.model_validate(merged)
    except ValidationError as error:
        raise _setting_error(error) from None
    return spec if "every" in given else spec.model_copy(update={"every": max(1, spec.steps // RECORDED_STEPS)})


def _setting_error(error: ValidationError) -> SettingError:
    """The first thing wrong, as one sentence that names the setting."""
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SettingError):
        return cause
    name = ".".join(str(part) for part in first["loc"])
    requirement = first["msg"][0].lower() + first["msg"][1:]
    return SettingError(f"{name} {first['input']!r} cannot be used: {requirement}.")
