"""Clip policies against torch's own clipping, bit for bit, and against known values."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from graddiag.clipping import AutoClip, ClipOutcome, parse
from graddiag.errors import SettingError


def parameter(*gradient: float, dtype: torch.dtype = torch.float64) -> nn.Parameter:
    result = nn.Parameter(torch.zeros(len(gradient), dtype=dtype))
    result.grad = torch.tensor(gradient, dtype=dtype)
    return result


def gradients_of(model: nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def trained_once(scale: float) -> nn.LSTM:
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 4, num_layers=2)
    output, _ = lstm(torch.randn(5, 2, 3))
    (scale * output.square().sum()).backward()
    return lstm


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("threshold", [0.05, 1.0, 40.0])
def test_norm_clipping_is_torchs_bit_for_bit(scale: float, threshold: float) -> None:
    ours, theirs = trained_once(scale), trained_once(scale)
    outcome = parse(f"norm:{threshold}")(ours.parameters())
    norm = clip_grad_norm_(theirs.parameters(), threshold)
    assert torch.equal(outcome.norm_before, norm)
    assert all(torch.equal(a, b) for a, b in zip(gradients_of(ours), gradients_of(theirs), strict=True))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_value_clipping_is_torchs_bit_for_bit(scale: float) -> None:
    ours, theirs = trained_once(scale), trained_once(scale)
    outcome = parse("value:0.5")(ours.parameters())
    norm_before = clip_grad_norm_(trained_once(scale).parameters(), math.inf)
    clip_grad_value_(theirs.parameters(), 0.5)
    norm_after = clip_grad_norm_(theirs.parameters(), math.inf)
    assert all(torch.equal(a, b) for a, b in zip(gradients_of(ours), gradients_of(theirs), strict=True))
    torch.testing.assert_close(outcome.norm_before, norm_before)
    torch.testing.assert_close(outcome.norm_after, norm_after)
    torch.testing.assert_close(outcome.coefficient, norm_after / norm_before)


def test_no_clipping_measures_and_leaves_every_bit() -> None:
    model = trained_once(1e3)
    before = gradients_of(model)
    outcome = parse("none")(model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(gradients_of(model), before, strict=True))
    assert torch.equal(outcome.norm_before, outcome.norm_after)
    assert outcome.coefficient == 1


def test_the_norm_after_is_c_n_over_n_plus_1e_6_and_below_c() -> None:
    p = parameter(3.0, 4.0)
    outcome = parse("norm:1")([p])
    assert outcome.norm_before.item() == 5.0
    assert outcome.norm_after.item() == pytest.approx(5 / (5 + 1e-6), rel=1e-15)
    assert outcome.coefficient.item() == pytest.approx(1 / (5 + 1e-6), rel=1e-15)
    assert outcome.norm_after.item() < 1
    assert torch.linalg.vector_norm(p.grad).item() == pytest.approx(outcome.norm_after.item(), rel=1e-12)


def test_a_norm_below_the_threshold_leaves_every_bit() -> None:
    p = parameter(0.3, 0.4, dtype=torch.float32)
    before = p.grad.clone()
    outcome = parse("norm:0.5000021")([p])
    assert torch.equal(p.grad, before)
    assert outcome.coefficient == 1


def test_one_inf_under_norm_clipping_is_nan_there_and_zero_elsewhere() -> None:
    p = parameter(3.0, math.inf, -2.0)
    outcome = parse("norm:1")([p])
    assert outcome.norm_before == math.inf
    assert p.grad[1].isnan()
    assert p.grad[[0, 2]].tolist() == [0.0, -0.0]
    assert outcome.nonfinite == 1
    assert outcome.norm_after.isnan()


def test_one_nan_under_norm_clipping_is_nan_everywhere() -> None:
    p = parameter(3.0, math.nan, -2.0)
    outcome = parse("norm:1")([p])
    assert p.grad.isnan().all()
    assert outcome.nonfinite == 1
    assert outcome.coefficient.isnan()


def test_value_clipping_keeps_nan_clamps_inf_and_counts_both() -> None:
    p = parameter(math.nan, -math.inf, 0.25)
    outcome = parse("value:1")([p])
    assert p.grad[0].isnan()
    assert p.grad[1:].tolist() == [-1.0, 0.25]
    assert outcome.nonfinite == 2


def test_value_clipping_changes_the_direction() -> None:
    p = parameter(3.0, 0.1)
    before = p.grad.clone()
    parse("value:1")([p])
    assert p.grad.tolist() == [1.0, 0.1]
    assert torch.cosine_similarity(before, p.grad, dim=0).item() == pytest.approx(0.9978, abs=5e-5)


@pytest.mark.parametrize("spec", ["none", "norm:1", "value:1", "auto:50", "agc:1", "zclip"])
def test_parameters_without_a_gradient_are_passed_over(spec: str) -> None:
    frozen = nn.Parameter(torch.zeros(2))
    outcome = parse(spec)([frozen, parameter(0.0, 0.0)])
    assert frozen.grad is None
    assert values(outcome) == (0.0, 0.0, 1.0, 0)
    assert values(parse(spec)([frozen])) == (0.0, 0.0, 1.0, 0)


def test_sum_loss_clip_5_lr_1_is_mean_loss_clip_a_twentieth_lr_20() -> None:
    gradient = torch.linspace(-3, 7, 11, dtype=torch.float64)
    summed, mean = parameter(*gradient), parameter(*(gradient / 20))
    parse("norm:5")([summed])
    parse("norm:0.25")([mean])
    torch.testing.assert_close(1 * summed.grad, 20 * mean.grad, rtol=1e-5, atol=0)


@pytest.mark.parametrize("fixed_step", [0.1, 0.5])
def test_on_a_quartic_clipping_lets_large_steps_converge(fixed_step: float) -> None:
    assert abs(descend_quartic(fixed_step, "norm:1")) < 1.0
    assert not abs(descend_quartic(fixed_step, "none")) < 10.0


def test_on_a_quartic_without_clipping_the_step_decides() -> None:
    assert abs(descend_quartic(0.019, "none")) < 2.0
    assert not abs(descend_quartic(0.021, "none")) < 10.0


def descend_quartic(step: float, clip: str) -> float:
    """x after 300 steps of gradient descent on x^4/4 from x = 10."""
    x = nn.Parameter(torch.tensor([10.0], dtype=torch.float64))
    policy, optimizer = parse(clip), torch.optim.SGD([x], lr=step)
    for _ in range(300):
        optimizer.zero_grad()
        (x**4 / 4).sum().backward()
        policy([x])
        optimizer.step()
    return x.item()


@pytest.mark.parametrize(
    "spec",
    ["none", "norm:1.0", "value:0.25", "norm:1e-08", "auto:10.0", "zclip", "agc:0.01", "layer:1.0", "adagc", "spam"],
)
def test_a_policy_writes_itself_as_its_spec(spec: str) -> None:
    assert str(parse(spec)) == spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "nrom:1",
            r"clip 'nrom:1': there is no policy 'nrom'; use one of none, norm:C, .*agc:C.*\.",
        ),
        (
            "",
            r"clip '': there is no policy ''; use one of none, norm:C, .*",
        ),
        ("norm", r"clip 'norm': norm needs a threshold, a number, and found nothing; write norm:1\.0, for example\."),
        (
            "value:x",
            r"clip 'value:x': value needs a threshold, a number, and found 'x'; write value:1\.0, for example\.",
        ),
        ("norm:-1", r"clip 'norm:-1': threshold must be positive and finite, found -1; write norm:1\.0"),
        ("norm:0", r"threshold must be positive and finite, found 0; .* or none to leave gradients as they are"),
        ("value:nan", r"threshold must be positive and finite, found nan"),
        ("norm:inf", r"threshold must be positive and finite, found inf"),
        ("auto:101", r"clip 'auto:101': percentile must be from 0 to 100, found 101; write auto:10, for example"),
        ("agc:0", r"clip 'agc:0': factor must be positive and finite, found 0; write agc:0\.01, for example"),
        ("zclip:2", r"clip 'zclip:2': the policy zclip takes nothing behind it; write zclip alone\."),
        ("none:1", r"clip 'none:1': the policy none takes nothing behind it; write none alone\."),
    ],
)
def test_a_spec_that_cannot_be_meant_is_refused(spec: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse(spec)


def outcomes(spec: str, norms: list[float]) -> list[ClipOutcome]:
    """What the policy does to gradients of these norms, one step after the other."""
    policy = parse(spec)
    return [policy([parameter(0.6 * norm, 0.8 * norm)]) for norm in norms]


NORMS = [3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0]


@pytest.mark.parametrize("percentile", [10.0, 50.0, 90.0])
def test_autoclip_clips_to_the_percentile_of_all_norms_so_far(percentile: float) -> None:
    for seen, outcome in enumerate(outcomes(f"auto:{percentile}", NORMS), start=1):
        threshold = float(np.percentile(NORMS[:seen], percentile))
        assert outcome.norm_after.item() == pytest.approx(min(NORMS[seen - 1], threshold), rel=1e-6)


def test_autoclip_at_100_never_clips_and_at_0_clips_to_the_running_minimum() -> None:
    assert all(outcome.coefficient == 1 for outcome in outcomes("auto:100", NORMS))
    after = [outcome.norm_after.item() for outcome in outcomes("auto:0", NORMS)]
    assert after == pytest.approx(np.minimum.accumulate(NORMS), rel=1e-6)


def test_autoclip_does_not_remember_what_is_not_finite() -> None:
    assert values(outcomes("auto:100", [1.0, math.inf, 5.0, math.nan, 4.0])[-1])[2] == 1.0
    with_nan, without = outcomes("auto:50", [1.0, math.nan, 3.0]), outcomes("auto:50", [1.0, 3.0])
    assert with_nan[-1].norm_after == without[-1].norm_after
    assert with_nan[1].nonfinite == 2


def test_autoclip_remembers_a_long_training() -> None:
    policy = AutoClip(50.0)
    for norm in range(1, 2101):
        outcome = policy([parameter(float(norm))])
    assert outcome.norm_after.item() == pytest.approx(1050.5, rel=1e-6)


def zclip_by_hand(norms: list[float]) -> list[float]:
    """The norms after ZClip, from its definition."""
    mean, variance = float(np.mean(norms[:25])), float(np.var(norms[:25]))
    after = norms[:25]
    for norm in norms[25:]:
        sigma = math.sqrt(variance)
        z = (norm - mean) / (sigma + 1e-6)
        kept = mean + 2.5 * sigma / (z / 2.5) if z > 2.5 else norm
        mean = 0.97 * mean + 0.03 * kept
        variance = 0.97 * variance + 0.03 * (kept - mean) ** 2
        after.append(kept)
    return after


def test_zclip_is_its_definition() -> None:
    norms = (1 + 0.2 * np.sin(np.arange(60.0))).tolist()
    norms[30], norms[40], norms[41] = 20.0, 3.0, 1.7
    seen = outcomes("zclip", norms)
    assert [outcome.norm_after.item() for outcome in seen] == pytest.approx(zclip_by_hand(norms), rel=1e-5)
    assert [step for step, outcome in enumerate(seen) if outcome.coefficient < 1] == [30, 40, 41]


def test_zclip_survives_what_is_not_finite() -> None:
    norms = (1 + 0.2 * np.sin(np.arange(60.0))).tolist()
    norms[3], norms[30] = math.nan, math.inf
    seen = outcomes("zclip", norms)
    assert seen[30].norm_after.isnan()
    assert all(outcome.coefficient == 1 for outcome in (*seen[:3], *seen[4:30], *seen[31:]))


def test_agc_shortens_each_row_to_its_share_of_the_weights() -> None:
    weight = nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 0.0], [30.0, 40.0]], dtype=torch.float64))
    weight.grad = torch.tensor([[0.6, 0.8], [0.0, 1.0], [0.3, 0.4]], dtype=torch.float64)
    bias = nn.Parameter(torch.tensor([0.6, 0.8], dtype=torch.float64))
    bias.grad = torch.tensor([0.0, 0.5], dtype=torch.float64)
    outcome = parse("agc:0.01")([weight, bias])
    expected = torch.tensor([[0.03, 0.04], [0.0, 1e-5], [0.3, 0.4]], dtype=torch.float64)
    torch.testing.assert_close(weight.grad, expected)
    torch.testing.assert_close(bias.grad, torch.tensor([0.0, 0.01], dtype=torch.float64))
    assert outcome.norm_before.item() == pytest.approx(math.sqrt(1 + 1 + 0.25 + 0.25))
    assert outcome.norm_after.item() == pytest.approx(math.sqrt(0.05**2 + 1e-10 + 0.25 + 1e-4))


def values(outcome: ClipOutcome) -> tuple[float, float, float, int]:
    return (
        outcome.norm_before.item(),
        outcome.norm_after.item(),
        outcome.coefficient.item(),
        int(outcome.nonfinite.item()),
    )


def test_the_cosine_is_that_of_the_gradients_before_and_after() -> None:
    """Clamping [3, .1] to 1 gives [1, .1]: the direction changes."""
    value = parse("value:1")([parameter(3.0, 0.1)]).cosine
    assert value is not None
    assert float(value) == pytest.approx(3.01 / (9.01 * 1.01) ** 0.5, rel=1e-12)
    unit = parse("agc:0.01")
    weight = nn.Parameter(torch.tensor([[3.0, 4.0], [3.0, 4.0]], dtype=torch.float64))
    weight.grad = torch.tensor([[0.6, 0.8], [0.0, 0.01]], dtype=torch.float64)
    turned = unit([weight]).cosine
    before, after = torch.tensor([0.6, 0.8, 0.0, 0.01]), torch.tensor([0.03, 0.04, 0.0, 0.01])
    assert turned is not None
    assert float(turned) == pytest.approx(float(torch.dot(before, after) / before.norm() / after.norm()), rel=1e-6)


def test_a_gradient_that_no_policy_touched_was_not_turned() -> None:
    for spec in ("value:5", "agc:1e9"):
        untouched = parse(spec)([parameter(3.0, 0.1)]).cosine
        assert untouched is not None
        assert float(untouched) == 1.0
    for spec in ("none", "norm:1.0", "auto:10", "zclip"):
        assert parse(spec)([parameter(3.0, 0.1)]).cosine is None


def test_the_cosine_of_no_gradient_and_of_nan() -> None:
    nothing = parse("value:1")([]).cosine
    assert nothing is not None
    assert float(nothing) == 1.0
    bad = parse("value:1")([parameter(float("nan"), 2.0)]).cosine
    assert bad is not None
    assert bad.isnan()


@pytest.mark.parametrize("p", [1.0, 3.0, math.inf])
def test_other_norms_are_torchs_bit_for_bit(p: float) -> None:
    ours, theirs = trained_once(10.0), trained_once(10.0)
    before = clip_grad_norm_(trained_once(10.0).parameters(), math.inf)
    outcome = parse(f"norm:0.5:{p}")(ours.parameters())
    clip_grad_norm_(theirs.parameters(), 0.5, norm_type=p)
    assert all(torch.equal(a, b) for a, b in zip(gradients_of(ours), gradients_of(theirs), strict=True))
    torch.testing.assert_close(outcome.norm_before, before)
    after = clip_grad_norm_(theirs.parameters(), math.inf)
    torch.testing.assert_close(outcome.norm_after, after)


def test_the_largest_entry_as_the_norm() -> None:
    """The norm of the largest entry."""
    p = parameter(3.0, 4.0)
    parse("norm:1:inf")([p])
    assert p.grad.tolist() == pytest.approx([0.75, 1.0], rel=1e-6)


def test_nan_becomes_zero_where_that_is_asked_for() -> None:
    """A NaN becomes 0, as in faster-rnnlm."""
    p = parameter(math.nan, 3.0, -math.inf, 0.5)
    outcome = parse("value:1:nan=0")([p])
    assert p.grad.tolist() == [0.0, 1.0, -1.0, 0.5]
    assert outcome.nonfinite == 2


@pytest.mark.parametrize(
    "spec", ["norm:1.0:inf", "norm:2.0:1.0", "value:1.0:nan=0", "bptt:15.0", "bptt:5.0:norm", "tbptt:20"]
)
def test_specs_with_more_behind_them_are_read_back(spec: str) -> None:
    assert str(parse(spec)) == spec
    assert parse(str(parse(spec))) == parse(spec)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("norm:1:0", r": order must be above 0, found 0"),
        ("norm:1:x", r"norm:1\.0 needs an order, a number, and found 'x'"),
        ("value:1:nan", r"found 'nan' behind the second colon, where there may be nan=0"),
        ("bptt:1:max", r"found 'max' behind the second colon, where there may be norm"),
        ("agc:0.1:2", r"found '2' behind the second colon, where there is nothing"),
        ("tbptt:2.5", r"window must be a whole number of timesteps, 1 or more, found 2\.5"),
        ("tbptt:inf", r"window must be a whole number"),
        ("tbptt:0", r"window must be a whole number"),
        ("bptt:-15", r"threshold must be positive and finite, found -15"),
    ],
)
def test_what_cannot_be_meant_behind_the_second_colon(spec: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        parse(spec)
