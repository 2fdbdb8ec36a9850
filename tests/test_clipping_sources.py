"""Clip policies against the code or the algorithm of their sources, written again in numpy, step by step.

Each oracle is what its source computes on the same gradients; the source is named with it. Gradients are drawn with a
few that are far larger than the others.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from graddiag.clipping import parse

Arrays = list[np.ndarray]
STEPS = 1100
SHAPES = ((4, 3), (4,), (2, 4))


def drawn(steps: int = STEPS) -> Iterator[Arrays]:
    chance = np.random.default_rng(0)
    for _ in range(steps):
        wild = 50.0 if chance.random() < 0.05 else 1.0
        yield [chance.normal(size=shape) * wild * chance.lognormal() for shape in SHAPES]


def weights() -> Arrays:
    chance = np.random.default_rng(1)
    return [chance.normal(size=shape) for shape in SHAPES[:-1]] + [np.zeros(SHAPES[-1])]


def norm(arrays: Arrays) -> float:
    return float(np.sqrt(sum((each**2).sum() for each in arrays)))


def total_clip(gradients: Arrays, threshold: float) -> Arrays:
    """torch's clip_grad_norm_."""
    return [each * min(1.0, threshold / (norm(gradients) + 1e-6)) for each in gradients]


def autoclip() -> Callable[[Arrays], Arrays]:
    """pseeth/autoclip, autoclip.py: np.percentile of all norms so far, this one included, then clip_grad_norm_.

    A norm at the threshold itself is shortened by 1e-6 there and left as it is by graddiag.
    """
    history: list[float] = []

    def step(gradients: Arrays) -> Arrays:
        history.append(norm(gradients))
        return total_clip(gradients, float(np.percentile(history, 10.0)))

    return step


def zclip() -> Callable[[Arrays], Arrays]:
    """bluorion-com/ZClip, zclip.py: alpha .97, z_thresh 2.5, 25 steps to begin, zscore, adaptive_scaling; without its
    further bound max_grad_norm. What is followed after a clipped step is the threshold."""
    first: list[float] = []
    known: dict[str, float] = {}

    def step(gradients: Arrays) -> Arrays:
        size = norm(gradients)
        if not known:
            first.append(size)
            if len(first) == 25:
                known.update(mean=float(np.mean(first)), var=float(np.var(first)))
            return gradients
        deviation = known["var"] ** 0.5
        z = (size - known["mean"]) / (deviation + 1e-6)
        threshold = known["mean"] + 2.5 * deviation / (z / 2.5) if z > 2.5 else size
        known["mean"] = 0.97 * known["mean"] + 0.03 * threshold
        known["var"] = 0.97 * known["var"] + 0.03 * (threshold - known["mean"]) ** 2
        return [each * (threshold / (size + 1e-6)) if size > threshold else each for each in gradients]

    return step


def agc() -> Callable[[Arrays], Arrays]:
    """timm/utils/agc.py, adaptive_clip_grad with clip_factor .01, eps 1e-3, after nfnets/optim.py of the authors."""

    def size(array: np.ndarray) -> np.ndarray:
        axes = tuple(range(1, array.ndim)) if array.ndim > 1 else None
        return np.sqrt((array**2).sum(axis=axes, keepdims=True))

    def step(gradients: Arrays) -> Arrays:
        found = []
        for weight, gradient in zip(weights(), gradients, strict=True):
            most, own = np.maximum(size(weight), 1e-3) * 0.01, size(gradient)
            found.append(np.where(own < most, gradient, gradient * most / np.maximum(own, 1e-6)))
        return found

    return step


def layer() -> Callable[[Arrays], Arrays]:
    """McMahan et al. (2018), section 3: each layer's own clip_grad_norm_, here to 1."""
    return lambda gradients: [total_clip([each], 1.0)[0] for each in gradients]


