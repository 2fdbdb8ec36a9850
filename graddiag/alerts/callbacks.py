"""Ready-made callbacks of ``on_finding``."""

import sys
from collections.abc import Mapping
from typing import Any, Final, Literal

from graddiag.alerts.alert import Alert, Callback
from graddiag.errors import StopTraining

OnFinding = Literal["print", "stop"]
"""The callbacks that need no setting, by the name that the command line has for them."""


def print_alert(alert: Alert) -> None:
    """Prints the alert to standard error."""
    print(f"graddiag: {alert}", file=sys.stderr, flush=True)


def stop(alert: Alert) -> None:
    """Ends the training at the first finding.

    Raises:
        StopTraining: with the text of the alert; not for one that has cleared.
    """
    if not alert.cleared:
        raise StopTraining(str(alert))


def tensorboard(writer: Any) -> Callback:
    """Adds each alert as a text to a ``SummaryWriter`` of TensorBoard, under ``graddiag/NAME`` at its step."""

    def add(alert: Alert) -> None:
        writer.add_text(f"graddiag/{alert.name}", str(alert), alert.step)
        writer.flush()

    return add


def wandb(run: Any) -> Callback:
    """Sends each alert by a run of Weights & Biases (``wandb.init(...)``): e-mail or Slack, as its user has set up."""

    def send(alert: Alert) -> None:
        cleared = "cleared: " * alert.cleared
        run.alert(
            title=f"{alert.run}: {cleared}{alert.title}"[:64],  # the length that W&B takes
            text=str(alert),
            level="INFO" if alert.cleared else "WARN",
        )

    return send


READY_MADE: Final[Mapping[OnFinding, Callback]] = {"print": print_alert, "stop": stop}
