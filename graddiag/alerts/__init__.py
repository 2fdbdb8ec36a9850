"""Alerts of a training: a finding of the diagnosis that appears or clears while it runs, and ready-made callbacks.

``graddiag.watch(..., on_finding=graddiag.alerts.print_alert)``; several go as a list.
"""

from graddiag.alerts.alert import Alert, Callback, alert_names
from graddiag.alerts.callbacks import READY_MADE, OnFinding, print_alert, stop, tensorboard, wandb
from graddiag.alerts.checks import MOST_SHARE, FindingChecks, checked_callbacks
from graddiag.alerts.posting import Webhook, webhook

__all__ = [
    "MOST_SHARE",
    "READY_MADE",
    "Alert",
    "Callback",
    "FindingChecks",
    "OnFinding",
    "Webhook",
    "alert_names",
    "checked_callbacks",
    "print_alert",
    "stop",
    "tensorboard",
    "wandb",
    "webhook",
]
