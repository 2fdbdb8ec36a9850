"""The networks and their losses of the outside part: attention, CRF, tied weights, GAN, agents, students."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.tasks import Batch, ce
from benchmarks.verdicts.training import Forward, Scalars, Training

Loss = Callable[[Tensor, Tensor], Tensor]


def fit(net: nn.Module, batch: Batch, opt: str, loss: Loss = ce, steps: int = 300, **more: object) -> Training:
    """A training with an optimizer by name."""
    return Training(net, batch, optimizer(opt, net), loss, steps, **more)  # type: ignore[arg-type]


class Attending(nn.Module):
    """A GRU encoder in two directions and a decoder with additive attention; ``forward(x, y)`` gives [T, N, symbols].

    Its inputs are the right symbols before, from a marker 0.
    """

    def __init__(self, symbols: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, hidden)
        self.encoder = nn.GRU(hidden, hidden // 2, bidirectional=True)
        self.decoder = nn.GRUCell(2 * hidden, hidden)
        self.key, self.query = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden, bias=False)
        self.score, self.head = nn.Linear(hidden, 1), nn.Linear(2 * hidden, symbols)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        memory, last = self.encoder(self.embedding(x))
        h, keys, outputs = torch.cat(list(last), -1), self.key(memory), []
        for before in torch.cat([torch.zeros_like(y[:1]), y[:-1]]):
            weights = self.score(torch.tanh(keys + self.query(h))).softmax(0)
            context = (weights * memory).sum(0)
            h = self.decoder(torch.cat([self.embedding(before), context], -1), h)
            outputs.append(self.head(torch.cat([h, context], -1)))
        return torch.stack(outputs)


def attended(name: str, every: int = 20) -> Forward:
    """Cross entropy of a net that is given x and y; every so many steps the share of right sequences as ``name``."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        output = net(x, y)
        whole = float((output.argmax(-1) == y).all(0).float().mean())
        return ce(output, y), {} if step % every else {name: whole}

    return forward


class Crf(nn.Module):
    """Emissions of a net [T, N, tags] and a matrix of transitions; ``forward(x, y)`` gives the NLL a timestep."""

    def __init__(self, net: nn.Module, tags: int) -> None:
        super().__init__()
        self.net, self.transitions = net, nn.Parameter(0.1 * torch.randn(tags, tags))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        scores = self.net(x)
        alpha = scores[0]
        for each in scores[1:]:
            alpha = torch.logsumexp(alpha[:, :, None] + self.transitions, 1) + each
        gold = scores.gather(-1, y[..., None])[..., 0].sum(0) + self.transitions[y[:-1], y[1:]].sum(0)
        return (torch.logsumexp(alpha, -1) - gold).mean() / len(x)


class Tied(nn.Module):
    """A language model whose embedding is its output too, with dropout and layer norm: [T, N] to [T, N, symbols]."""

    def __init__(self, symbols: int, hidden: int, dropout: float = 0.2, layers: int = 1) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, hidden)
        self.recurrent = nn.LSTM(hidden, hidden, layers)
        self.drop, self.norm = nn.Dropout(dropout), nn.LayerNorm(hidden)
        self.bias = nn.Parameter(torch.zeros(symbols))
        nn.init.normal_(self.embedding.weight, std=0.3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.drop(self.recurrent(self.drop(self.embedding(x)))[0]))
        return functional.linear(h, self.embedding.weight, self.bias)


class Rebuild(nn.Module):
    """Sequences [T, N, I] through the last state of a GRU, a code, to themselves."""

    def __init__(self, inputs: int, hidden: int, code: int) -> None:
        super().__init__()
        self.encoder, self.squeeze = nn.GRU(inputs, hidden), nn.Linear(hidden, code)
        self.decoder, self.head = nn.LSTM(code, hidden), nn.Linear(hidden, inputs)

    def forward(self, x: Tensor) -> Tensor:
        code = self.squeeze(self.encoder(x)[0][-1])
        return self.head(self.decoder(code.expand(len(x), *code.shape))[0])


