"""Thresholds that follow the training, and what clipping does to convergence."""

import statistics

import pytest
import torch

from graddiag.clipping import parse

F64 = torch.float64
NORMS = [3.0, 1.0, 4.0, 1.5, 0.5, 9.0, 2.0]


def clipped(spec: str, norms: list[float]) -> list[float]:
    """The norms that one policy leaves of gradients with these norms, one step after the other."""
    policy, p = parse(spec), torch.nn.Parameter(torch.ones(2, dtype=F64))
    after = []
    for norm in norms:
        p.grad = torch.tensor([0.6 * norm, 0.8 * norm], dtype=F64)
        policy([p])
        after.append(p.grad.norm().item())
    return after


def test_the_hundredth_percentile_never_clips_and_the_zeroth_clips_to_the_smallest_so_far() -> None:
    smallest = [min(NORMS[: step + 1]) for step in range(len(NORMS))]
    assert clipped("auto:100", NORMS) == pytest.approx(NORMS, rel=1e-12)
    assert clipped("auto:0", NORMS) == pytest.approx(smallest, rel=1e-5)


def test_the_percentile_is_of_all_norms_so_far_with_the_present_one() -> None:
    median = [statistics.median(NORMS[: step + 1]) for step in range(len(NORMS))]
    expected = [min(norm, middle) for norm, middle in zip(NORMS, median, strict=True)]
    assert clipped("auto:50", NORMS) == pytest.approx(expected, rel=1e-5)


def test_zclip_pulls_an_outlier_back_and_is_fed_with_what_is_left_of_it() -> None:
    quiet = [1.0 + 0.1 * (step % 3) for step in range(25)]
    mean, deviation = statistics.fmean(quiet), statistics.pstdev(quiet)
    first = mean + 2.5 * deviation / ((10.0 - mean) / deviation / 2.5)
    variance = 0.97 * deviation**2
    mean = 0.97 * mean + 0.03 * first
    deviation = (variance + 0.03 * (first - mean) ** 2) ** 0.5
    second = mean + 2.5 * deviation / ((10.0 - mean) / deviation / 2.5)

    after = clipped("zclip", [*quiet, 10.0, 10.0])

    assert after[:25] == pytest.approx(quiet, rel=1e-12)
    assert after[25:] == pytest.approx([first, second], rel=1e-4)


def test_zclip_clips_nothing_while_it_warms_up() -> None:
    norms = [1.0] * 20 + [1000.0] * 5
    assert clipped("zclip", norms) == pytest.approx(norms, rel=1e-12)


def test_unitwise_clipping_measures_each_row_against_its_own_weights() -> None:
    p = torch.nn.Parameter(torch.tensor([[3.0, 4.0], [3.0, 4.0], [0.0, 0.0]], dtype=F64))
    p.grad = torch.tensor([[0.3, 0.4], [0.03, 0.03], [0.3, 0.4]], dtype=F64)

    parse("agc:0.01")([p])

    expected = torch.tensor([[0.03, 0.04], [0.03, 0.03], [0.6e-5, 0.8e-5]], dtype=F64)
    torch.testing.assert_close(p.grad, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("lr", "clip", "converges"),
    [(0.019, "none", True), (0.021, "none", False), (0.1, "norm:1", True), (0.5, "norm:1", True)],
)
def test_clipping_lets_a_step_size_converge_that_would_diverge(lr: float, clip: str, converges: bool) -> None:
    x, policy = torch.nn.Parameter(torch.tensor([10.0], dtype=F64)), parse(clip)
    for _ in range(2000):
        x.grad = x.detach() ** 3  # of x^4 / 4
        policy([x])
        with torch.no_grad():
            x -= lr * x.grad
        if not x.isfinite().all():
            break
    assert bool((x.abs() < 0.5).all()) == converges
