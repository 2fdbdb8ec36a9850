"""The models, losses and loops of the next part."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from benchmarks.verdicts.case import Case, Expected, Family, Label
from benchmarks.verdicts.coming_data import FILLER
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.optimizers import Before, optimizer
from benchmarks.verdicts.tasks import Batch, ce
from benchmarks.verdicts.training import Forward, Scalars, Training

Loss = Callable[[Tensor, Tensor], Tensor]
Told = tuple[Label, Expected]


def fit(net: nn.Module, batch: Batch, spec: str, loss: Loss = ce, steps: int = 300, **more: object) -> Training:
    """A training of all parameters by the optimizer of ``spec``."""
    return Training(net, batch, optimizer(spec, net), loss, steps, **more)


def long(net: nn.Module, batch: Batch, spec: str, loss: Loss = ce, steps: int = 3000, **more: object) -> Training:
    """The same, recorded every 25 steps."""
    return fit(net, batch, spec, loss, steps, **{"every": 25, **more})


def between(low: float, high: float, measure: str = "loss", **more: object) -> Expected:
    """The final measure is between the two."""
    return Expected((low, high), measure, **more)


def wild(low: float = -math.inf, measure: str = "loss") -> Expected:
    """The final measure is above ``low``; the loss may be NaN or inf."""
    return Expected((low, math.inf), measure, nonfinite=None)


def thirds(family: Family, name: str, build: Callable[[], Training], *told: Told) -> Iterator[Case]:
    """The cases of a long training at 10, 50 and 100% of its steps; ``told`` has the label of each."""
    for at, (label, expected) in zip((0.1, 0.5, 1.0), told, strict=True):
        training = f"{family.name}: {name}"
        yield family.case(f"{name}, at {at:.0%}", label, build, expected, at=at, training=training)


class Pooled(nn.Module):
    """Symbols or values to the mean of the outputs of a layer over time, or their mean under learned weights."""

    def __init__(self, cell: type[nn.RNNBase], inputs: int, hidden: int, out: int, *, symbols: int = 0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, inputs) if symbols else nn.Identity()
        self.recurrent = cell(inputs, hidden)
        self.score, self.head = nn.Linear(hidden, 1), nn.Linear(hidden, out)
        self.attends = False

    def forward(self, x: Tensor) -> Tensor:
        h = self.recurrent(self.embedding(x))[0]
        weights = self.score(h if self.attends else 0 * h).softmax(0)
        return self.head((weights * h).sum(0))


def attending(net: Pooled) -> Pooled:
    net.attends = True
    return net


class Convolved(nn.Module):
    """A convolution over time in front of a recurrent layer; [T, N, I] to [N, out]."""

    def __init__(self, cell: type[nn.RNNBase], inputs: int, hidden: int, out: int) -> None:
        super().__init__()
        self.front = nn.Conv1d(inputs, hidden, 3, padding=1)
        self.recurrent, self.head = cell(hidden, hidden), nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        front = self.front(x.permute(1, 2, 0)).relu().permute(2, 0, 1)
        return self.head(self.recurrent(front)[0][-1])


class Residual(nn.Module):
    """Recurrent layers, each behind a layer norm and added to its input; [T, N, I] to [T, N, out]."""

    def __init__(self, inputs: int, hidden: int, out: int, layers: int) -> None:
        super().__init__()
        self.front, self.head = nn.Linear(inputs, hidden), nn.Linear(hidden, out)
        self.layers = nn.ModuleList(nn.GRU(hidden, hidden) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        h = self.front(x)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            h = h + layer(norm(h))[0]
        return self.head(h)


class Normed(nn.Module):
    """A tanh recurrence by hand with a layer norm before its tanh; symbols [T, N] to [T, N, out] or the last."""

    def __init__(self, symbols: int, hidden: int, out: int, *, last: bool) -> None:
        super().__init__()
        self.embedding, self.norm = nn.Embedding(symbols, hidden), nn.LayerNorm(hidden)
        self.recurrent, self.head, self.last = nn.Linear(hidden, hidden), nn.Linear(hidden, out), last

    def forward(self, x: Tensor) -> Tensor:
        h, found = torch.zeros(x.shape[1], self.norm.normalized_shape[0]), []
        for x_t in self.embedding(x):
            h = self.norm(x_t + self.recurrent(h)).tanh()
            found.append(h)
        return self.head(h if self.last else torch.stack(found))


class TrueEnd(nn.Module):
    """Symbols [T, N], then ``FILLER``, to what is read after the last true symbol; not ``true``: after T."""

    def __init__(self, cell: type[nn.RNNBase], hidden: int, out: int, *, true: bool = True) -> None:
        super().__init__()
        self.embedding, self.recurrent = nn.Embedding(FILLER + 1, 8), cell(8, hidden)
        self.head, self.true = nn.Linear(hidden, out), true

    def forward(self, x: Tensor) -> Tensor:
        h = self.recurrent(self.embedding(x))[0]
        end = (x != FILLER).sum(0) - 1 if self.true else torch.full_like(x[0], len(x) - 1)
        return self.head(h[end, torch.arange(x.shape[1])])


class Codec(nn.Module):
    """An encoder to a code of ``code`` numbers, and a decoder from it alone; ``cut``: the code is detached."""

    def __init__(self, cell: type[nn.RNNBase], inputs: int, hidden: int, code: int, *, cut: bool = False) -> None:
        super().__init__()
        self.encoder, self.decoder = cell(inputs, hidden), cell(code, hidden)
        self.to_code, self.head, self.cut = nn.Linear(hidden, code), nn.Linear(hidden, inputs), cut

    def forward(self, x: Tensor) -> Tensor:
        code = self.to_code(self.encoder(x)[0][-1])
        code = (code.detach() if self.cut else code).expand(len(x), -1, -1)
        return self.head(self.decoder(code)[0])


def poisson(output: Tensor, target: Tensor) -> Tensor:
    """NLL of counts whose ln of the rate is the output, without the constant."""
    return functional.poisson_nll_loss(output, target)


def lifetime(output: Tensor, target: Tensor) -> Tensor:
    """NLL of times of an exponential law whose ln of the rate is the output; the second target: seen or cut."""
    return (output.exp() * target[:, :1] - target[:, 1:] * output).mean()


def huber(output: Tensor, target: Tensor) -> Tensor:
    return functional.smooth_l1_loss(output, target)


def unfilled(output: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of the targets that are not ``FILLER``."""
    return functional.cross_entropy(output.flatten(0, -2), target.flatten(), ignore_index=FILLER)


