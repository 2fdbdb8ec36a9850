"""The models, losses and metrics of the apart part, as in projects: CTC, agents, VAEs, sequence to sequence."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts.case import Case, Expected, Family, Label
from benchmarks.verdicts.tasks import Batch
from benchmarks.verdicts.training import Forward, Scalars, Training

Loss = Callable[[Tensor, Tensor], Tensor]
Told = tuple[Label, Expected]


def thirds(family: Family, name: str, build: Callable[[], Training], *told: Told) -> Iterator[Case]:
    """The cases of a long training at 10, 50 and 100% of its steps; ``told`` has the label of each."""
    for at, (label, expected) in zip((0.1, 0.5, 1.0), told, strict=True):
        training = f"{family.name}: {name}"
        yield family.case(f"{name}, {at:.0%}", label, build, expected, at=at, training=training)


def under(high: float, low: float = -math.inf) -> Expected:
    """The final loss is below ``high`` and above ``low``."""
    return Expected(final=(low, high))


class Seq2Seq(nn.Module):
    """Encoder and decoder; with probability ``teacher`` the decoder's input is the right symbol before, else its own.

    cut: the state between them is detached.
    """

    def __init__(self, symbols: int, hidden: int, *, cut: bool = False) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(symbols, hidden), nn.Embedding(symbols, hidden)
        self.encoder, self.decoder = nn.LSTM(hidden, hidden), nn.LSTM(hidden, hidden)
        self.head, self.cut = nn.Linear(hidden, symbols), cut

    def forward(self, x: Tensor, y: Tensor, teacher: float = 1.0) -> Tensor:
        _, state = self.encoder(self.source(x))
        if self.cut:
            state = (state[0].detach(), state[1].detach())
        before = torch.cat([torch.zeros_like(y[:1]), y[:-1]])
        if teacher < 1.0:
            with torch.no_grad():
                own = self.head(self.decoder(self.target(before), state)[0]).argmax(-1)
            own = torch.cat([torch.zeros_like(y[:1]), own[:-1]])
            before = torch.where(torch.rand(before.shape) < teacher, before, own)
        return self.head(self.decoder(self.target(before), state)[0])


def translating(teacher: Callable[[int], float] = lambda step: 1.0) -> Forward:
    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        output = net(x, y, teacher(step))
        loss = functional.cross_entropy(output.flatten(0, 1), y.flatten())
        return loss, {"token_acc": float((output.argmax(-1) == y).float().mean())}

    return forward


class VAE(nn.Module):
    """GRU to a Gaussian code, and a GRU from the code (and the input before, where ``fed``) to the sequence."""

    def __init__(self, inputs: int, hidden: int, code: int, *, fed: bool = False) -> None:
        super().__init__()
        self.encoder = nn.GRU(inputs, hidden)
        self.decoder = nn.GRU(code + (inputs if fed else 0), hidden)
        self.to_code, self.head, self.fed = nn.Linear(hidden, 2 * code), nn.Linear(hidden, inputs), fed

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_var = self.to_code(self.encoder(x)[0][-1]).chunk(2, -1)
        code = (mean + torch.randn_like(mean) * (0.5 * log_var).exp()).expand(len(x), -1, -1)
        if self.fed:
            code = torch.cat([code, torch.cat([torch.zeros_like(x[:1]), x[:-1]])], -1)
        return self.head(self.decoder(code)[0]), mean, log_var


def elbo(weight: Callable[[int], float]) -> Forward:
    """Squared error summed over time, and the KL divergence under a weight by step; both are logged."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        output, mean, log_var = net(x)
        recon = 2 * (output - x).square().sum((0, 2)).mean()
        kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1).mean()
        return recon + weight(step) * kl, {"recon": float(recon), "kl": float(kl)}

    return forward


