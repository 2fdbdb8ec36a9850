"""The networks, agents and logs of the blind part."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.verdicts.everyday import PADDING
from benchmarks.verdicts.nets import Net, Tapped
from benchmarks.verdicts.tasks import Batch
from benchmarks.verdicts.training import Forward, Scalars

Measure = Callable[[Tensor, Tensor], Tensor]


class PackedTagger(nn.Module):
    """Words [T, N], longest sentences first and filled with ``filler``, to tags [T, N, out] in both directions."""

    def __init__(self, cell: type[nn.RNNBase], words: int, hidden: int, out: int, filler: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 8)
        self.recurrent = cell(8, hidden, bidirectional=True)
        self.head = nn.Linear(2 * hidden, out)
        self.filler = filler

    def forward(self, x: Tensor) -> Tensor:
        packed = pack_padded_sequence(self.embedding(x), (x != self.filler).sum(0))
        return self.head(pad_packed_sequence(self.recurrent(packed)[0], total_length=len(x))[0])


class Carried(nn.Module):
    """A net whose state is carried, without its gradient, from a batch to the next."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net
        self.state: object = None

    def forward(self, x: Tensor) -> Tensor:
        h, state = self.net.run(x, self.state)
        self.state = tuple(each.detach() for each in state) if isinstance(state, tuple) else state.detach()
        return self.net.read(h)


