"""The lab's tasks by name."""

from collections.abc import Callable, Mapping
from typing import Final

from graddiag.lab.marked import Marked
from graddiag.lab.memory import Memorisation, Permutation, Recall
from graddiag.lab.spec import TaskName, TrainingSpec
from graddiag.lab.task import Task
from graddiag.lab.temporal_order import TemporalOrder
from graddiag.lab.text import NextCharacter, read_text

_TASKS: Final[Mapping[TaskName, Callable[[TrainingSpec], Task]]] = {
    "text": lambda spec: NextCharacter(read_text(spec.text), spec.length, spec.batch),
    "temporal-order": lambda spec: TemporalOrder(spec.length, spec.batch),
    "temporal-order-3bit": lambda spec: TemporalOrder(spec.length, spec.batch, places=3),
    "adding": lambda spec: Marked(spec.length, spec.batch, "mean"),
    "multiplication": lambda spec: Marked(spec.length, spec.batch, "product"),
    "permutation": lambda spec: Permutation(spec.length, spec.batch),
    "memorisation": lambda spec: Memorisation(spec.length, spec.batch),
    "recall": lambda spec: Recall(spec.length, spec.batch),
}


def make_task(spec: TrainingSpec) -> Task:
    """The task of a spec, its text read and found long enough.

    Raises:
        InputError: a text that cannot be used.
        SettingError: a length that the task cannot have.
    """
    return _TASKS[spec.task](spec)
