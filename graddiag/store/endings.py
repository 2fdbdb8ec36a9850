"""How a training ended, from the exception that left its ``with``."""

from typing import Final

from graddiag import schema
from graddiag.store.manifests import plain

_SIGNALLED: Final = (130, 143)  # what a program exits with that SIGINT or SIGTERM ended
_LENGTH: Final = 10_000  # characters of an error that a manifest keeps


def ending(error: BaseException | None) -> tuple[schema.Status, str | None]:
    """The status of a run that this exception ended, and its text.

    ``sys.exit()`` and ``sys.exit(0)`` end a program that did what it was to. Ctrl-C interrupts it, as do the exit codes
    of SIGINT and SIGTERM, and a generator that is closed.
    """
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return "finished", None
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return "interrupted", None
    if isinstance(error, SystemExit) and error.code in _SIGNALLED:
        return "interrupted", None
    return "failed", described(error)


def described(error: BaseException) -> str:
    """``ValueError: text`` as UTF-8 can hold it; the class alone where the exception cannot tell its text."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # of the exception's own __str__
        text = type(error).__name__
    return str(plain(text))[:_LENGTH]
