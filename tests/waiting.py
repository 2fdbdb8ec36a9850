"""Waiting for what another process does."""

import time
from collections.abc import Callable

SECONDS = 120  # a busy machine


def until(true: Callable[[], bool]) -> None:
    """Returns once it is true; fails where it never is."""
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
