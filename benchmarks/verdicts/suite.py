"""The cases of a split, their trainings on the disk, and their judgement."""

import pkgutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import torch

import benchmarks.verdicts as package
from benchmarks.verdicts.case import Case, Family, Split
from benchmarks.verdicts.judge import Answer, judge
from benchmarks.verdicts.training import Numbers, train
from benchmarks.verdicts.truth import contradictions

MODULES: Final[dict[Split, str]] = {
    "tune": "tune_",
    "held-out": "held_out_",
    "fresh": "fresh_",
    "unseen": "unseen_",
    "blind": "blind_",
    "sealed": "sealed_",
    "apart": "apart_",
    "outside": "outside_",
    "plain": "plain_",
    "later": "later_",
    "next": "next_",
}
SPLITS: Final[tuple[Split, ...]] = (
    "tune",
    "held-out",
    "fresh",
    "unseen",
    "blind",
    "sealed",
    "apart",
    "outside",
    "plain",
    "later",
    "next",
)


@dataclass(frozen=True)
class Judged:
    """A case, what graddiag says of it, and what happened; ``wrong`` names where its label is contradicted by that."""

    case: Case
    answer: Answer
    numbers: Numbers
    wrong: tuple[str, ...] = ()


def families(split: Split) -> Iterator[Family]:
    """The families of a split; the modules of the other one are not even imported."""
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith(MODULES[split]):
            yield from import_module(f"{package.__name__}.{module.name}").FAMILIES.found


def cases(splits: Sequence[Split], words: str = "") -> tuple[Case, ...]:
    """The cases whose name or kind has each of ``words``."""
    found = (case for split in splits for family in families(split) for case in family.cases())
    return tuple(case for case in found if all(word in f"{case.kind} {case.name}" for word in words.split()))


def prepare(chosen: Sequence[Case], root: Path, jobs: int) -> Iterator[str]:
    """Trains what is not yet in ``root``, each training once; gives the key of each as it is done."""
    missing = {case.key: case for case in chosen if not recorded(case, root)}
    if jobs == 1:
        for case in missing.values():
            record(case, root)
            yield case.key
        return
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield from pool.map(_record_key, [(case.split, key, root) for key, case in missing.items()])


def recorded(case: Case, root: Path) -> bool:
    return (root / case.key / "numbers.json").exists()


def record(case: Case, root: Path) -> Numbers:
    """Trains the training of a case into its folder."""
    folder = root / case.key
    folder.mkdir(parents=True, exist_ok=True)
    return train(case.build, case.seed, folder)


def _record_key(wanted: tuple[Split, str, Path]) -> str:
    split, key, root = wanted
    record(next(case for case in _named(split).values() if case.key == key), root)
    return key


def judged(case: Case, root: Path) -> Judged:
    """The judgement of a recorded case."""
    folder = root / case.key
    numbers = Numbers.read(folder / "numbers.json")
    return Judged(case, judge(folder / numbers.run, case.at), numbers, tuple(contradictions(case, numbers)))


def judge_all(chosen: Sequence[Case], root: Path, jobs: int) -> Iterator[Judged]:
    """Every case that was recorded, in order."""
    there = [case for case in chosen if recorded(case, root)]
    if jobs == 1:
        yield from (judged(case, root) for case in there)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        wanted = [(case.split, case.name, root) for case in there]
        for case, (answer, numbers, wrong) in zip(there, pool.map(_judge_name, wanted, chunksize=4), strict=True):
            yield Judged(case, answer, numbers, wrong)


@cache
def _named(split: Split) -> dict[str, Case]:
    """The cases of a split by name; for workers, which are handed names and keys."""
    return {case.name: case for case in cases([split])}


def _judge_name(wanted: tuple[Split, str, Path]) -> tuple[Answer, Numbers, tuple[str, ...]]:
    split, name, root = wanted
    found = judged(_named(split)[name], root)
    return found.answer, found.numbers, found.wrong
