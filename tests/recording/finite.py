"""Trainings with a gradient that is not finite at some steps, for the tests of ``on_nonfinite``."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import graddiag
from tests.recording.optimizers import batch, parts

STEPS = 8
Optimizers = Callable[[nn.Module], Optimizer]
SGD: Optimizers = lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)  # noqa: E731
PLAIN = {
    "sgd": SGD,
    "adam": lambda model: torch.optim.Adam(model.parameters(), lr=0.05, foreach=True),
    "adamw": lambda model: torch.optim.AdamW(model.parameters(), lr=0.05, fused=True),
    "rmsprop": lambda model: torch.optim.RMSprop(model.parameters(), lr=0.01),
    "lbfgs": lambda model: torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4, line_search_fn="strong_wolfe"),
    "lbfgs-plain": lambda model: torch.optim.LBFGS(model.parameters(), lr=0.01, max_iter=3),
}
BAD = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def spoil(model: nn.Module, value: float) -> None:
    next(iter(model.parameters())).grad.view(-1)[1] = value


class Training:
    """Trains ``Parts``; at the ``bad`` (step, evaluation) pairs one entry of the gradient is ``value``."""

    def __init__(self, make: Optimizers, *, bad: tuple[tuple[int, int], ...] = (), value: float = math.inf) -> None:
        self.model = parts()
        self.optimizer = make(self.model)
        self.bad, self.value = bad, value
        self.closures = isinstance(self.optimizer, torch.optim.LBFGS)

    def closure(self, step: int, spoiled: bool) -> Callable[[], Tensor]:
        evaluations = iter(range(1000))

        def evaluate() -> Tensor:
            self.optimizer.zero_grad()
            loss = self.model(batch(step)).square().mean()
            loss.backward()
            if spoiled and (step, next(evaluations)) in self.bad:
                spoil(self.model, self.value)
            return loss

        return evaluate

    def step(self, step: int, *, spoiled: bool = True) -> Tensor:
        evaluate = self.closure(step, spoiled)
        if self.closures:
            return self.optimizer.step(evaluate)
        loss = evaluate()
        self.optimizer.step()
        return loss

    def run(self, root: Path | None, *, left_out: tuple[int, ...] = (), **settings: Any) -> dict[str, Any]:
        """Weights, the optimizer's state and the generator's at the end. left_out: steps that are passed over."""
        watched = nullcontext()
        if root is not None:
            watched = graddiag.watch(self.model, self.optimizer, run="r", root=root, cells=(), **settings)
        with watched:
            for step in range(STEPS):
                if step not in left_out:
                    self.step(step)
        return self.state()

    def state(self) -> dict[str, Any]:
        return copy.deepcopy({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()})


def flat(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from flat(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from flat(each)
    else:
        yield value


def same(a: Any, b: Any) -> bool:
    pairs = list(zip(flat(a), flat(b), strict=True))
    return all(torch.equal(x, y) if isinstance(x, Tensor) else x == y for x, y in pairs)


def steps_of(root: Path) -> graddiag.Run:
    return graddiag.load_run(root / "r")
