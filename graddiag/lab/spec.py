"""What one training of the lab is, down to the last setting: the value from which a run can be repeated."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ConfigDict, ValidationError, model_validator

from graddiag.errors import SettingError
from graddiag.kinds import CELL_TYPES, ModelKind, models_with_cell_state, plain_models
from graddiag.lab.settings import (
    DataSettings,
    ModelSettings,
    RecordingSettings,
    TaskName,
    UpdateSettings,
)

__all__ = ["DEFAULTS", "TEXTUAL", "ModelKind", "TaskName", "TrainingSpec", "training_spec"]

TEXTUAL: Final = ("text", "words")  # the tasks that read a text

# Where each task shows its subject: explosion on text, credit over a distance in temporal order.
_TEXT: Final[dict[str, Any]] = {
    "steps": 200,
    "length": 60,
    "batch": 16,
    "hidden": 64,
    "embedding": 32,
    "lr": 5.0,
    "init_std": 0.25,  # W_hh of a gain of 2: from the first step on the gradient of an RNN grows through time
}
_WORDS: Final[dict[str, Any]] = {
    "steps": 600,
    "length": 35,
    "batch": 20,
    "hidden": 128,
    "embedding": 128,
    "lr": 2.0,
    "vocabulary": 10_000,
    "carry": True,
    "evaluate_every": 100,
}
_ORDER: Final[dict[str, Any]] = {"steps": 2500, "length": 30, "batch": 20, "hidden": 50}
DEFAULTS: Final[dict[tuple[str, str], dict[str, Any]]] = {
    **{("text", model): _TEXT for model in CELL_TYPES},
    **{("words", model): _WORDS for model in CELL_TYPES},
    **{
        ("temporal-order", model): {**_ORDER, "lr": 0.2 if kind.keeping is None else 1.0, **kind.start}
        for model, kind in CELL_TYPES.items()
    },
}
_SYNTHETIC: Final[Mapping[str, dict[str, Any]]] = {
    "temporal-order-3bit": {"length": 30, "lr": 0.2},
    "adding": {"length": 30, "lr": 0.02},
    "multiplication": {"length": 30, "lr": 0.02},
    "permutation": {"length": 20, "lr": 0.2},
    "memorisation": {"length": 10, "lr": 0.2},
    "recall": {"length": 20, "lr": 0.2},
    "cloze": {"length": 20, "lr": 0.2},
}
_OF_MODEL: Final[Mapping[str, Mapping[str, Any]]] = {model: kind.start for model, kind in CELL_TYPES.items()}
RECORDED_STEPS: Final = 300  # about as many as a picture can show


class TrainingSpec(RecordingSettings, UpdateSettings, ModelSettings, DataSettings):
    """One training: data, model, update, recording. Equal specs give bit-identical runs on one machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _together(self) -> "TrainingSpec":
        kind = CELL_TYPES[self.model]
        if self.h_detach is not None and not kind.has_cell_state:
            raise SettingError(
                f"h_detach {self.h_detach:g}: only a model {models_with_cell_state()} has a cell path to leave alone; "
                "leave it out."
            )
        if self.omega is not None and (not kind.nonlinearities or self.layer_norm):
            other = "with layer_norm" if kind.nonlinearities else f"{self.model!r}"
            raise SettingError(
                f"omega {self.omega:g}: it is for a model {plain_models()}, not one {other}; leave it out."
            )
        if self.omega_form is not None and self.omega is None:
            raise SettingError(f"omega_form {self.omega_form}: it says which Omega; give its weight too, omega=2 say.")
        if self.until_error is not None and self.output != "softmax":
            raise SettingError(
                f"until_error {self.until_error:g}: output {self.output} tells no share of wrong answers."
            )
        textual = {
            "text": self.text is not None,
            "carry": self.carry,
            "evaluate_every": self.evaluate_every is not None,
            "output": self.output != "softmax",
        }
        wrong = [name for name, given in textual.items() if given]
        if self.task not in TEXTUAL and wrong:
            raise SettingError(
                f"{wrong[0]}: it is for the tasks {' and '.join(TEXTUAL)}, not for {self.task}; leave it out."
            )
        if self.vocabulary is not None and self.task != "words":
            raise SettingError(f"vocabulary {self.vocabulary}: it is for the task words; leave it out.")
        return self


def training_spec(task: str, model: str, **settings: Any) -> TrainingSpec:
    """The spec of a training; what is not given, or given as None, takes the task's default.

    Raises:
        SettingError: an unknown setting, task, model or clip policy, or a number out of range.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    suits = _defaults(task, model)
    if "init_uniform" in given:
        suits.pop("init_std", None)
    merged = {**suits, **given, "task": task, "model": model}
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
    return dict(DEFAULTS.get((task, model), _TEXT))


def _setting_error(error: ValidationError) -> SettingError:
    """The first thing wrong, as one sentence that names the setting."""
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SettingError):
        return cause
    name = ".".join(str(part) for part in first["loc"])
    requirement = first["msg"][0].lower() + first["msg"][1:]
    return SettingError(f"{name} {first['input']!r} cannot be used: {requirement}.")
