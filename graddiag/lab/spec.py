"""What one training of the lab is, down to the last setting: the value from which a run can be repeated."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from graddiag import clipping
from graddiag.errors import SettingError

TaskName = Literal[
    "text",
    "temporal-order",
    "temporal-order-3bit",
    "adding",
    "multiplication",
    "permutation",
    "memorisation",
    "recall",
]
ModelKind = Literal["rnn", "lstm", "gru"]
OnNonfinite = Literal["continue", "stop"]
Nonlinearity = Literal["tanh", "relu", "sigmoid", "identity"]
Initialisation = Literal["orthogonal", "identity", "chrono"]

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
_SYNTHETIC: Final[Mapping[str, dict[str, Any]]] = {
    "temporal-order-3bit": {"length": 30, "lr": 0.2},
    "adding": {"length": 30, "lr": 0.02},
    "multiplication": {"length": 30, "lr": 0.02},
    "permutation": {"length": 20, "lr": 0.2},
    "memorisation": {"length": 10, "lr": 0.2},
    "recall": {"length": 20, "lr": 0.2},
}
_OF_MODEL: Final[Mapping[str, dict[str, Any]]] = {
    "rnn": {"init_std": 0.1},
    "lstm": {"forget_bias": 2.0},
    "gru": {"forget_bias": 1.0},
}
RECORDED_STEPS: Final = 300  # about as many as a picture can show


class TrainingSpec(BaseModel):
    """One training: task, model, optimiser, clip policy, seed. Equal specs give bit-identical runs on one machine.

    Attributes:
        length: T, timesteps of a sequence; memorisation adds its 20, recall the one it asks at.
        batch: N, sequences of a batch.
        hidden: H, units of each recurrent layer.
        embedding: width of the symbols' embedding; None feeds them one-hot.
        init_std: weights drawn from N(0, init_std^2), biases 0; None keeps torch's initialisation.
        forget_bias: what the two biases of the gate that keeps the state (f of an LSTM, z of a GRU) sum to at the
            start; None keeps torch's.
        nonlinearity: of an RNN's units; None is tanh.
        init: how the recurrent weights (orthogonal, identity) or the gates' biases (chrono, with the length as the
            longest time constant) are drawn, after all of the above; see ``graddiag.lab.initialisation``.
        h_detach: probability with which an LSTM sends nothing back through its gates; see ``graddiag.lab.remedies``.
        every: steps from one recording of the timesteps to the next; scalars are recorded at every step.
        snapshot_every: steps from one snapshot to the next, a multiple of ``every``; None takes none.
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
    nonlinearity: Nonlinearity | None = None
    init: Initialisation | None = None
    h_detach: float | None = Field(None, ge=0, le=1)
    every: int = Field(1, ge=1)
    snapshot_every: int | None = Field(None, ge=1)
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

    @field_validator("nonlinearity")
    @classmethod
    def _of_an_rnn(cls, nonlinearity: str | None, info: Any) -> str | None:
        if nonlinearity is not None and info.data.get("model") != "rnn":
            raise SettingError(f"nonlinearity {nonlinearity}: only a model 'rnn' can choose it; leave it out.")
        return nonlinearity

    @field_validator("h_detach")
    @classmethod
    def _has_a_cell(cls, h_detach: float | None, info: Any) -> float | None:
        if h_detach is not None and info.data.get("model") != "lstm":
            raise SettingError(
                f"h_detach {h_detach:g}: only a model 'lstm' has a cell path to leave alone; leave it out."
            )
        return h_detach

    @field_validator("init")
    @classmethod
    def _of_its_kind(cls, init: str | None, info: Any) -> str | None:
        gated = info.data.get("model") != "rnn"
        if init == "identity" and gated:
            raise SettingError("init identity: it is for a model 'rnn' (with --nonlinearity relu, the IRNN).")
        if init == "chrono" and not gated:
            raise SettingError("init chrono: it sets the biases of gates, and a model 'rnn' has none.")
        return init


def training_spec(task: str, model: str, **settings: Any) -> TrainingSpec:
    """The spec of a training; what is not given, or given as None, takes the task's default.

    Raises:
        SettingError: an unknown setting, task, model or clip policy, or a number out of range.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    merged = {**_defaults(task, model), **given, "task": task, "model": model}
    try:
        spec = TrainingSpec.model_validate(merged)
    except ValidationError as error:
        raise _setting_error(error) from None
    return spec if "every" in given else spec.model_copy(update={"every": _every(spec)})


def _every(spec: TrainingSpec) -> int:
    """Steps between recordings for about RECORDED_STEPS of them; it divides ``snapshot_every``, where there is one."""
    wanted = max(1, spec.steps // RECORDED_STEPS)
    if spec.snapshot_every is None:
        return wanted
    return max(every for every in range(1, wanted + 1) if spec.snapshot_every % every == 0)


def _defaults(task: str, model: str) -> dict[str, Any]:
    if task in _SYNTHETIC:
        return {**_ORDER, **_OF_MODEL.get(model, {}), **_SYNTHETIC[task]}
    return DEFAULTS.get((task, model), _TEXT)


def _setting_error(error: ValidationError) -> SettingError:
    """The first thing wrong, as one sentence that names the setting."""
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SettingError):
        return cause
    name = ".".join(str(part) for part in first["loc"])
    requirement = first["msg"][0].lower() + first["msg"][1:]
    return SettingError(f"{name} {first['input']!r} cannot be used: {requirement}.")