class Sorter(nn.Module):
    """An encoder, and a decoder that starts at its last state; its inputs are the targets before, or its own answers.

    sampled: the share of its own answers, set from outside.
    """

    def __init__(self, kinds: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(kinds + 1, 8)
        self.encoder, self.decoder = nn.GRU(8, hidden), nn.GRUCell(8, hidden)
        self.head = nn.Linear(hidden, kinds + 1)
        self.sampled = 0.0

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h, symbol, outputs = self.encoder(self.embedding(x))[1][0], torch.zeros_like(y[0]), []
        for target in y:
            h = self.decoder(self.embedding(symbol), h)
            outputs.append(self.head(h))
            own = torch.rand(target.shape) < self.sampled
            symbol = torch.where(own, outputs[-1].detach().argmax(-1), target)
        return torch.stack(outputs)


def decoded(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
    """Cross entropy of a ``Sorter``; every 20 steps the share of sequences that are right as a whole."""
    output = net(x, y)
    loss = functional.cross_entropy(output.flatten(0, 1), y.flatten())
    return loss, {} if step % 20 else {"exact_match": float((output.argmax(-1) == y).all(0).float().mean())}


class Agent(nn.Module):
    """A GRU cell that is called at each timestep, and forgets where an episode begins; actions and a value out."""

    def __init__(self, symbols: int, hidden: int, actions: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, 8)
        self.cell, self.head = nn.GRUCell(8, hidden), nn.Linear(hidden, actions + 1)

    def forward(self, x: Tensor, first: Tensor) -> Tensor:
        h, outputs = torch.zeros(x.shape[1], self.cell.hidden_size), []
        for seen, begins in zip(self.embedding(x), first, strict=True):
            h = self.cell(seen, h * (1 - begins)[:, None])
            outputs.append(self.head(h))
        return torch.stack(outputs)


def played(entropy: float, *, luck: bool = False, name: str = "mean_reward") -> Forward:
    """Actor and critic of an ``Agent``: 1 for naming the symbol before, in the same episode; luck: for nothing."""

    def forward(net: nn.Module, x: Tensor, first: Tensor, step: int) -> tuple[Tensor, Scalars]:
        output = net(x, first)
        law, value = torch.distributions.Categorical(logits=output[..., :-1]), output[..., -1]
        taken = law.sample()
        before = torch.cat([x[:1], x[:-1]])
        reward = (taken == (torch.randint_like(x, output.shape[-1] - 1) if luck else before)).float() * (1 - first)
        gain = reward - value.detach()
        policy, critic = -(gain * law.log_prob(taken)).mean(), functional.mse_loss(value, reward)
        loss = policy + 0.5 * critic - entropy * law.entropy().mean()
        found = {name: float(reward.sum() / (1 - first).sum()), "value_loss": float(critic)}
        return loss, found | {"entropy": float(law.entropy().mean())}

    return forward


class Walker(nn.Module):
    """A cell that sees its place, and the goal at the first timestep alone; actions are -1, 0 and 1."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTMCell(2, hidden), nn.Linear(hidden, 3)

    def forward(self, goal: Tensor, T: int) -> tuple[Tensor, Tensor, Tensor]:
        """For goals [N, 1]: rewards, ln of the probabilities of the actions, entropies, each [T, N]."""
        place, state, found = torch.zeros_like(goal), None, []
        for t in range(T):
            state = self.cell(torch.cat([place, goal if t == 0 else torch.zeros_like(goal)], -1) / 3, state)
            law = torch.distributions.Categorical(logits=self.head(state[0]))
            taken = law.sample()
            place = place + taken[:, None].float() - 1
            found.append(torch.stack([-(place - goal).abs()[:, 0] / T, law.log_prob(taken), law.entropy()]))
        rewards, log_p, entropy = torch.stack(found, 1)
        return rewards.detach(), log_p, entropy


def walked(T: int, entropy: float) -> Forward:
    """REINFORCE with rewards to come, less their mean over the batch; logs the return of an episode."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        rewards, log_p, spread = net(x[0], T)
        ahead = rewards.flip(0).cumsum(0).flip(0)
        gain = ahead - ahead.mean(1, keepdim=True)
        loss = -(gain * log_p).mean() - entropy * spread.mean()
        return loss, {"episode_return": float(rewards.sum(0).mean()), "entropy": float(spread.mean())}

    return forward


class Leaky(Tapped):
    """h = (1 - a) h + a tanh(W x + U h), written by hand and tapped."""

    rate = 0.3

    def forward(self, x: Tensor) -> Tensor:
        h, outputs = x.new_zeros(x.shape[1], self.recurrent.in_features), []
        for x_t in x:
            new = self.f(self.inward(x_t) + self.recurrent(h))
            h = self.tap("state", (1 - self.rate) * h + self.rate * new)
            outputs.append(h)
        return self.head(outputs[-1] if self.last else torch.stack(outputs))


def scored(batch: Batch, every: int, **measures: Measure) -> Callable[[nn.Module, int], Scalars]:
    """Scalars of the first batch, held out, every so many steps: each of ``measures`` of outputs and targets."""
    x, y = batch(0)

    def metrics(net: nn.Module, step: int) -> Scalars:
        if step % every:
            return {}
        net.eval()
        with torch.no_grad():
            output = net(x)
        net.train()
        return {name: float(measure(output, y)) for name, measure in measures.items()}

    return metrics


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    return (output.argmax(-1) == target)[target != PADDING].float().mean()


def error_rate(output: Tensor, target: Tensor) -> Tensor:
    return 1 - accuracy(output, target)


def perplexity(output: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(output.flatten(0, -2), target.flatten()).exp()


def rmse(output: Tensor, target: Tensor) -> Tensor:
    return functional.mse_loss(output, target).sqrt()


def r2(output: Tensor, target: Tensor) -> Tensor:
    return 1 - functional.mse_loss(output, target) / target.var()


def f1(output: Tensor, target: Tensor) -> Tensor:
    """Of logits above 0."""
    found = (output > 0).float()
    return 2 * (found * target).sum() / (found.sum() + target.sum()).clamp_min(1)


def averaged(decay: float) -> Callable[[Tensor], Tensor]:
    """The running mean of a loss, to be logged in its place."""
    kept: list[Tensor] = []

    def logged(loss: Tensor) -> Tensor:
        kept[:] = [decay * kept[0] + (1 - decay) * loss.detach() if kept else loss.detach()]
        return kept[0]

    return logged


def two_losses(weight: Callable[[int], float]) -> Forward:
    """Cross entropy of three classes plus ``weight(step)`` times a squared error; targets [N, 2]; logs both."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        output = net(x)
        label = functional.cross_entropy(output[:, :3], y[:, 0].long())
        number = functional.mse_loss(output[:, 3], y[:, 1])
        return label + weight(step) * number, {"cls_loss": float(label), "aux_loss": float(number)}

    return forward
