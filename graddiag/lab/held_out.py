"""The loss on text that the network was not trained on, and the vocabulary that a run keeps."""

import json
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from graddiag.lab.models import SequenceModel, cut
from graddiag.lab.spec import TrainingSpec
from graddiag.lab.streams import contiguous
from graddiag.lab.task import Reads, Task
from graddiag.store import replace_text

VOCABULARY: Final = "vocabulary.json"  # in a run's folder: its symbols in the order of their numbers


def held_out_losses(model: SequenceModel, task: Task, spec: TrainingSpec, step: int, *, last: bool) -> dict[str, float]:
    """``held_out_loss``, before the update of ``step``, at every so many steps and at the last one, wherever that is;
    at the last step ``test_loss`` too, if there is a test text."""
    if not isinstance(task, Reads):
        return {}
    if spec.evaluate_every is None or not (last or (step + 1) % spec.evaluate_every == 0):
        return {}
    assert task.held_out is not None
    found = {"held_out_loss": loss_on(task.held_out, model, spec)}
    if last and task.tested_on is not None:
        found["test_loss"] = loss_on(task.tested_on, model, spec)
    return found


@torch.no_grad()
def loss_on(symbols: Tensor, model: SequenceModel, spec: TrainingSpec) -> float:
    """Cross-entropy of a text, [symbols], in nats a symbol; its exponential is the perplexity.

    The text is read once from its beginning to its end, as up to N streams of windows of T whose state is carried from
    one to the next; nothing is dropped out, nothing is drawn, and nothing of the network is changed.
    """
    state, total, count = None, 0.0, 0
    training = model.training
    model.eval()
    try:
        for batch in contiguous(symbols, spec.length, spec.batch):
            outputs, state = model(batch.inputs, cut(state) if batch.goes_on else None)
            answers = batch.targets.numel()
            total += model.head.cross_entropy(outputs, batch.targets).item() * answers
            count += answers
    finally:
        model.train(training)
    return total / count


def keep_vocabulary(task: Task, folder: Path) -> None:
    """Writes the symbols of a text into the folder of its run, so that what it answers can be read."""
    if isinstance(task, Reads):
        replace_text(folder / VOCABULARY, json.dumps(list(task.vocabulary), ensure_ascii=False, indent=0))
