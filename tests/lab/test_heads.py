"""Output layers: one interface, and each loss against the plain formula."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from graddiag.errors import SettingError
from graddiag.lab import heads
from graddiag.lab.task import Shape

SHAPE = Shape(symbols=7, classes=7, answers="each")
COUNTS = [9, 7, 5, 3, 2, 1, 1]


@pytest.mark.parametrize("text", ["softmax", "classes:3", "nce:4"])
def test_every_head_has_a_loss_and_a_cross_entropy(text: str) -> None:
    torch.manual_seed(0)
    head = heads.parse_head(text).make(5, SHAPE, COUNTS)
    states, targets = torch.randn(4, 3, 5), torch.randint(7, (4, 3))
    outputs = head(states)
    loss = head.loss(outputs, targets)
    loss.backward()
    assert loss.dim() == 0
    assert all(parameter.grad is not None for parameter in head.parameters())
    assert 0 < head.cross_entropy(outputs, targets).item() < 10


def test_the_plain_softmax_is_cross_entropy_and_tells_its_error() -> None:
    torch.manual_seed(0)
    head = heads.parse_head("softmax").make(5, SHAPE, None)
    states, targets = torch.randn(4, 3, 5), torch.randint(7, (4, 3))
    logits = head(states)
    assert head.loss(logits, targets).item() == pytest.approx(
        cross_entropy(logits.flatten(0, 1), targets.flatten()).item()
    )
    assert head.scores(logits, targets)["error"] == (logits.argmax(-1) != targets).double().mean().item()


def test_by_classes_the_loss_is_the_cross_entropy() -> None:
    torch.manual_seed(0)
    head = heads.parse_head("classes:3").make(5, SHAPE, COUNTS)
    states, targets = torch.randn(4, 3, 5), torch.randint(7, (4, 3))
    assert head.loss(head(states), targets).item() == pytest.approx(head.cross_entropy(head(states), targets).item())
    assert head.scores(head(states), targets) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tree", r"^output 'tree': it is none of softmax, classes:C with C classes, nce:K with K noise words\.$"),
        ("softmax:3", r"^output 'softmax:3': it is none of"),
        ("nce", r"^output 'nce': write nce:N with a whole number N above 0\.$"),
        ("classes:0", r"^output 'classes:0': write classes:N"),
    ],
)
def test_what_cannot_be_meant_is_told(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        heads.parse_head(text)


def test_without_counts_there_is_the_plain_softmax_alone() -> None:
    with pytest.raises(SettingError, match=r"^output nce:4: it is for the tasks text and words; leave it out\.$"):
        heads.parse_head("nce:4").make(5, SHAPE, None)