def policy(sign: float = 1.0, entropy: float = 0.0, reward: Loss | None = None) -> Forward:
    """REINFORCE with an action at each timestep, 1 for the target; logs the mean reward and the entropy."""
    mean = [0.0]

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        law = torch.distributions.Categorical(logits=net(x))
        taken = law.sample()
        gain = (taken == y).float() if reward is None else reward(taken, y)
        mean[0] += 0.05 * (float(gain.mean()) - mean[0])
        loss = -sign * ((gain - mean[0]) * law.log_prob(taken)).mean() - entropy * law.entropy().mean()
        return loss, {"reward": float(gain.mean()), "entropy": float(law.entropy().mean())}

    return forward


def scaled(loss: Loss, factor: float) -> Loss:
    return lambda output, target: factor * loss(output, target)


def carrying() -> Forward:
    """Cross entropy of a ``Net`` whose detached state is carried from each batch to the next; logs the accuracy."""
    kept: list[object] = [None]

    def forward(net: Net, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        h, state = net.run(x, kept[0])
        kept[0] = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        output = net.read(h)
        return ce(output, y), {"acc": float((output.argmax(-1) == y).float().mean())}

    return forward


def at_step(when: int, change: Callable[[nn.Module, Optimizer], None]) -> Before:
    """Does ``change`` once, at the step ``when``."""

    def before(step: int, net: nn.Module, used: Optimizer) -> None:
        if step == when:
            with torch.no_grad():
                change(net, used)

    return before


def rate(value: float) -> Callable[[nn.Module, Optimizer], None]:
    def change(net: nn.Module, used: Optimizer) -> None:
        for group in used.param_groups:
            group["lr"] = value

    return change


def learned(net: nn.Module, batch: Batch, steps: int, loss: Loss = ce, rate: float = 0.01) -> nn.Module:
    """The net after updates by Adam that nobody records."""
    opt = torch.optim.Adam(net.parameters(), rate)
    for step in range(steps):
        x, y = batch(step)
        opt.zero_grad()
        loss(net(x), y).backward()
        opt.step()
    return net
