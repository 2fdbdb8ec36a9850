"""What ends a training early: an update whose gradient is not finite, or a callback that asks for it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from graddiag.errors import SettingError, StopTraining
from graddiag.schema import OnNonfinite


@dataclass
class Stopping:
    """What to do about an update whose gradient is not finite, and how a training is stopped.

    handler: takes the ``StopTraining`` where a trainer ends the training in another way; None: it is raised.
    """

    on_nonfinite: OnNonfinite = "continue"
    handler: Callable[[StopTraining], None] | None = None

    @property
    def checks(self) -> bool:
        """Whether gradients are checked before each update."""
        return self.on_nonfinite != "continue"

    def __call__(self, reason: StopTraining) -> None:
        """Stops the training.

        Raises:
            StopTraining: unless a handler takes it.
        """
        if self.handler is None:
            raise reason
        self.handler(reason)

    def at_nonfinite(self, step: int, run: Path) -> None:
        """Stops it before the update of ``step``; raises as the call."""
        self(
            StopTraining(
                f"step {step}: the gradient holds NaN or inf, and its update was left out "
                f'(on_nonfinite="stop"). `graddiag diagnose {run}` shows where it began.'
            )
        )


def checked_on_nonfinite(given: str, *, has_optimizer: bool) -> OnNonfinite:
    """Raises SettingError for another choice, or one that nothing can act on."""
    found: dict[str, OnNonfinite] = {"continue": "continue", "stop": "stop", "skip": "skip"}
    if given not in found:
        raise SettingError(f"watch(on_nonfinite={given!r}): choose one of {', '.join(found)}.")
    if given != "continue" and not has_optimizer:
        raise SettingError(
            f"watch(on_nonfinite={given!r}): without an optimizer nothing can be left out; pass the one that updates "
            "the model."
        )
    return found[given]
