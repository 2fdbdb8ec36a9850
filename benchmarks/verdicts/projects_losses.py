"""The losses of the outside part, as a function of outputs and targets."""

import math

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = (0.1, 0.5, 0.9)


def quantiles(output: Tensor, target: Tensor) -> Tensor:
    """Pinball loss of three levels, the last axis of the output."""
    error, level = target - output, torch.tensor(LEVELS)
    return torch.maximum(level * error, (level - 1) * error).mean()


def poisson(output: Tensor, target: Tensor) -> Tensor:
    """NLL of counts whose ln of the rate is the output, without ln k!."""
    return functional.poisson_nll_loss(output, target)


def negative_binomial(output: Tensor, target: Tensor) -> Tensor:
    """NLL of counts: ln of the mean and ln of the shape are the two outputs."""
    mean, shape = output[..., :1].clamp(-8, 8).exp(), output[..., 1:].clamp(-5, 5).exp()
    binom = torch.lgamma(target + shape) - torch.lgamma(shape) - torch.lgamma(target + 1)
    both = (shape + mean).log()
    return -(binom + shape * (shape.log() - both) + target * (mean.log() - both)).mean()


def student(output: Tensor, target: Tensor) -> Tensor:
    """NLL of Student's t: mean, ln of the scale and ln of the degrees of freedom less 2 are the outputs."""
    mean, log_scale, free = output[..., :1], output[..., 1:2].clamp(-6, 4), 2 + output[..., 2:].clamp(-4, 4).exp()
    law = torch.distributions.StudentT(free, mean, log_scale.exp())
    return -law.log_prob(target).mean()


def normal(output: Tensor, target: Tensor) -> Tensor:
    """NLL of a Gaussian: mean and ln of the deviation, with the constant."""
    mean, log_s = output.chunk(2, -1)
    log_s = log_s.clamp(-6, 4)
    return (log_s + 0.5 * ((target - mean) / log_s.exp()).square() + 0.5 * math.log(2 * math.pi)).mean()


def mixture(output: Tensor, target: Tensor) -> Tensor:
    """NLL of a mixture of Gaussians: logits, means and ln of deviations."""
    logits, mean, log_s = output.chunk(3, -1)
    law = torch.distributions.Normal(mean, log_s.clamp(-5, 3).exp())
    return -torch.logsumexp(functional.log_softmax(logits, -1) + law.log_prob(target), -1).mean()


def hinge(output: Tensor, target: Tensor) -> Tensor:
    """Multi-class margin loss of outputs [N, classes]."""
    return functional.multi_margin_loss(output, target)


def focal(output: Tensor, target: Tensor) -> Tensor:
    """Focal loss of logits, gamma 2, alpha 0.25 for the negatives."""
    each = functional.binary_cross_entropy_with_logits(output, target, reduction="none")
    sure = (-each).exp()
    return ((0.25 + 0.5 * target) * (1 - sure).square() * each).mean()


def smooth(output: Tensor, target: Tensor) -> Tensor:
    """Cross entropy with labels smoothed by 0.1."""
    return functional.cross_entropy(output.flatten(0, -2), target.flatten(), label_smoothing=0.1)


def soft_dtw_like(output: Tensor, target: Tensor) -> Tensor:
    """Squared error plus that of the differences over time."""
    return functional.mse_loss(output, target) + functional.mse_loss(output.diff(dim=0), target.diff(dim=0))


def log_cosh(output: Tensor, target: Tensor) -> Tensor:
    error = output - target
    return (error + functional.softplus(-2 * error) - math.log(2)).mean()


def triplets(code: Tensor, y: Tensor, margin: float = 0.5) -> Tensor:
    """Of all anchors [N, D] with all others of their class and all of another; cosines, the mean over triplets."""
    code = functional.normalize(code, dim=-1)
    cosines, same = code @ code.t(), y[:, None] == y
    each = (margin + cosines[:, None, :] - cosines[:, :, None]).relu()
    known = (same & ~torch.eye(len(y), dtype=torch.bool))[:, :, None] & ~same[:, None, :]
    return each[known].mean()


def hardest(code: Tensor, y: Tensor, margin: float = 0.5) -> Tensor:
    """Of the farthest of the own class and the nearest of another, squared distances of codes that are not normed."""
    far = (code[:, None] - code[None]).square().sum(-1)
    same = y[:, None] == y
    near_other = far.masked_fill(same, torch.inf).amin(-1)
    return (margin + far.masked_fill(~same, -1.0).amax(-1) - near_other).relu().mean()


def contrast(code: Tensor, y: Tensor) -> Tensor:
    """Supervised contrastive loss of codes [N, D] at a temperature of 0.2."""
    code = functional.normalize(code, dim=-1)
    own = torch.eye(len(y), dtype=torch.bool)
    scores = (code @ code.t() / 0.2).masked_fill(own, -1e4)
    same = ((y[:, None] == y) & ~own).float()
    log_p = functional.log_softmax(scores, -1)
    return -((same * log_p).sum(-1) / same.sum(-1).clamp_min(1)).mean()
