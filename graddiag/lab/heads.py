"""Output layers of the lab's model: from states to answers, their loss, and how often they are wrong.

Every head has ``forward(states)``, what it answers; ``loss(outputs, targets)``, what is trained, a mean over all
answers; ``cross_entropy(outputs, targets)``, nats an answer, whatever is trained; and ``scores(outputs, targets)``,
what else is worth a number at each step: the share of wrong answers. For the softmax by classes and for
noise-contrastive estimation the outputs are the states, and there is no score: it would cost all the logits they save.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from torch import Tensor, nn
from torch.nn.functional import nll_loss

from graddiag.errors import SettingError
from graddiag.lab.answers import loss_of, wrong_of
from graddiag.lab.outputs import ClassSoftmax, NoiseContrastive
from graddiag.lab.task import Shape

Kind = Literal["softmax", "classes", "nce"]
_FORMS: Final = "softmax, classes:C with C classes, nce:K with K noise words"


@dataclass(frozen=True)
class HeadSpec:
    """An output layer: a plain one, or one with a count, of classes or of noise words."""

    kind: Kind
    count: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.count}" if self.count else self.kind

    def make(self, units: int, shape: Shape, counts: Sequence[int] | None) -> "Answers | Factored":
        """The layer over ``units``; ``counts`` are how often each symbol was seen in training.

        Raises:
            SettingError: a task without counts of symbols asks for more than the plain softmax.
        """
        if self.kind == "softmax":
            return Answers(units, shape)
        if counts is None:
            raise SettingError(f"output {self}: it is for the tasks text and words; leave it out.")
        inner = ClassSoftmax if self.kind == "classes" else NoiseContrastive
        return Factored(inner(units, counts, self.count))


class Answers(nn.Linear):
    """Logits of classes, or numbers, as the task's ``Shape`` has it."""

    def __init__(self, units: int, shape: Shape) -> None:
        super().__init__(units, shape.classes)
        self.shape = shape

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return loss_of(self.shape, outputs, targets)

    def cross_entropy(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return loss_of(self.shape, outputs, targets)

    def scores(self, outputs: Tensor, targets: Tensor) -> Mapping[str, float]:
        return {"error": wrong_of(self.shape, outputs, targets).item()}


class Factored(nn.Module):
    """An output layer that works out its loss from states and targets without all the logits."""

    def __init__(self, inner: ClassSoftmax | NoiseContrastive) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, states: Tensor) -> Tensor:
        return states

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        found: Tensor = self.inner(outputs.flatten(0, -2), targets.flatten())
        return found

    def cross_entropy(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return nll_loss(self.inner.log_probabilities(outputs.flatten(0, -2)), targets.flatten())

    def scores(self, outputs: Tensor, targets: Tensor) -> Mapping[str, float]:
        return {}


def parse(text: str) -> HeadSpec:
    """The output layer that ``text`` names.

    Raises:
        SettingError: none is called that, or its count is not a whole number above 0.
    """
    kind, _, count = text.partition(":")
    if kind == "softmax" and not count:
        return HeadSpec("softmax")
    if kind not in ("classes", "nce"):
        raise SettingError(f"output {text!r}: it is none of {_FORMS}.")
    if not count.isdigit() or int(count) < 1:
        raise SettingError(f"output {text!r}: write {kind}:N with a whole number N above 0.")
    return HeadSpec(kind, int(count))  # type: ignore[arg-type]
