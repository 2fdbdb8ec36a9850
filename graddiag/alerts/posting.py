"""Alerts as JSON to an address: Slack, Mattermost, Discord, or a program of yours."""

import json
import warnings
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPException
from typing import Final
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from graddiag.alerts.alert import Alert
from graddiag.errors import SettingError

_WAITING: Final = 16  # alerts that may wait for the address; further ones are dropped


def webhook(url: str, timeout: float = 5.0) -> "Webhook":
    """Posts each alert to ``url`` as ``{"text": ...}``, the form of Slack's incoming webhooks.

    Args:
        timeout: seconds after which an address that does not answer is given up.

    Raises:
        SettingError: the address is none of http or https.
    """
    return Webhook(url, timeout)


class Webhook:
    """Posts in a separate thread, so that the training never waits; what cannot be posted is warned of once.

    The process waits at its end for what is under way, ``timeout`` seconds at most for each alert. The address is a
    secret: a warning has the host alone.
    """

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingError("webhook(url): the address has to begin with http:// or https:// and name a host.")
        self._url, self._host = url, parts.hostname
        self._timeout = timeout
        self._thread: ThreadPoolExecutor | None = None
        self._handed: deque[Future[str | None]] = deque()
        self._warned = False

    def __call__(self, alert: Alert) -> None:
        """Hands the alert over to the thread."""
        self._report_failures()
        if len(self._handed) >= _WAITING:
            self._warn(f"{_WAITING} alerts wait for it")
            return
        self._thread = self._thread or ThreadPoolExecutor(max_workers=1, thread_name_prefix="graddiag-webhook")
        self._handed.append(self._thread.submit(self._post, json.dumps({"text": str(alert)}).encode()))

    def wait(self) -> None:
        """Waits until all alerts are posted or given up."""
        for each in self._handed:
            each.exception()
        self._report_failures()

    def _post(self, body: bytes) -> str | None:
        """Why the alert could not be posted; None where it was."""
        request = Request(self._url, body, {"Content-Type": "application/json"}, method="POST")
        try:
            with urlopen(request, timeout=self._timeout) as answer:
                answer.read()
        except (OSError, HTTPException, ValueError) as error:
            return f"{type(error).__name__}: {getattr(error, 'reason', None) or error}"
        return None

    def _report_failures(self) -> None:
        while self._handed and self._handed[0].done():
            if (failure := self._handed.popleft().result()) is not None:
                self._warn(failure)

    def _warn(self, reason: str) -> None:
        if self._warned:
            return
        self._warned = True
        warnings.warn(f"graddiag could not post an alert to {self._host}: {reason}", RuntimeWarning, stacklevel=3)