def adagc() -> Callable[[Arrays], Arrays]:
    """Wang et al. (2025), algorithm 1, with lambda_rel 1.05, lambda_abs 1, beta .98, T_start 100."""
    gamma = [np.inf] * len(SHAPES)
    count = 0

    def step(gradients: Arrays) -> Arrays:
        nonlocal gamma, count
        sizes = [norm([each]) for each in gradients]
        if count < 100:
            h = [min(1.0 / norm(gradients), 1.0)] * len(sizes)
            gamma = [min(g, f * size) for g, f, size in zip(gamma, h, sizes, strict=True)]
        else:
            h = [min(1.05 * g / size, 1.0) for g, size in zip(gamma, sizes, strict=True)]
            gamma = [0.98 * g + 0.02 * f * size for g, f, size in zip(gamma, h, sizes, strict=True)]
        count += 1
        return [f * each for f, each in zip(h, gradients, strict=True)]

    return step


def spam() -> Callable[[Arrays], Arrays]:
    """SPAM-Optimizer, galore_torch/SPAM.py, AdamW.step: threshold 5000, beta2 .999, 20 steps, gap 500."""
    second = [np.zeros(shape) for shape in SHAPES]
    total = 0

    def step(gradients: Arrays) -> Arrays:
        nonlocal second, total
        found = []
        if (total + 1) % 500 == 0:
            second = [np.zeros(shape) for shape in SHAPES]
        for place, gradient in enumerate(gradients):
            clipped = gradient.copy()
            if total + 1 >= 20 and (total + 1) % 500 >= 20:
                spikes = clipped**2 > 5000 * second[place]
                clipped[spikes] = np.sign(clipped[spikes]) * np.sqrt(second[place][spikes] * 5000)
            second[place] = 0.999 * second[place] + 0.001 * clipped**2
            found.append(clipped)
        total += 1
        return found

    return step


SOURCES = {
    "auto:10": autoclip,
    "zclip": zclip,
    "agc:0.01": agc,
    "layer:1": layer,
    "adagc": adagc,
    "spam": spam,
}


@pytest.mark.parametrize("spec", SOURCES)
def test_a_policy_does_what_its_source_does(spec: str) -> None:
    policy, source = parse(spec), SOURCES[spec]()
    parameters = [torch.nn.Parameter(torch.from_numpy(each)) for each in weights()]
    clipped, close = 0, 1e-5 if spec.startswith("auto") else 1e-9
    for step, gradients in enumerate(drawn(1100 if spec == "spam" else 300)):
        expected = source([each.copy() for each in gradients])
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient.copy())
        outcome = policy(parameters)
        for parameter, wanted in zip(parameters, expected, strict=True):
            assert parameter.grad is not None
            np.testing.assert_allclose(parameter.grad.numpy(), wanted, rtol=close, err_msg=f"step {step}")
        assert outcome.norm_before.item() == pytest.approx(norm(gradients))
        assert outcome.norm_after.item() == pytest.approx(norm(expected), rel=close)
        clipped += outcome.norm_after.item() < 0.999 * outcome.norm_before.item()
    assert clipped > 3


@pytest.mark.parametrize("spec", ["layer:1", "adagc", "spam"])
def test_the_cosine_is_that_of_all_gradients_before_and_after(spec: str) -> None:
    policy = parse(spec)
    parameters = [torch.nn.Parameter(torch.from_numpy(each)) for each in weights()]
    for gradients in drawn(130):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient.copy())
        outcome = policy(parameters)
    before = np.concatenate([each.ravel() for each in gradients])
    after = np.concatenate([p.grad.numpy().ravel() for p in parameters if p.grad is not None])
    assert outcome.cosine is not None
    expected = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
    assert outcome.cosine.item() == pytest.approx(expected)


@pytest.mark.parametrize("spec", ["adagc", "spam"])
def test_a_step_that_is_not_finite_is_not_followed(spec: str) -> None:
    policy, undisturbed = parse(spec), parse(spec)
    weight = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def clip(by: object, *values: float) -> list[float]:
        weight.grad = torch.tensor(values, dtype=torch.float64)
        by([weight])  # type: ignore[operator]
        return weight.grad.tolist()

    for step in range(150):
        plain = [0.1 + 0.01 * (step % 3), 0.2, 0.3]
        clip(undisturbed, *plain)
        clip(policy, *plain)
    outcome = clip(policy, float("nan"), 1.0, 1.0)
    assert outcome[0] != outcome[0]
    assert all(np.isfinite(clip(policy, 0.1, 0.2, 0.3)))
