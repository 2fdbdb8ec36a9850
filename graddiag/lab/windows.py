"""Language models that see a window of words: Bengio's feed-forward model, and the word vectors that came after it.

Legend: V words, m features a word, n - 1 words in the window, h hidden units, N windows. C is the table, [V, m].

Sources: Bengio, Ducharme, Vincent & Jauvin (2003), eq. 1; Mikolov, Chen, Corrado & Dean (2013), section 3.
"""

import torch
from torch import Tensor, nn


class Nplm(nn.Module):
    """The next word from the ``context`` words before it: y = b + W x + U tanh(d + H x), x their rows of C in a row.

    One table C serves every position of the window. W, from the features straight to the output, is there with
    ``direct`` alone. The parameters are drawn from torch's global generator: seed it first.
    """

    def __init__(self, words: int, context: int, features: int, hidden: int, *, direct: bool = False) -> None:
        super().__init__()
        self.table = nn.Embedding(words, features)
        self.hidden = nn.Linear(context * features, hidden)
        self.output = nn.Linear(hidden, words)
        self.direct = nn.Linear(context * features, words, bias=False) if direct else None

    def forward(self, windows: Tensor) -> Tensor:
        """windows [N, n - 1]; logits [N, V]."""
        x = self.table(windows).flatten(1)
        y: Tensor = self.output(torch.tanh(self.hidden(x)))
        return y if self.direct is None else y + self.direct(x)


def nplm_parameters(words: int, context: int, features: int, hidden: int, *, direct: bool = False) -> int:
    """Parameters of an ``Nplm``: V (1 + h + m) + h (1 + (n - 1) m), and (n - 1) m V more with ``direct``."""
    straight = context * features * words if direct else 0
    return words * (1 + hidden + features) + hidden * (1 + context * features) + straight


def without_table(words: int, context: int, hidden: int) -> int:
    """Parameters of the same model fed with one-hot words: each position of the window has a separate weight."""
    return words * (1 + hidden) + hidden * (1 + context * words)


class Cbow(nn.Module):
    """The word in the middle from the mean of the table's rows of those around it."""

    def __init__(self, words: int, features: int) -> None:
        super().__init__()
        self.table = nn.Embedding(words, features)
        self.output = nn.Linear(features, words, bias=False)

    def forward(self, around: Tensor) -> Tensor:
        """around [N, 2 k]; logits [N, V]."""
        logits: Tensor = self.output(self.table(around).mean(1))
        return logits


class SkipGram(nn.Module):
    """Each of the words around from the one in the middle, all with the same logits."""

    def __init__(self, words: int, features: int) -> None:
        super().__init__()
        self.table = nn.Embedding(words, features)
        self.output = nn.Linear(features, words, bias=False)

    def forward(self, middle: Tensor) -> Tensor:
        """middle [N]; logits [N, V]."""
        logits: Tensor = self.output(self.table(middle))
        return logits


def contexts(words: Tensor, context: int) -> tuple[Tensor, Tensor]:
    """Every window of ``context`` words [N, n - 1] with the word after it [N]; ``words`` [W], N = W - context."""
    windows = words.unfold(0, context + 1, 1)
    return windows[:, :-1], windows[:, -1]


def surroundings(words: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """The words around [N, 2 reach] with the one in the middle [N]; N = W - 2 reach."""
    windows = words.unfold(0, 2 * reach + 1, 1)
    return torch.cat([windows[:, :reach], windows[:, reach + 1 :]], dim=1), windows[:, reach]


def nearest(table: Tensor, word: int, count: int) -> list[tuple[int, float]]:
    """The ``count`` words whose rows of ``table`` [V, m] have the largest cosine with that of ``word``, best first."""
    rows = nn.functional.normalize(table.detach().double(), dim=1)
    cosines = rows @ rows[word]
    cosines[word] = -torch.inf
    best = cosines.topk(min(count, len(rows) - 1))
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def plane(table: Tensor) -> Tensor:
    """The rows of ``table`` [V, m] on their two principal components, [V, 2]; the larger one first.

    The sign of a component is free; here its entry of largest size is positive. A table with NaN or inf in it has no
    components: all is NaN.
    """
    rows = table.detach().double()
    if not rows.isfinite().all():
        return torch.full((len(rows), 2), torch.nan, dtype=rows.dtype)
    left, sizes, _ = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
    shown = left[:, :2] * sizes[:2]
    return shown * shown.gather(0, shown.abs().argmax(0, keepdim=True)).sign()
