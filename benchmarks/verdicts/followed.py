"""Whether the first advice works: trainings that failed are run again with the learning rate or the clip threshold that
their diagnosis names, and nothing else changed.

``python -m benchmarks.verdicts.followed --split tune`` trains what is missing under ``--root`` and prints a line each.
"""

import argparse
import json
import math
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Final, get_args

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

import graddiag
from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.suite import cases, prepare
from benchmarks.verdicts.training import Numbers, Training, train

RATE: Final = re.compile(r"learning rate to about (\S+) \(now (\S+)\)")
THRESHOLD: Final = re.compile(r"(?:norm at|threshold to about) ([0-9.e+-]+\d)")
CHANGES: Final = ("lower-learning-rate", "raise-learning-rate", "clip", "raise-clip-threshold", "lower-clip-threshold")
_BETTER: Final = 0.9  # of the first loss, where the label tells no range for that of a failed training


@dataclass(frozen=True)
class Followed:
    """One training run again. factor: of the learning rate; threshold: of clipping; was, then: mean loss over the last
    tenth before and after; works: whether the loss ends below what the label says of the failed training."""

    name: str
    action: str
    factor: float | None
    threshold: float | None
    was: float
    then: float
    works: bool


def chosen(split: Split, words: str = "") -> tuple[Case, ...]:
    """The failed trainings of a split that a change of the learning rate or the threshold can mend, by their label;
    those whose name or kind has each of ``words``."""
    found = (case for case in cases([split], words) if case.at == 1 and case.label.failed)
    return tuple(case for case in found if case.label.actions and case.label.actions[0] in CHANGES)


def follow(case: Case, root: Path, again: Path, factor: float | None = None) -> Followed | None:
    """Runs a case again as its diagnosis says, or with ``factor`` of the learning rate; None for other advice."""
    before = Numbers.read(root / case.key / "numbers.json")
    advice = graddiag.diagnose(graddiag.load_run(root / case.key / before.run)).do_first
    action, threshold = (advice.action or "", None) if advice is not None else ("", None)
    if factor is None:
        if advice is None or action not in CHANGES:
            return None
        rate, clip = RATE.search(advice.text), THRESHOLD.search(advice.text)
        if rate is not None:
            factor = float(rate[1]) / float(rate[2])
        elif clip is not None:
            threshold = float(clip[1])
        else:
            return None
    folder = again / f"{case.key}-{factor or threshold:.3g}"
    if (folder / "numbers.json").exists():
        after = Numbers.read(folder / "numbers.json")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        after = train(lambda: changed(case.build(), factor, threshold), case.seed, folder)
    was, then = _last(before), _last(after)
    return Followed(case.name, action, factor, threshold, was, then, _works(case, before, then))


def changed(training: Training, factor: float | None, threshold: float | None) -> Training:
    if threshold is not None:
        return replace(training, clip=f"norm:{threshold}", clip_at="before-update")
    assert factor is not None
    return replace(training, before=_Scaled(training, factor))


class _Scaled:
    """Multiplies the learning rates that the training's own schedule sets, or those it begins with."""

    def __init__(self, training: Training, factor: float) -> None:
        self.schedule, self.factor = training.before, factor
        self.given: list[float] = []

    def __call__(self, step: int, net: nn.Module, optimizer: Optimizer) -> None:
        if self.schedule is not None:
            self.schedule(step, net, optimizer)
        groups = optimizer.param_groups
        rates = [float(group["lr"]) for group in groups]
        if rates != self.given:
            for group in groups:
                group["lr"] *= self.factor
            self.given = [float(group["lr"]) for group in groups]


def _works(case: Case, before: Numbers, then: float) -> bool:
    low = case.expected.final[0] if case.expected.measure == "loss" else -math.inf
    first = before.losses[0]
    least = low if math.isfinite(low) else first - (1 - _BETTER) * abs(first)
    return math.isfinite(then) and then < least


def _last(numbers: Numbers) -> float:
    losses = numbers.losses
    return float(np.mean(losses[-max(1, len(losses) // 10) :]))


def _one(wanted: tuple[Split, str, Path, Path, float | None]) -> Followed | None:
    split, name, root, again, factor = wanted
    return follow(next(case for case in chosen(split) if case.name == name), root, again, factor)


def follow_all(
    splits: Sequence[Split], root: Path, jobs: int, factors: Sequence[float], words: str = ""
) -> Iterator[Followed]:
    """Every chosen case of ``splits``, as advised, or with each of ``factors``."""
    wanted = []
    for split in splits:
        found = chosen(split, words)
        for _ in prepare(found, root, jobs):
            pass
        wanted += [(split, case.name, root, root / "followed", each) for case in found for each in (factors or [None])]
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield from (each for each in pool.map(_one, wanted) if each is not None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", nargs="+", choices=get_args(Split), default=["tune"])
    parser.add_argument("--root", type=Path, default=Path("runs/verdict-suite"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--factor", nargs="*", type=float, default=[], help="of the learning rate, instead of advice")
    parser.add_argument("--part", default="", help="only cases whose name or kind has each of these words")
    parser.add_argument("--json", type=Path, help="where to write the lines as JSON")
    given = parser.parse_args()
    found = []
    for each in follow_all(given.split, given.root, given.jobs, given.factor, given.part):
        found.append(each)
        value = f"x{each.factor:.3g}" if each.factor is not None else f"norm:{each.threshold:g}"
        print(f"{'works' if each.works else 'FAILS'}  {value:12} {each.was:10.4g} -> {each.then:10.4g}  {each.name}")
    print(f"{sum(each.works for each in found)} of {len(found)} work")
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(each) for each in found], indent=1))


if __name__ == "__main__":
    main()
