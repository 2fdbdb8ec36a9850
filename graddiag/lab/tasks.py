"""The lab's tasks by name."""

from collections.abc import Callable, Mapping
from typing import Final

from graddiag.lab.adding_task import Marked
from graddiag.lab.cloze import Cloze
from graddiag.lab.corpora import HELD_OUT, Corpus, read_characters, read_words
from graddiag.lab.memory import Memorisation, Permutation, Recall
from graddiag.lab.next_symbol import NextInOrder, NextSymbol
from graddiag.lab.spec import TaskName, TrainingSpec
from graddiag.lab.task import Task
from graddiag.lab.temporal_order import TemporalOrder

_TASKS: Final[Mapping[TaskName, Callable[[TrainingSpec], Task]]] = {
    "text": lambda spec: _next(spec, _characters),
    "words": lambda spec: _next(spec, _words),
    "temporal-order": lambda spec: TemporalOrder(spec.length, spec.batch),
    "temporal-order-3bit": lambda spec: TemporalOrder(spec.length, spec.batch, places=3),
    "adding": lambda spec: Marked(spec.length, spec.batch, "mean"),
    "multiplication": lambda spec: Marked(spec.length, spec.batch, "product"),
    "permutation": lambda spec: Permutation(spec.length, spec.batch),
    "memorisation": lambda spec: Memorisation(spec.length, spec.batch),
    "recall": lambda spec: Recall(spec.length, spec.batch),
    "cloze": lambda spec: Cloze(spec.length, spec.batch),
}


def make_task(spec: TrainingSpec) -> Task:
    """The task of a spec, its text read and found long enough.

    Raises:
        InputError: a text that cannot be used.
        SettingError: a length that the task cannot have.
    """
    return _TASKS[spec.task](spec)


def _next(spec: TrainingSpec, read: Callable[[TrainingSpec, float], Corpus]) -> Task:
    corpus = read(spec, 0.0 if spec.evaluate_every is None else HELD_OUT)
    return (NextInOrder if spec.carry else NextSymbol)(corpus, spec.length, spec.batch)


def _characters(spec: TrainingSpec, held_out: float) -> Corpus:
    return read_characters(spec.text, held_out)


def _words(spec: TrainingSpec, held_out: float) -> Corpus:
    return read_words(spec.text, most=spec.vocabulary, held_out=held_out)
