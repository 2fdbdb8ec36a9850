"""What clipping does, in numbers."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import graddiag
from graddiag.clipping import parse

F64 = torch.float64


def parameter(*gradient: float, dtype: torch.dtype = F64) -> torch.nn.Parameter:
    result = torch.nn.Parameter(torch.zeros(len(gradient), dtype=dtype))
    result.grad = torch.tensor(gradient, dtype=dtype)
    return result


def test_norm_clipping_reports_the_norm_before_and_lands_just_under_the_threshold() -> None:
    one, other = parameter(3.0), parameter(0.0, 4.0)

    outcome = parse("norm:1.0")([one, other])

    assert float(outcome.norm_before) == 5.0
    assert float(outcome.coefficient) == pytest.approx(1 / (5 + 1e-6), rel=1e-12)
    assert float(outcome.norm_after) == pytest.approx(5 / (5 + 1e-6), rel=1e-12)
    assert math.hypot(one.grad.norm(), other.grad.norm()) == pytest.approx(float(outcome.norm_after), rel=1e-12)
    assert float(outcome.norm_after) < 1.0


def test_norm_just_under_the_threshold_leaves_every_bit() -> None:
    p = parameter(1.0 - 2e-6)
    before = p.grad.clone()

    outcome = parse("norm:1.0")([p])

    assert torch.equal(p.grad, before)
    assert float(outcome.coefficient) == 1.0


def test_one_inf_becomes_nan_and_every_other_entry_zero() -> None:
    p, other = parameter(1.0, math.inf, 2.0), parameter(5.0)

    outcome = parse("norm:1.0")([p, other])

    assert float(outcome.norm_before) == math.inf
    assert p.grad[1].isnan()
    assert p.grad[[0, 2]].tolist() == [0.0, 0.0]
    assert other.grad.item() == 0.0
    assert int(outcome.nonfinite) == 1


def test_one_nan_makes_every_entry_nan() -> None:
    p, other = parameter(1.0, math.nan), parameter(5.0)

    outcome = parse("norm:1.0")([p, other])

    assert bool(p.grad.isnan().all() and other.grad.isnan().all())
    assert math.isnan(float(outcome.norm_before))
    assert int(outcome.nonfinite) == 1


def test_value_clipping_keeps_nan_and_turns_the_direction() -> None:
    p, q = parameter(math.nan, 7.0, -0.5), parameter(3.0, 0.1)
    before = q.grad.clone()

    parse("value:1")([q])
    outcome = parse("value:1")([p])

    assert p.grad[0].isnan()
    assert p.grad[1:].tolist() == [1.0, -0.5]
    assert int(outcome.nonfinite) == 1
    assert q.grad.tolist() == [1.0, 0.1]
    assert torch.cosine_similarity(q.grad, before, dim=0).item() == pytest.approx(0.9978, abs=5e-5)


def trained(clip: str, steps: int) -> Iterator[tuple[float, list[Tensor]]]:
    """The gradient norm of each step and the parameters after it; later steps have larger inputs."""
    torch.manual_seed(3)
    rnn, policy = graddiag.nn.RNN(4, 8), parse(clip)
    for step in range(steps):
        rnn.zero_grad()
        rnn((1 + step) * torch.randn(6, 3, 4))[0].square().mean().backward()
        outcome = policy(rnn.parameters())
        with torch.no_grad():
            for p in rnn.parameters():
                p -= 0.1 * p.grad
        yield float(outcome.norm_before), [p.detach().clone() for p in rnn.parameters()]


def test_arms_are_bit_identical_until_the_first_clipped_step_and_differ_after_it() -> None:
    off = list(trained("none", steps=12))
    threshold = max(norm for norm, _ in off[:6]) + 1e-3
    first = next(step for step, (norm, _) in enumerate(off) if norm > threshold - 1e-6)
    on = list(trained(f"norm:{threshold}", steps=12))

    assert 6 <= first < 12
    for step, ((norm_off, weights_off), (norm_on, weights_on)) in enumerate(zip(off, on, strict=True)):
        same = all(torch.equal(a, b) for a, b in zip(weights_off, weights_on, strict=True))
        assert same == (step < first)
        assert norm_off == norm_on or step > first


def trained_on_classes(clip: str, lr: float, reduction: str) -> list[Tensor]:
    torch.manual_seed(0)
    T, classes = 20, 7
    rnn, head, policy = graddiag.nn.RNN(4, 16, dtype=F64), torch.nn.Linear(16, classes, dtype=F64), parse(clip)
    parameters, clipped = [*rnn.parameters(), *head.parameters()], 0
    for _ in range(3):
        x, target = 3 * torch.randn(T, 1, 4, dtype=F64), torch.randint(classes, (T,))
        logits = head(rnn(x)[0]).flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, target, reduction=reduction)
        gradients = torch.autograd.grad(loss, parameters)
        for p, gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient
        clipped += float(policy(parameters).coefficient) < 1
        with torch.no_grad():
            for p in parameters:
                p -= lr * p.grad
    assert clipped > 0
    return [p.detach() for p in parameters]


def test_a_threshold_means_nothing_without_the_reduction_of_the_loss() -> None:
    summed = trained_on_classes("norm:5", lr=1.0, reduction="sum")
    averaged = trained_on_classes("norm:0.25", lr=20.0, reduction="mean")
    for one, other in zip(summed, averaged, strict=True):
        assert (one - other).norm() < 5e-6 * one.norm()  # the 1e-6 beside the norm does not scale with the loss
