"""The nets and tasks of the suite: plain torch.nn modules, and batches from a seeded generator."""

from functools import cache

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from benchmarks.verdicts.cases import LAST, Case
from graddiag.lab.corpora import Corpus, read_characters
from graddiag.lab.initialisation import set_forget_bias
from graddiag.lab.next_symbol import NextSymbol
from graddiag.lab.task import Task
from graddiag.lab.temporal_order import TemporalOrder

INPUTS, CLASSES, ECHO = 8, 4, 2


class Net(nn.Module):
    """Inputs [T, N, I] to logits: [N, classes] of the last timestep, or [T, N, classes]."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        task = lab_task(case)
        inputs, classes = (task.shape.symbols, task.shape.classes) if task else (INPUTS, CLASSES)
        self.last = case.task in LAST
        self.recurrent = recurrent(case, inputs)
        self.head = nn.Linear(case.hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.recurrent(x)
        return self.head(h[-1] if self.last else h)


def recurrent(case: Case, inputs: int) -> nn.RNNBase:
    """The recurrent layers at their start; draws from torch's global generator."""
    if case.kind in ("tanh", "relu"):
        layer: nn.RNNBase = nn.RNN(inputs, case.hidden, case.layers, nonlinearity=case.kind)
    else:
        layer = {"lstm": nn.LSTM, "gru": nn.GRU}[case.kind](inputs, case.hidden, case.layers)
    with torch.no_grad():
        if case.init != "default":
            start(layer, case)
        if case.keep_bias is not None:
            set_forget_bias(layer, case.keep_bias)
    return layer


def start(layer: nn.RNNBase, case: Case) -> None:
    """W_hh of ``case.init``, block by block; biases 0."""
    for name, parameter in layer.named_parameters():
        if name.startswith("bias"):
            parameter.zero_()
        elif name.startswith("weight_hh"):
            for block in parameter.split(case.hidden):
                block.copy_(case.scale * square(case))


def square(case: Case) -> Tensor:
    if case.init == "identity":
        return torch.eye(case.hidden)
    if case.init == "orthogonal":
        return nn.init.orthogonal_(torch.empty(case.hidden, case.hidden))
    return torch.randn(case.hidden, case.hidden) / case.hidden**0.5


def lab_task(case: Case) -> Task | None:
    """The lab's task of a case; None for recall and echo."""
    if case.task == "order":
        return TemporalOrder(case.length, case.batch)
    return NextSymbol(text(), case.length, case.batch) if case.task == "text" else None


@cache
def text() -> Corpus:
    return read_characters(None)


def batch(case: Case, chance: Generator) -> tuple[Tensor, Tensor]:
    """Inputs [T, N, I] float32, and classes [N] or [T, N]."""
    task = lab_task(case)
    if task:
        symbols, targets = task.batch(chance)
        return case.drive * one_hot(symbols, task.shape.symbols).float(), targets
    x = torch.randn(case.length, case.batch, INPUTS, generator=chance)
    classes = x[..., :CLASSES].argmax(-1)
    if case.task == "recall":
        return case.drive * x, classes[0]
    return case.drive * x, classes[(torch.arange(case.length) - ECHO).clamp(min=0)]


def losses(logits: Tensor, targets: Tensor) -> Tensor:
    """The terms of the loss, [1] or [T]; their sum is the mean of the cross-entropy over all answers."""
    if targets.dim() == 1:
        return cross_entropy(logits, targets).unsqueeze(0)
    T = len(targets)
    terms = cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return terms.view(T, -1).mean(1) / T
