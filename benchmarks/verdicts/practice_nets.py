"""The models and losses of the sealed part, as they are written in scripts: packed, pooled, translated, normalised."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.optim import Optimizer

from benchmarks.verdicts.training import Forward, Scalars

Metrics = Callable[[nn.Module, int], Scalars]


class PackedTagger(nn.Module):
    """Symbols [T, N], 0 is padding, through a packed LSTM of two directions to [T, N, out]."""

    def __init__(self, symbols: int, width: int, hidden: int, out: int, cell: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width, padding_idx=0)
        self.recurrent = cell(width, hidden, bidirectional=True)
        self.head = nn.Linear(2 * hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x > 0).sum(0)
        packed = pack_padded_sequence(self.embedding(x), lengths, enforce_sorted=False)
        found, _ = pad_packed_sequence(self.recurrent(packed)[0], total_length=len(x))
        return self.head(found)


class Attentive(nn.Module):
    """Symbols [T, N] through a batch-first GRU, and a weighted mean of its outputs over time, to [N, out]."""

    def __init__(self, symbols: int, width: int, hidden: int, out: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.recurrent = nn.GRU(width, hidden, batch_first=True)
        self.score = nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.head = nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.recurrent(self.embedding(x.t()))
        return self.head((self.score(h).softmax(1) * h).sum(1))


class Translator(nn.Module):
    """An encoder, and a decoder that is given the symbol before; ``forward(x, y)`` gives logits [T, N, symbols]."""

    def __init__(self, symbols: int, width: int, hidden: int) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(symbols, width), nn.Embedding(symbols, width)
        self.encoder, self.decoder = nn.GRU(width, hidden), nn.GRU(width, hidden)
        self.head = nn.Linear(hidden, symbols)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        _, state = self.encoder(self.source(x))
        before = torch.cat([torch.zeros_like(y[:1]), y[:-1]])
        return self.head(self.decoder(self.target(before), state)[0])


class NormalisedLoop(nn.Module):
    """An LSTM by hand whose gates are layer-normalised, [T, N, I] to [N, out]."""

    def __init__(self, inputs: int, hidden: int, out: int) -> None:
        super().__init__()
        self.inward, self.back = nn.Linear(inputs, 4 * hidden), nn.Linear(hidden, 4 * hidden, bias=False)
        self.norm = nn.LayerNorm(4 * hidden)
        self.head = nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(x.shape[1], self.back.in_features)
        for x_t in x:
            i, f, g, o = self.norm(self.inward(x_t) + self.back(h)).chunk(4, -1)
            c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return self.head(h)


class Residual(nn.Module):
    """Layers of a GRU that each add to what comes in, normalised, with dropout, [T, N, I] to [T, N, out]."""

    def __init__(self, inputs: int, hidden: int, out: int, layers: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        self.inward = nn.Linear(inputs, hidden)
        self.layers = nn.ModuleList([nn.GRU(hidden, hidden) for _ in range(layers)])
        self.norms = nn.ModuleList([nn.LayerNorm(hidden) for _ in range(layers)])
        self.drop, self.head = nn.Dropout(dropout), nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        h = self.inward(x)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            h = h + self.drop(layer(norm(h))[0])
        return self.head(h)


class Sensor(nn.Module):
    """A convolution, batch norm and pooling before a batch-first LSTM, its mean over time to classes."""

    def __init__(self, inputs: int, hidden: int, out: int) -> None:
        super().__init__()
        self.front = nn.Sequential(nn.Conv1d(inputs, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2))
        self.recurrent = nn.LSTM(16, hidden, batch_first=True)
        self.drop, self.head = nn.Dropout(0.3), nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.recurrent(self.front(x.permute(1, 2, 0)).transpose(1, 2))
        return self.head(self.drop(h.mean(1)))


def scored(loss: Callable[[Tensor, Tensor], Tensor], name: str = "train_acc") -> Forward:
    """The loss of the net's output, and the share of right answers as a scalar."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        output = net(x)
        known = y >= 0
        right = (output.argmax(-1) == y)[known].float().mean()
        return loss(output, y), {name: float(right)}

    return forward


def averaged(net: nn.Module, keep: float = 0.98) -> tuple[nn.Module, Callable[[int, nn.Module, Optimizer], None]]:
    """A copy of the net, and what moves its parameters towards the net's after each step."""
    mean = copy.deepcopy(net).requires_grad_(False)

    @torch.no_grad()
    def after(step: int, net: nn.Module, optimizer: Optimizer) -> None:
        for slow, fast in zip(mean.parameters(), net.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)

    return mean, after


def ranked(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
    """Logistic loss of pairs of items by their score; chance is ln 2. Logs the share of pairs in the right order."""
    score = net(x)
    other = y.roll(1, 0)
    ahead = (score - score.roll(1, 0)) * torch.sign(y - other)
    return functional.softplus(-ahead).mean(), {"pairs_right": float((ahead > 0).float().mean())}


def matched(heat: float) -> Forward:
    """InfoNCE of two halves of a sequence [T, N, I]: the codes of one sequence are to match. Chance is ln N."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        one, other = (functional.normalize(net(half), dim=-1) for half in x.chunk(2))
        scores, own = one @ other.t() / heat, torch.arange(x.shape[1])
        return 0.5 * (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.t(), own))

    return forward
