"""The errors graddiag raises on purpose; each message says what was asked, what was found and what to do next."""


class GraddiagError(Exception):
    """Base of every error that graddiag raises itself. The command line prints it in one line and exits with 2."""


class SettingError(GraddiagError, ValueError):
    """An argument, option or spec that cannot be meant: an unknown name, a number out of range.

    ``key``: the path of the setting in the spec that was given, e.g. ``("arms", "clipped", "clip")``; empty where it
    is not known.
    """

    def __init__(self, message: str = "", key: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.key = key


class InputError(GraddiagError):
    """Data that cannot be used: an unreadable, empty or too short text, a root that cannot be written."""


class RunFormatError(GraddiagError):
    """A run folder that is not one, is damaged, or was written by a graddiag this one cannot read."""


class UnsupportedError(GraddiagError):
    """A model or module whose gradients graddiag cannot measure exactly; it refuses by name instead of guessing."""


class MissingLibraryError(GraddiagError, ImportError):
    """A library that one integration needs and that is not installed; the message says what to install."""


class StopTraining(GraddiagError):  # noqa: N818 - it asks for something, as StopIteration does
    """Ends a training: raised by ``watch(..., on_nonfinite="stop")``, or by a callback of ``on_finding``."""