class Forger(nn.Module):
    """Noise [T, N, 2] to sequences [T, N, 1]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.recurrent, self.head = nn.LSTM(2, hidden), nn.Linear(hidden, 1)

    def forward(self, noise: Tensor) -> Tensor:
        return self.head(self.recurrent(noise)[0])


def adversarial(critic: nn.Module, rate: float, spread: bool = True) -> Forward:
    """The loss of a generator against a critic, which gets an update of Adam before; logs the critic's loss, and
    how far the standard deviation of the sequences is from that of the data."""
    opt = torch.optim.Adam(critic.parameters(), rate, betas=(0.5, 0.9))

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        made = net(torch.randn(len(x), x.shape[1], 2))
        opt.zero_grad()
        d_loss = functional.softplus(-critic(x)).mean() + functional.softplus(critic(made.detach())).mean()
        d_loss.backward()
        opt.step()
        found = {"d_loss": float(d_loss)}
        if spread:
            found["std_gap"] = float((made.std(1).mean() - x.std(1).mean()).abs())
        return functional.softplus(-critic(made)).mean(), found

    return forward


class Gambler(nn.Module):
    """A GRU cell that plays a bandit of two arms for T rounds and sees its last arm and reward alone."""

    def __init__(self, hidden: int, T: int) -> None:
        super().__init__()
        self.cell, self.head, self.T = nn.GRUCell(3, hidden), nn.Linear(hidden, 3), T

    def forward(self, chances: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """For chances [N, 2]: rewards, ln of probabilities, entropies and values, each [T, N]."""
        N, found = len(chances), []
        h, seen = torch.zeros(N, self.cell.hidden_size), torch.zeros(N, 3)
        for _ in range(self.T):
            h = self.cell(seen, h)
            output = self.head(h)
            law = torch.distributions.Categorical(logits=output[:, :2])
            arm = law.sample()
            reward = (torch.rand(N) < chances[torch.arange(N), arm]).float()
            seen = torch.cat([functional.one_hot(arm, 2).float(), reward[:, None]], -1)
            found.append(torch.stack([reward, law.log_prob(arm), law.entropy(), output[:, 2]]))
        rewards, log_p, entropy, value = torch.stack(found, 1)
        return rewards.detach(), log_p, entropy, value


def gambled(entropy: float, sign: float = 1.0) -> Forward:
    """Actor and critic of a ``Gambler`` on the rewards to come; logs the mean reward of a round."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        rewards, log_p, spread, value = net(x)
        ahead = rewards.flip(0).cumsum(0).flip(0) / len(rewards)
        gain = ahead - value.detach()
        loss = -sign * (gain * log_p).mean() + 0.5 * functional.mse_loss(value, ahead) - entropy * spread.mean()
        return loss, {"mean_reward": float(rewards.mean()), "entropy": float(spread.mean())}

    return forward


def arms(N: int, seed: int) -> Batch:
    """Chances of two arms, 0.1 and 0.9 in either order: [N, 2]."""
    draw = torch.Generator().manual_seed(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        first = torch.randint(0, 2, (N, 1), generator=draw) * 0.8 + 0.1
        return torch.cat([first, 1 - first], -1), torch.zeros(N)

    return batch


def bootstrap(gamma: float, target: nn.Module, refresh: int) -> Forward:
    """TD(0) of values along a record: y [T, N] are rewards; logs the error of the values to come in hindsight."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        if step % refresh == 0:
            target.load_state_dict(net.state_dict())
        values, found = net(x)[..., 0], []
        with torch.no_grad():
            ahead = torch.cat([target(x)[1:, :, 0], torch.zeros_like(y[:1])])
        total = torch.zeros_like(y[0])
        for reward in y.flip(0):
            total = reward + gamma * total
            found.append(total)
        hindsight = torch.stack(found[::-1])
        loss = functional.mse_loss(values, y + gamma * ahead)
        return loss, {"value_rmse": float((values.detach() - hindsight).square().mean().sqrt())}

    return forward


def taught(teacher: nn.Module, heat: float) -> Forward:
    """KL divergence from a teacher at a temperature, times its square; logs how often both say the same."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        with torch.no_grad():
            wanted = teacher(x)
        output = net(x)
        log_p, log_q = (functional.log_softmax(each / heat, -1).flatten(0, -2) for each in (wanted, output))
        loss = functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True) * heat**2
        return loss, {"agreement": float((wanted.argmax(-1) == output.argmax(-1)).float().mean())}

    return forward


def schooled(net: nn.Module, batch: Batch, opt: str, steps: int, loss: Loss = ce) -> nn.Module:
    """The net after updates that nobody records."""
    used = optimizer(opt, net)
    for step in range(steps):
        x, y = batch(step)
        used.zero_grad()
        loss(net(x), y).backward()
        used.step()
    return net


def greedy(letters: Iterable[int]) -> list[int]:
    """Without repeats and blanks, 0."""
    found, before = [], 0
    for each in letters:
        if each not in (0, before):
            found.append(each)
        before = each
    return found


def distance(one: list[int], other: list[int]) -> int:
    """Levenshtein's."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


def word_errors(output: Tensor, target: Tensor) -> Tensor:
    """Of frames' logits [T, N, symbols] against [N, letters]: edits a letter."""
    found = [greedy(each) for each in output.argmax(-1).t().tolist()]
    edits = sum(distance(one, other) for one, other in zip(found, target.tolist(), strict=True))
    return torch.tensor(edits / target.numel())


def auc(output: Tensor, target: Tensor) -> Tensor:
    """Share of pairs of a positive and a negative whose scores are in that order."""
    score, y = output.flatten(), target.flatten() > 0.5
    return (score[y][:, None] > score[~y]).float().mean()


def reading(net: Net, x: Tensor, detach: bool) -> Tensor:
    """The net's outputs, with or without the gradient of its states."""
    h, _ = net.run(x)
    return net.read(h.detach() if detach else h)
