"""Output layers of the lab's model: from states to answers, their loss, and how often they are wrong.

Every head has ``forward(states)``, what it answers; ``loss(outputs, targets)``, what is trained, a mean over all
answers; ``cross_entropy(outputs, targets)``, nats an answer, whatever is trained; and ``scores(outputs, targets)``,
what else is worth a number at each step: the share of wrong answers. For the softmax by classes and for
noise-contrastive estimation the outputs are the states, and there is no score: it would cost all the logits they save.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.functional import nll_loss

from graddiag.lab.answers import loss_of, wrong_of
from graddiag.lab.outputs import ClassSoftmax, NoiseContrastive
from graddiag.lab.task import Shape


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


def class_factored(units: int, counts: Sequence[int], count: int) -> Factored:
    """The class-factored softmax of rnnlm, with ``count`` classes."""
    return Factored(ClassSoftmax(units, counts, count))


def noise_contrastive(units: int, counts: Sequence[int], count: int) -> Factored:
    """Noise-contrastive estimation with ``count`` noise words."""
    return Factored(NoiseContrastive(units, counts, count))