def ctc(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
    """CTC a letter; 0 is the blank."""
    log_p = functional.log_softmax(net(x), -1)
    frames, letters = torch.full((len(y),), len(x)), torch.full((len(y),), y.shape[1])
    return functional.ctc_loss(log_p, y, frames, letters)


def reinforce(sign: float = 1.0, baseline: bool = True, entropy: float = 0.0) -> Forward:
    """REINFORCE on one choice at the end: 1 for the right one. Logs the mean reward; sign: -1 is the mistake."""
    mean = [0.5]

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        log_p = functional.log_softmax(net(x), -1)
        taken = torch.multinomial(log_p.detach().exp(), 1)
        reward = (taken[:, 0] == y).float()
        gain = reward - mean[0] if baseline else reward
        mean[0] += 0.05 * (float(reward.mean()) - mean[0])
        loss = -sign * (gain * log_p.gather(1, taken)[:, 0]).mean()
        spread = -(log_p.exp() * log_p).sum(-1).mean()
        return loss - entropy * spread, {"reward": float(reward.mean())}

    return forward


class Controller(nn.Module):
    """A GRU cell that holds a ball on a beam through a model of the beam that gradients pass; gives the cost."""

    def __init__(self, hidden: int, T: int) -> None:
        super().__init__()
        self.policy, self.head, self.T = nn.GRUCell(1, hidden), nn.Linear(hidden, 1), T

    def forward(self, place: Tensor) -> Tensor:
        speed, state, cost = torch.zeros_like(place), None, torch.zeros(())
        for _ in range(self.T):
            state = self.policy(place + 0.02 * torch.randn_like(place), state)
            push = self.head(state).tanh()
            speed = speed + 0.3 * (push + 0.2 * place)
            place = place + 0.3 * speed
            cost = cost + (place.square() + 0.05 * push.square()).mean() / self.T
        return cost


def starts(N: int, seed: int) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    return lambda step: (0.7 * torch.randn(N, 1, generator=draw), torch.zeros(N))


def cost(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
    return net(x)


class Leaky(nn.Module):
    """A leaky integrator by hand, h = (1 - a) h + a tanh(W x + U h), its state tapped; [T, N, I] to [T, N, out]."""

    def __init__(self, inputs: int, hidden: int, out: int, rate: float) -> None:
        super().__init__()
        self.inward, self.recurrent = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
        self.head, self.rate = nn.Linear(hidden, out), rate

    def forward(self, x: Tensor) -> Tensor:
        h, found = x.new_zeros(x.shape[1], self.recurrent.in_features), []
        for x_t in x:
            h = (1 - self.rate) * h + self.rate * torch.tanh(self.inward(x_t) + self.recurrent(h))
            found.append(h)
        return self.head(torch.stack(found))


def gaussian(output: Tensor, target: Tensor) -> Tensor:
    """NLL of a Gaussian of mean 0 whose ln of the variance is the output, without the constant."""
    return 0.5 * (output + target.square() * (-output).exp()).mean()


def density(output: Tensor, target: Tensor) -> Tensor:
    """NLL of a Gaussian in two dimensions: means and ln of deviations, with the constant."""
    mean, log_s = output[..., :2], output[..., 2:].clamp(-5, 3)
    each = log_s + 0.5 * ((target - mean) / log_s.exp()).square() + 0.5 * math.log(2 * math.pi)
    return each.sum(-1).mean()


def pinball(share: float) -> Loss:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        error = target - output
        return torch.maximum(share * error, (share - 1) * error).mean()

    return loss


def hazard(output: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of the events of the timesteps at risk; targets of -1 are left out."""
    known = target >= 0
    return functional.binary_cross_entropy_with_logits(output[..., 0][known], target[known])


def pairwise(items: int) -> Forward:
    """BPR: the next item is to score above one drawn at random. Chance is ln 2; logs the share that is in order."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        scores = net(x)
        drawn = torch.randint(0, items, y.shape)
        ahead = scores.gather(-1, y[..., None]) - scores.gather(-1, drawn[..., None])
        loss = functional.softplus(-ahead).mean()
        return loss, {"recall": float((scores.argmax(-1) == y).float().mean())}

    return forward


def counted(loss: Loss, name: str = "acc") -> Forward:
    """The loss, and the share of the right classes as a scalar."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        output = net(x)
        return loss(output, y), {name: float((output.argmax(-1) == y).float().mean())}

    return forward


def validation(batch: Batch, loss: Loss, every: int, *, right: str = "", f1: str = "") -> Callable[..., Scalars]:
    """Every so many steps the loss on one held-out batch as ``val_loss``, and as ``right`` the share of right
    classes, as ``f1`` the F1 of outputs above 0."""
    x, y = batch(0)

    @torch.no_grad()
    def metrics(net: nn.Module, step: int) -> Scalars:
        if (step + 1) % every:
            return {}
        net.eval()
        output = net(x)
        net.train()
        found = {"val_loss": float(loss(output, y))}
        if right:
            found[right] = float((output.argmax(-1) == y).float().mean())
        if f1:
            hit = float(((output > 0) & (y > 0)).sum())
            found[f1] = 2 * hit / max(1.0, float((output > 0).sum() + (y > 0).sum()))
        return found

    return metrics


def carried(lag: int, window: int, N: int, kinds: int, seed: int) -> tuple[Batch, Forward]:
    """An endless stream in windows; the state is carried from one to the next, detached; the symbol of ``lag`` ago."""
    draw = torch.Generator().manual_seed(seed)
    past, state = [torch.randint(0, kinds, (lag, N), generator=draw)], [None]

    def batch(step: int) -> tuple[Tensor, Tensor]:
        whole = torch.cat([past[0], torch.randint(0, kinds, (window, N), generator=draw)])
        past[0] = whole[-lag:]
        return whole[lag:], whole[:window]

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        h, after = net.run(x, state[0])
        state[0] = tuple(s.detach() for s in after) if isinstance(after, tuple) else after.detach()
        return functional.cross_entropy(net.read(h).flatten(0, 1), y.flatten())

    return batch, forward
