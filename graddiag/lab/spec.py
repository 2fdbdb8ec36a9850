"""What one training of the lab is, down to the last setting: the value from which a run can be repeated."""

from typing import Any, Final

from pydantic import ConfigDict, model_validator

from graddiag.deprecation import renamed_attribute, warn_renamed
from graddiag.errors import SettingError
from graddiag.kinds import ModelKind, models_with_cell_state, plain_models
from graddiag.lab.networks import NetworkName, cell_type
from graddiag.lab.settings import (
    DataSettings,
    ModelSettings,
    RecordingSettings,
    TaskName,
    UpdateSettings,
)
from graddiag.lab.settings.declared import checked, former_names, with_present_names
from graddiag.lab.tasks import TASKS, task_kind, tasks_with

__all__ = ["ModelKind", "NetworkName", "TaskName", "TrainingSpec", "training_spec"]

RECORDED_STEPS: Final = 300  # about as many as a picture can show


class TrainingSpec(RecordingSettings, UpdateSettings, ModelSettings, DataSettings):
    """One training: data, model, update, recording. Equal specs give bit-identical runs on one machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    carry = renamed_attribute("carry", "stateful")
    look_every = renamed_attribute("look_every", "try_thresholds_every")

    @model_validator(mode="before")
    @classmethod
    def _present_names(cls, given: Any) -> Any:
        return with_present_names(cls, given) if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _together(self) -> "TrainingSpec":
        kind = cell_type(self.model)
        plain = kind is not None and bool(kind.nonlinearities)
        if self.h_detach is not None and not (kind is not None and kind.has_cell_state):
            raise SettingError(
                f"h_detach {self.h_detach:g}: only a model {models_with_cell_state()} has a cell path to leave alone; "
                "leave it out."
            )
        if self.omega is not None and (not plain or self.layer_norm):
            other = "with layer_norm" if plain else f"{self.model!r}"
            raise SettingError(
                f"omega {self.omega:g}: it is for a model {plain_models()}, not one {other}; leave it out."
            )
        if self.omega_form is not None and self.omega is None:
            raise SettingError(f"omega_form {self.omega_form}: it says which Omega; give its weight too, e.g. omega=2.")
        if self.until_error is not None and self.output != "softmax":
            raise SettingError(
                f"until_error {self.until_error:g}: output {self.output} tells no share of wrong answers."
            )
        for name in dict.fromkeys(name for kind in TASKS for name in kind.only):
            if getattr(self, name) != type(self).model_fields[name].default and self.task not in tasks_with(name):
                tasks = tasks_with(name)
                which = f"task{'s' * (len(tasks) > 1)} {' and '.join(tasks)}"
                raise SettingError(f"{name}: it is for the {which}, not for {self.task}; leave it out.")
        kind_of_task = task_kind(self.task)
        assert kind_of_task is not None
        if self.criterion is not None and self.criterion not in kind_of_task.criteria:
            allowed = " or ".join(kind_of_task.criteria)
            raise SettingError(f"criterion {self.criterion}: the task {self.task} has {allowed}.", ("criterion",))
        return self


def training_spec(task: str, model: str, **settings: Any) -> TrainingSpec:
    """The spec of a training; what is not given, or given as None, takes the task's default.

    Raises:
        SettingError: an unknown setting, task, model or clip policy, or a number out of range.
    """
    for name, present in former_names(TrainingSpec).items():
        if name in settings:
            warn_renamed(f"the setting {name}", present)
    given = {name: value for name, value in with_present_names(TrainingSpec, settings).items() if value is not None}
    kind = task_kind(task)
    suits = {} if kind is None else kind.suits(model)
    if "init_uniform" in given:
        suits.pop("init_std", None)
    spec = checked(TrainingSpec, {**suits, **given, "task": task, "model": model}, "a training")
    return spec if "every" in given else spec.model_copy(update={"every": _every(spec)})


def _every(spec: TrainingSpec) -> int:
    """Steps between recordings for about RECORDED_STEPS of them; it divides ``snapshot_every``, where there is one."""
    wanted = max(1, spec.steps // RECORDED_STEPS)
    if spec.snapshot_every is None:
        return wanted
    return max(every for every in range(1, wanted + 1) if spec.snapshot_every % every == 0)
