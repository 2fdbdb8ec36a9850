"""Ctrl-C and SIGTERM while a run is closed: they take effect afterwards, so that the run says how it ended."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

_HELD: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held_signals(*, raising: bool) -> Iterator[None]:
    """Holds the first signal that comes within, and calls its handler at the end; a second one is not held, so that a
    disk that does not answer can be left.

    raising: an exception is on its way out, which stays the one that is raised: what the handler raises is dropped.
    Only handlers of Python are held, in the main thread, which is where they run.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers: dict[int, Any] = {each: signal.getsignal(each) for each in _HELD}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    came: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            handlers[number](number, frame)

    for number in handlers:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if came:
        with suppress(*([BaseException] if raising else [])):
            handlers[came[0]](came[0], None)
