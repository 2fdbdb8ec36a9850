"""Waiting for what another process does, and starting one that can be interrupted."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

SECONDS = 120  # a busy machine


def until(true: Callable[[], bool]) -> None:
    """Returns once it is true; fails where it never is."""
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """A process that is started within ends at SIGINT, as one started from a terminal does.

    nohup and job runners start the tests with SIGINT ignored, and children inherit that; a handler they do not.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
