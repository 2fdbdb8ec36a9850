"""The settings of the run that a trainer's callback will record, until the model and the optimizer are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from graddiag.alerts import Callback, checked_callbacks
from graddiag.errors import SettingError
from graddiag.goal import with_goal
from graddiag.recorder import Cells, Recorder, Resume, watch
from graddiag.schema import OnNonfinite

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class RunSettings:
    """The arguments of ``graddiag.watch`` that describe a run, as a callback takes them."""

    run: str
    root: str | Path
    every: int
    experiment: str | None
    arm: str | None
    seed: int | None
    task: str | None
    loss_reduction: str | None
    config: Mapping[str, Any] | None
    goal: str | None = None
    better: Literal["lower", "higher"] | None = None
    chance: float | None = None
    chance_loss: float | str | None = None
    cells: Cells | None = None
    on_nonfinite: OnNonfinite = "continue"
    on_finding: Callback | Sequence[Callback] | None = None
    check_every: int = 200

    def __post_init__(self) -> None:
        with_goal(self.config, **self._goal)
        checked_callbacks(self.on_finding, self.check_every)
        if self.every < 1:
            raise SettingError(f"every={self.every}: it cannot be below 1 (every step); 10 is every tenth.")

    def watch(
        self,
        module: "torch.nn.Module",
        optimizer: "torch.optim.Optimizer | Sequence[torch.optim.Optimizer]",
        *,
        clip: str | None,
        scaler: "torch.amp.GradScaler | None",
        config: Mapping[str, Any],
        resume: Resume = None,
    ) -> Recorder:
        """Begins the run, or continues it; ``config`` is what the trainer knows, and what the user gave goes before
        it."""
        return watch(
            module,
            optimizer,
            run=self.run,
            root=self.root,
            every=self.every,
            scaler=scaler,
            cells=self.cells,
            experiment=self.experiment,
            arm=self.arm,
            seed=self.seed,
            task=self.task,
            clip=clip,
            loss_reduction=self.loss_reduction,
            config={**config, **(self.config or {})},
            resume=resume,
            on_nonfinite=self.on_nonfinite,
            on_finding=self.on_finding,
            check_every=self.check_every,
            **self._goal,
        )

    @property
    def _goal(self) -> dict[str, Any]:
        return {"goal": self.goal, "better": self.better, "chance": self.chance, "chance_loss": self.chance_loss}


def plain_values(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``settings`` that a run's configuration can hold: text, numbers, True, False and None."""
    return {name: value for name, value in settings.items() if isinstance(value, str | int | float | bool | None)}
