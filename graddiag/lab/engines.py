"""Who trains the plans of a sweep: processes of this machine, Ray, or Slurm; and trainings whose worker was lost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from graddiag.errors import SettingError
from graddiag.lab import pool
from graddiag.lab.outcome import TrainingOutcome
from graddiag.lab.search import SearchSpec
from graddiag.lab.settings.declared import checked
from graddiag.lab.sweeps import clear
from graddiag.lab.training import Plan

ENGINES: Final = ("processes", "ray", "slurm")
RETRIES: Final = 2
_MODULES: Final = {"ray": ("graddiag.lab.ray_pool", "RayOptions"), "slurm": ("graddiag.lab.slurm_pool", "SlurmOptions")}


class Engine(Protocol):
    """Trains all plans, ``workers`` at a time, and gives what became of each; one that fails stops no other.

    The same plans give the same numbers on every engine.
    """

    def __call__(self, plans: Sequence[Plan], root: Path | str, *, workers: int) -> Iterator[TrainingOutcome]: ...


def engine_called(name: str, options: Mapping[str, Any] | None = None, search: SearchSpec | None = None) -> Engine:
    """The engine of that name, with the options that its module declares (``RayOptions``, ``SlurmOptions``). search:
    what it is to stop early.

    Raises:
        SettingError: there is none of that name, or it has no such option, or the option cannot have that value; or it
            cannot compare trainings, and the search asks for that.
        MissingLibraryError: what it needs is not installed.
    """
    if name not in ENGINES:
        raise SettingError(f"engine {name!r}: it is one of {', '.join(ENGINES)}.")
    if search is not None and search.scheduler is not None and name != "ray":
        raise SettingError(
            f"engine {name}: search: scheduler {search.scheduler} compares trainings while they run; use --engine ray, "
            "or leave it out of the table search."
        )
    if name == "processes":
        if options:
            raise SettingError(f"engine processes: it has no options, and {', '.join(options)} was given.")
        return pool.outcomes
    path, declared = _MODULES[name]
    module = import_module(path)
    try:
        chosen = checked(getattr(module, declared), options or {}, f"engine {name}")
    except SettingError as error:
        raise SettingError(f"engine {name}: {error}") from None
    chosen.check_installed()
    return partial(module.outcomes, options=chosen)


def with_retries(
    engine: Engine, plans: Sequence[Plan], root: Path, *, workers: int, retries: int = RETRIES,
    on_lost: Callable[[TrainingOutcome], object] = lambda outcome: None,
) -> Iterator[TrainingOutcome]:  # fmt: skip
    """What became of each plan, once. A training whose worker or node was lost is trained again after the others, up to
    ``retries`` times; what it had recorded goes to the trash of ``root``. ``on_lost`` is called with each."""
    waiting = list(plans)
    for left in range(retries, -1, -1):
        lost = []
        for outcome in engine(waiting, root, workers=workers):
            if outcome.lost and left:
                lost.append(outcome.plan)
                on_lost(outcome)
            else:
                yield outcome
        if not lost:
            return
        clear(lost, root, gone=True)
        waiting = lost
