"""The demonstration: five pairs that show explosion, its taming, vanishing, and how far an LSTM reaches.

What each pair shows, and in which settings of a machine it was seen, is in docs/demonstration.md.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from graddiag.lab.experiments import plan_pair
from graddiag.lab.pool import train_all
from graddiag.lab.settings.declared import with_present_names
from graddiag.lab.spec import TrainingSpec, training_spec
from graddiag.lab.training import Plan, Trained
from graddiag.store import read_manifests, remote_url

WORKERS: Final = 2


@dataclass(frozen=True)
class Chapter:
    """One pair of the demonstration: experiment, seeds and the settings that differ from the defaults."""

    experiment: str
    seeds: tuple[int, ...]
    settings: dict[str, Any]

    def plans(self, seeds: Sequence[int] | None = None, **settings: Any) -> tuple[Plan, ...]:
        """Clip off and clip on for each of its seeds, or of others; with other ``settings`` where they are given."""
        chosen = self.seeds if seeds is None else tuple(seeds)
        spec = training_spec(**{**self.settings, **settings}, seed=chosen[0])
        return plan_pair(spec, chosen, self.experiment)


_TEXT: Final = {"task": "text", "steps": 200, "lr": 5.0, "init_std": 0.25, "clip": "norm:0.5"}
_ORDER: Final = {"task": "temporal-order"}
_FAR: Final = {**_ORDER, "length": 50, "steps": 800, "clip": "norm:0.5"}
CHAPTERS: Final = (
    Chapter("demo-text-lstm", (0, 1), {**_TEXT, "model": "lstm"}),
    Chapter("demo-text-rnn", (0, 1), {**_TEXT, "model": "rnn"}),
    Chapter("demo-order-30-rnn", (0, 1, 2), {**_ORDER, "model": "rnn", "length": 30, "steps": 2500, "clip": "norm:1"}),
    Chapter("demo-order-50-lstm", (0, 1), {**_FAR, "model": "lstm"}),
    Chapter("demo-order-50-rnn", (0, 1), {**_FAR, "model": "rnn"}),
)


def demonstration() -> tuple[Plan, ...]:
    """All trainings of the demonstration, the long ones first."""
    return tuple(plan for chapter in CHAPTERS for plan in chapter.plans())


def missing_plans(root: Path) -> tuple[Plan, ...]:
    """The trainings that ``root`` does not hold yet, finished and with the settings they have now."""
    return tuple(plan for plan in demonstration() if recorded(plan, root) is None)


def record_demonstration(root: Path, plans: tuple[Plan, ...]) -> Iterator[Trained]:
    """Records ``plans`` of the demonstration under ``root``, giving each as it is done.

    A run of the demonstration that was interrupted, or made with other settings, is replaced; under a URL it stays, and
    the new one gets a number behind its name.
    """
    for plan in plans if remote_url(root) is None else ():
        for path in _runs_called(plan, root):
            shutil.rmtree(path)
    yield from train_all(plans, root, workers=WORKERS)


def recorded_runs(root: Path) -> tuple[Path, ...]:
    """The folders of the demonstration's finished runs, in its order."""
    paths = (recorded(plan, root) for plan in demonstration())
    return tuple(path for path in paths if path is not None)


def recorded(plan: Plan, root: Path) -> Path | None:
    """The folder of the finished run of ``plan``, if there is one with exactly these settings."""
    wanted = plan.spec.model_dump(mode="json")
    defaults = {
        name: field.default for name, field in TrainingSpec.model_fields.items()
    }  # of a run older than a setting
    for path, manifest in _runs_called(plan, root).items():
        if (
            manifest.status == "finished"
            and wanted.items() <= {**defaults, **with_present_names(TrainingSpec, manifest.config)}.items()
        ):
            return path
    return None


def _runs_called(plan: Plan, root: Path) -> dict[Path, Any]:
    folder = root / str(plan.experiment)
    return {path: manifest for path, manifest in read_manifests(folder) if manifest.name == plan.name}
