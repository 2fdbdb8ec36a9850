"""The losses of the unseen part: mixtures, heavy tails, survival, two views of a sequence, learned weights."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts.training import Forward


def mixture(output: Tensor, target: Tensor) -> Tensor:
    """Of two Gaussians: the last axis has their logits, means and ln of deviations, 6 numbers."""
    logits, mean, log_deviation = output.chunk(3, -1)
    log_deviation = log_deviation.clamp(-5, 3)
    each = -log_deviation - 0.5 * ((target - mean) / log_deviation.exp()) ** 2 - 0.5 * math.log(2 * math.pi)
    return -torch.logsumexp(functional.log_softmax(logits, -1) + each, -1).mean()


def student(output: Tensor, target: Tensor, freedom: float = 3.0) -> Tensor:
    """Of Student's t with three degrees of freedom: mean and ln of the scale, without the constant."""
    mean, log_scale = output[..., :1], output[..., 1:].clamp(-6, 4)
    square = ((target - mean) / log_scale.exp()) ** 2
    return (log_scale + (freedom + 1) / 2 * torch.log1p(square / freedom)).mean()


def weibull(output: Tensor, target: Tensor) -> Tensor:
    """Of a time to an event, of shape 1.5; target [N, 2] has the time, and 1 where the event was seen."""
    log_scale = output.clamp(-5, 5)
    ratio = (target[:, :1].log() - log_scale) * 1.5
    seen = target[:, 1:]
    return (ratio.exp() - seen * (ratio - target[:, :1].log())).mean()


def unguarded(output: Tensor, target: Tensor) -> Tensor:
    """Of a Gaussian whose variance is an output as it is: the root of a number below 0 is NaN."""
    mean, deviation = output[..., :1], output[..., 1:].sqrt()
    return (deviation.log() + 0.5 * ((target - mean) / deviation) ** 2).mean()


def two_views(noise: float, heat: float = 0.2) -> Forward:
    """InfoNCE: the code of a sequence under noise is to be nearest to that of the same sequence under other noise."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        one, other = (functional.normalize(net(x + noise * torch.randn_like(x)), dim=-1) for _ in range(2))
        return functional.cross_entropy(one @ other.t() / heat, torch.arange(len(one)))

    return forward


def triplet(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
    """Of the first of a batch by classes: anchors, others of their class, and any of another class."""
    code = functional.normalize(net(x), dim=-1)
    same = y[:, None] == y[None]
    near = (code @ code.t()).masked_fill(~same, -2.0).fill_diagonal_(-2.0).topk(1).values[:, 0]
    far = (code @ code.t()).masked_fill(same, -2.0).max(-1).values
    return (0.5 + far - near).relu().mean()


class Weighed(nn.Module):
    """Two losses under weights that are learned (Kendall, Gal & Cipolla 2018): a class and a number."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.log_variances = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def loss(self, output: Tensor, label: Tensor, number: Tensor) -> Tensor:
        parts = torch.stack(
            [functional.cross_entropy(output[:, 1:], label), functional.mse_loss(output[:, :1], number)]
        )
        return (parts * (-self.log_variances).exp() + 0.5 * self.log_variances).sum()
