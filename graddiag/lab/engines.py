"""Who trains the plans of a sweep: processes of this machine, or Ray."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from graddiag.errors import SettingError
from graddiag.lab import pool
from graddiag.lab.outcome import TrainingOutcome
from graddiag.lab.training import Plan

ENGINES: Final = ("processes", "ray")


class Engine(Protocol):
    """Trains all plans, ``workers`` at a time, and gives what became of each; one that fails stops no other.

    The same plans give the same numbers on every engine.
    """

    def __call__(self, plans: Sequence[Plan], root: Path | str, *, workers: int) -> Iterator[TrainingOutcome]: ...


def engine_called(name: str) -> Engine:
    """The engine of that name.

    Raises:
        SettingError: there is none.
        MissingLibraryError: ``ray``, and Ray is not installed.
    """
    if name == "processes":
        return pool.outcomes
    if name == "ray":
        from graddiag.lab import ray_pool

        ray_pool.check_installed()
        return ray_pool.outcomes
    raise SettingError(f"engine {name!r}: it is one of {', '.join(ENGINES)}.")
