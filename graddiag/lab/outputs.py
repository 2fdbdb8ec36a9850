"""Output layers of language models for large vocabularies, besides the plain softmax.

Legend: N states, H units, V words, K noise words. Losses are means over N, in nats.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, logsigmoid

from graddiag.errors import SettingError


class ClassSoftmax(nn.Module):
    """Class-factored softmax of rnnlm: p(w | h) = p(class of w | h) p(w | its class, h).

    Words are put in classes by falling frequency, so that each class has about the same share of the square roots of
    the counts: the frequent words are in small classes. A loss costs C + V / C instead of V outputs.

    Args:
        units: H.
        counts: how often each word was seen, [V].
        classes: C, at most V.

    Raises:
        SettingError: more classes than words, or less than one.

    Source: Mikolov, Kombrink, Burget, Cernocky & Khudanpur (2011), section 4; rnnlm-0.4b for the square roots.
    """

    rank: Tensor
    class_of_rank: Tensor

    def __init__(self, units: int, counts: Sequence[int], classes: int) -> None:
        super().__init__()
        if not 1 <= classes <= len(counts):
            raise SettingError(f"classes={classes}: between 1 and the {len(counts)} words of the vocabulary.")
        order, bounds = _by_frequency(torch.tensor(counts, dtype=torch.float64), classes)
        sizes = torch.tensor(bounds).diff()
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order))
        self.bounds = bounds
        self.register_buffer("rank", rank)  # of each word among all, by frequency
        self.register_buffer("class_of_rank", torch.arange(classes).repeat_interleave(sizes))
        self.classes = nn.Linear(units, classes)
        self.words = nn.Linear(units, len(counts))  # rows by rank: a class is a slice

    def forward(self, states: Tensor, words: Tensor) -> Tensor:
        """The loss of ``words`` [N] after ``states`` [N, H]."""
        rank = self.rank[words]
        of = self.class_of_rank[rank]
        total = cross_entropy(self.classes(states), of, reduction="sum")
        for found in of.unique().tolist():
            rows, start, end = of == found, self.bounds[found], self.bounds[found + 1]
            logits = states[rows] @ self.words.weight[start:end].T + self.words.bias[start:end]
            total = total + cross_entropy(logits, rank[rows] - start, reduction="sum")
        return total / len(words)

    def log_probabilities(self, states: Tensor) -> Tensor:
        """ln p of every word, [N, V]."""
        inside = self.words(states)
        parts = [log_softmax(inside[:, start:end], dim=1) for start, end in pairwise(self.bounds)]
        by_rank = torch.cat(parts, dim=1) + log_softmax(self.classes(states), dim=1)[:, self.class_of_rank]
        return by_rank[:, self.rank]


class NoiseContrastive(nn.Module):
    """Noise-contrastive estimation: tell the word that came from K words drawn by their frequency.

    The scores s(w, h) are taken as ln p(w | h) + ``log_z`` without being normalised; with growing K the gradient of
    this loss becomes that of cross-entropy. The K noise words are drawn anew for each batch and shared by its N states,
    from torch's global generator. The loss is not a perplexity: that takes ``log_probabilities``, normalised.

    Args:
        units: H.
        counts: how often each word was seen, [V]; a word with 0 is never drawn, and must never come.
        noise: K.
        log_z: the logarithm of the normaliser, held fixed; 9 in faster-rnnlm.

    Raises:
        SettingError: ``noise`` below 1.

    Source: Gutmann & Hyvarinen (2010); Mnih & Teh (2012), eq. 8 to 11; Chen, Liu, Gales & Woodland (2015) for log_z.
    """

    frequency: Tensor

    def __init__(self, units: int, counts: Sequence[int], noise: int, log_z: float = 9.0) -> None:
        super().__init__()
        if noise < 1:
            raise SettingError(f"noise={noise}: at least one word must be drawn.")
        self.noise, self.log_z = noise, log_z
        frequency = torch.tensor(counts, dtype=torch.float64)
        self.register_buffer("frequency", frequency / frequency.sum())
        self.words = nn.Linear(units, len(counts))

    def forward(self, states: Tensor, words: Tensor) -> Tensor:
        """The loss of ``words`` [N] after ``states`` [N, H]."""
        drawn = torch.multinomial(self.frequency, self.noise, replacement=True)
        true = (states * self.words.weight[words]).sum(1) + self.words.bias[words]
        false = states @ self.words.weight[drawn].T + self.words.bias[drawn]
        told = logsigmoid(self._odds(true, words))
        caught = logsigmoid(-self._odds(false, drawn)).sum(1)
        return -(told + caught).mean()

    def log_probabilities(self, states: Tensor) -> Tensor:
        """ln p of every word, [N, V]."""
        return log_softmax(self.words(states), dim=1)

    def _odds(self, scores: Tensor, words: Tensor) -> Tensor:
        """ln of how much likelier the word came from the model than from the noise."""
        return scores - self.log_z - (self.noise * self.frequency[words]).log().to(scores.dtype)


def _by_frequency(counts: Tensor, classes: int) -> tuple[Tensor, list[int]]:
    """Words by falling count (ties in their own order), and where each class begins and the last one ends."""
    order = counts.argsort(descending=True, stable=True)
    mass = counts[order].sqrt().cumsum(0)
    shares = mass / mass[-1] if mass[-1] > 0 else torch.arange(1, len(mass) + 1) / len(mass)
    bounds = [0]
    for number in range(1, classes):
        wanted = int((shares < number / classes).sum()) + 1
        bounds.append(min(max(wanted, bounds[-1] + 1), len(mass) - classes + number))
    return order, [*bounds, len(mass)]
