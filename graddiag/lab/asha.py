"""ASHA over the trainings of a sweep: Ray Tune's scheduler in a Ray actor, which trainings ask at each rung.

The trainings stay what they are, tasks that write their own runs; Ray Tune decides. What runs of the experiment had at
the rungs is read from them first, so that a search that was interrupted continues where it was. Trainings of one length
are compared, since losses of different lengths are of different tasks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from graddiag import load_run, schema
from graddiag.lab.search import SearchSpec, rung_value
from graddiag.lab.training import Plan
from graddiag.run import Run, numbers
from graddiag.store import read_manifests, slug

_TIME: Final = "step"
_VALUE: Final = "value"


@dataclass(frozen=True)
class AtRung:
    """What a training had at a rung: its length, its name, how many steps came before, and the value of the metric."""

    length: int
    name: str
    rung: int
    value: float


class Asha:
    """Compares the trainings of a search, in the order in which they come to a rung."""

    def __init__(self, search: SearchSpec, steps: int, earlier: Sequence[AtRung] = ()) -> None:
        self._search = search
        self._steps = steps
        self._by_length: dict[int, Any] = {}
        self._known: set[tuple[int, str]] = set()
        for each in earlier:
            self.may_continue(each)

    def may_continue(self, at: AtRung) -> bool:
        """Whether its value is among the best 1 / reduction of those that came to this rung before; the first one is.

        Asked again of a training that is begun anew, it lets it continue.
        """
        scheduler = self._scheduler(at.length)
        trial = SimpleNamespace(trial_id=at.name)
        if (at.length, at.name) not in self._known:
            self._known.add((at.length, at.name))
            scheduler.on_trial_add(None, trial)
        return bool(scheduler.on_trial_result(None, trial, {_TIME: at.rung, _VALUE: at.value}) == scheduler.CONTINUE)

    def _scheduler(self, length: int) -> Any:
        """Ray Tune's, with the last rung below the number of steps."""
        from ray.tune.schedulers import ASHAScheduler

        if length not in self._by_length:
            self._by_length[length] = ASHAScheduler(
                time_attr=_TIME,
                metric=_VALUE,
                mode=self._search.mode,
                max_t=self._steps,
                grace_period=self._search.grace,
                reduction_factor=self._search.reduction,
            )
        return self._by_length[length]


def earlier_rungs(plans: Sequence[Plan], root: Path) -> tuple[AtRung, ...]:
    """What runs of the experiment of ``plans`` that finished or were stopped had at their rungs, the oldest run
    first."""
    search = plans[0].search
    folder = root / slug(str(plans[0].experiment), fallback="experiment")
    if search is None or not folder.is_dir():
        return ()
    found = [(m.created, path) for path, m in read_manifests(folder) if m.status in ("finished", schema.STOPPED)]
    return tuple(each for _, path in sorted(found) for each in _of_run(load_run(path), search))


def _of_run(run: Run, search: SearchSpec) -> Iterator[AtRung]:
    frame = run.steps
    if search.metric not in frame:
        return
    values, missing = numbers(frame[search.metric])
    known = dict(zip(frame[schema.STEP][~missing].tolist(), values[~missing].tolist(), strict=True))
    for rung in search.rungs(int(run.manifest.config["steps"])):
        value = rung_value(known, rung)
        if rung <= len(frame) and value is not None and value == value:
            yield AtRung(int(run.manifest.config["length"]), run.manifest.name, rung, value)
