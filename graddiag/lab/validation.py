"""When a task counts as solved: by the criterion of its authors, by what is held out, or by the last batches.

``pascanu`` is that of Pascanu, Mikolov & Bengio (2013): the share of wrong answers among 10,000 new sequences, drawn
for each measurement. In their code it is measured at every 20th step, and a training has solved its task at 0% (``error
< .0001``, in percent); in the paper at 1%, section 4.1. ``held-out`` is the share among the sequences that are not
trained on, for a task that has so many and no more. ``batches`` is cheaper: the mean over the last 100 batches.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Generator, Tensor

from graddiag.lab.early_stopping import EarlyStopping
from graddiag.lab.models import SequenceModel
from graddiag.lab.spec import TrainingSpec
from graddiag.lab.task import HeldOut, Task

VALIDATION_ERROR: Final = "validation_error"
SEQUENCES: Final = 10_000
_AT_A_TIME: Final = 1000
_EVERY: Final = 100
_MEASURED: Final = ("pascanu", "held-out")
_OTHERS: Final = 7_919  # added to the seed: other sequences than those of the training


class Validation:
    """Measures the error on new sequences, or those held out, at every ``evaluate_every``-th step and at the last one.

    Nothing of the training is changed: the sequences come from a separate generator. It is measured where the spec
    asks for it by ``evaluate_every``, and where it is what ends the training.
    """

    def __init__(self, task: Task, spec: TrainingSpec) -> None:
        ends = spec.until_error is not None and spec.criterion in _MEASURED
        measured = spec.criterion is not None and (ends or spec.evaluate_every is not None)
        self._every = (spec.evaluate_every or _EVERY) if measured else None
        self._last = spec.steps - 1
        self._until = spec.until_error if ends else None
        self._batches = EarlyStopping(None if ends else spec.until_error)
        self._generator = Generator().manual_seed(spec.seed + _OTHERS)
        self._task: Any = task
        self._held_out = task.held_out_sequences if isinstance(task, HeldOut) else None

    def __call__(self, model: SequenceModel, step: int) -> dict[str, float]:
        """``validation_error``, before the update of ``step``; nothing where it is not measured there."""
        if self._every is None or not (step == self._last or (step + 1) % self._every == 0):
            return {}
        if self._held_out is not None:
            return {VALIDATION_ERROR: error_on(model, (self._held_out,))}
        return {VALIDATION_ERROR: validation_error(model, self._task, self._generator)}

    def solved(self, scores: Mapping[str, float]) -> bool:
        """Whether the training may end: asked after every step, with all that was measured at it."""
        if self._until is not None:
            return scores.get(VALIDATION_ERROR, 1.0) <= self._until
        return self._batches(scores)


def validation_error(model: SequenceModel, task: Any, generator: Generator) -> float:
    """The share of wrong answers among ``SEQUENCES`` new sequences of ``task``; nothing is dropped out."""
    drawn = replace(task, batch_size=_AT_A_TIME)
    return error_on(model, (drawn.batch(generator) for _ in range(SEQUENCES // _AT_A_TIME)))


@torch.no_grad()
def error_on(model: SequenceModel, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The share of wrong answers to batches of one size, as ``Task.batch`` gives them; nothing is dropped out."""
    training = model.training
    model.eval()
    try:
        errors = [model.head.scores(model(inputs)[0], targets)["error"] for inputs, targets in batches]
    finally:
        model.train(training)
    return sum(errors) / len(errors)
