"""The same training told in other units: what must not change the diagnosis."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from torch import Tensor

from benchmarks.verdicts.case import Case, Expected, Family, Label
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.tasks import Task
from benchmarks.verdicts.training import Training

Make = Callable[[int, int], tuple[Training, Task]]  # T, N


def variants(
    self: Family, name: str, label: Label, expected: Expected, make: Make, *, T: int, lr: float
) -> Iterator[Case]:
    """The base training, with SGD of ``lr``, and each of its variants; ``make(T, N)`` gives it with another optimizer.

    The loss times k goes with a learning rate over k, so that the weights are the same; so does the sum in place of the
    mean, over 32 sequences.
    """
    yield self.case(f"{name} base", label, lambda: _made(make, T, 32, lr), expected)
    for N in (8, 256):
        yield self.case(f"{name} N={N}", label, lambda N=N: _made(make, T, N, lr), expected)
    for factor in (1e3, 1e-3, 32.0):
        scaled = replace(expected, final=tuple(factor * each for each in expected.final))
        build = lambda factor=factor: _scaled(_made(make, T, 32, lr / factor), factor)  # noqa: E731
        yield self.case(f"{name} loss x{factor:g}", label, build, scaled)
    for every in (1, 50):
        yield self.case(
            f"{name} every={every}", label, lambda e=every: replace(_made(make, T, 32, lr), every=e), expected
        )
    yield self.case(f"{name} T={2 * T}", label, lambda: _made(make, 2 * T, 32, lr), expected)
    yield self.case(f"{name} logged + 5", label, lambda: _lifted(_made(make, T, 32, lr), 5.0), expected)


def _made(make: Make, T: int, N: int, lr: float) -> Training:
    training, _ = make(T, N)
    return replace(training, optimizer=optimizer(f"sgd:{lr}", training.net))


def _scaled(training: Training, factor: float) -> Training:
    loss, config = training.loss, dict(training.config)
    if "chance_loss" in config:
        config["chance_loss"] = factor * config["chance_loss"]
    return replace(training, loss=lambda output, target: factor * loss(output, target), config=config)


def _lifted(training: Training, by: float) -> Training:
    config = dict(training.config)
    if "chance_loss" in config:
        config["chance_loss"] += by

    def logged(loss: Tensor) -> Tensor:
        return loss + by

    return replace(training, logged=logged, config=config)
