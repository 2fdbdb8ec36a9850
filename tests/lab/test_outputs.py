"""Output layers against what they stand for: a distribution over words, and the gradient of cross-entropy."""

import math

import pytest
import torch
from torch import Tensor

from graddiag.errors import SettingError
from graddiag.lab.outputs import ClassSoftmax, NoiseContrastive

H, V = 5, 12
COUNTS = [50, 1, 30, 8, 8, 3, 100, 2, 0, 1, 1, 20]


def states(count: int = 7) -> Tensor:
    return torch.randn(count, H, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("classes", [1, 3, 4, 12])
def test_a_class_softmax_is_a_distribution_and_its_loss_is_the_cross_entropy(classes: int) -> None:
    torch.manual_seed(0)
    layer = ClassSoftmax(H, COUNTS, classes).double()
    chances, words = layer.log_probabilities(states()), torch.tensor([6, 0, 8, 8, 1, 11, 6])
    torch.testing.assert_close(chances.exp().sum(1), torch.ones(7, dtype=torch.float64))
    torch.testing.assert_close(layer(states(), words), -chances[torch.arange(7), words].mean())


def test_one_class_is_the_plain_softmax() -> None:
    layer = ClassSoftmax(H, COUNTS, 1).double()
    plain = (states() @ layer.words.weight.T + layer.words.bias).log_softmax(1)
    torch.testing.assert_close(layer.log_probabilities(states()), plain[:, layer.rank])


def test_frequent_words_are_in_small_classes() -> None:
    layer = ClassSoftmax(H, COUNTS, 3)
    of = layer.class_of_rank[layer.rank].tolist()
    assert of[6] == 0
    assert of[8] == 2
    sizes = [of.count(number) for number in range(3)]
    assert sizes == sorted(sizes)
    assert sum(sizes) == V
    counts = torch.tensor(COUNTS).double().sqrt()
    shares = [counts[torch.tensor(of) == number].sum() / counts.sum() for number in range(3)]
    assert max(shares) < 0.5


@pytest.mark.parametrize(("counts", "classes"), [([5, 5, 5, 5], 4), ([100, 1, 1], 3), ([0, 0, 0], 2)])
def test_no_class_is_empty(counts: list[int], classes: int) -> None:
    layer = ClassSoftmax(H, counts, classes)
    assert sorted(set(layer.class_of_rank.tolist())) == list(range(classes))


def expected_gradient(layer: NoiseContrastive, x: Tensor, words: Tensor) -> Tensor:
    """Of the loss with the noise words averaged out, by their frequencies."""
    scores = layer.words(x) - layer.log_z
    odds = scores - (layer.noise * layer.frequency).log()
    told = torch.nn.functional.logsigmoid(odds[torch.arange(len(words)), words])
    caught = layer.noise * (layer.frequency * torch.nn.functional.logsigmoid(-odds)).sum(1)
    return torch.autograd.grad(-(told + caught).mean(), layer.words.weight)[0]


def contrastive(noise: int, log_z: float = 0.0) -> NoiseContrastive:
    torch.manual_seed(0)
    return NoiseContrastive(H, [count + 1 for count in COUNTS], noise, log_z).double()


def test_noise_is_drawn_by_frequency_and_the_gradient_is_right_on_average() -> None:
    layer, x, words = contrastive(8), states(), torch.tensor([6, 0, 8, 8, 1, 11, 6])
    expected = expected_gradient(layer, x, words)
    found = [torch.autograd.grad(layer(x, words), layer.words.weight)[0] for _ in range(4000)]
    spread = torch.stack(found).std(0) / math.sqrt(len(found))
    assert ((torch.stack(found).mean(0) - expected).abs() <= 5 * spread + 1e-12).all()


def test_with_much_noise_the_gradient_is_that_of_cross_entropy() -> None:
    """Of a model that is normalised: its scores less ln of their sum. ``log_z`` moves the scores and no more."""
    layer, x, words = contrastive(10**9), states(1), torch.tensor([3])
    with torch.no_grad():
        layer.words.bias -= layer.words(x).logsumexp(1)
    loss = torch.nn.functional.cross_entropy(layer.words(x), words)
    expected = torch.autograd.grad(loss, layer.words.weight)[0]
    torch.testing.assert_close(expected_gradient(layer, x, words), expected, rtol=1e-6, atol=1e-9)
    moved = contrastive(10**9, log_z=9.0)
    with torch.no_grad():
        moved.words.bias.copy_(layer.words.bias + 9.0)
    torch.testing.assert_close(expected_gradient(moved, x, words), expected, rtol=1e-6, atol=1e-9)


def test_probabilities_are_normalised() -> None:
    chances = contrastive(4).log_probabilities(states()).exp()
    torch.testing.assert_close(chances.sum(1), torch.ones(7, dtype=torch.float64))


def test_settings_that_cannot_be_meant() -> None:
    with pytest.raises(SettingError, match="classes=13: between 1 and the 12 words"):
        ClassSoftmax(H, COUNTS, 13)
    with pytest.raises(SettingError, match="noise=0: at least one word"):
        NoiseContrastive(H, COUNTS, 0)
