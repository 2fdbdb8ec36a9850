"""What a type cannot hold and what a policy inside of back-propagation does, against float64 and unrolled cells."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import graddiag
from graddiag import clipping, schema
from graddiag.analysis import Reach, clip_statistics, omega, reach, selections, truncation
from graddiag.run import Run
from graddiag.tracing.signals import signals
from tests.analysis.runs import LAYER, manifest, timesteps_frame

Loss = Callable[[torch.Tensor], torch.Tensor]


def last(output: torch.Tensor) -> torch.Tensor:
    return output[-1].square().mean()


def every(output: torch.Tensor) -> torch.Tensor:
    return output.square().mean()


def recorded(
    path: Path, module: torch.nn.Module, *, length: int, loss: Loss = last, clip: str = "none", steps: int = 1
) -> Run:
    """A run of the module as it is (learning rate 0), on noise of its type."""
    dtype = next(module.parameters()).dtype
    policy = clipping.parse(clip)
    clipping.attach(policy, module)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
    with graddiag.watch(module, optimizer, run="r", root=path, clip=clip) as recorder:
        for step in range(steps):
            torch.manual_seed(step)
            optimizer.zero_grad()
            loss(module(torch.randn(length, 4, 2).to(dtype))[0]).backward()
            policy(module.parameters())
            optimizer.step()
    return graddiag.load_run(recorder.path)


def carrying() -> torch.nn.Module:
    """A network that carries the gradient back as it is: its own gain is 1."""
    torch.manual_seed(0)
    module = graddiag.nn.RNN(2, 16, nonlinearity="identity").double()
    with torch.no_grad():
        torch.nn.init.orthogonal_(module.weight_hh_l0)
    return module


def only(run: Run) -> Reach:
    return reach(run, selections(run)[0])


def older(run: Run) -> Run:
    """The same as a run of schema 2 holds it: the gain includes the policy, and nothing is left out."""
    rows = run.timesteps
    gain = rows[schema.TRANSPORT_GAIN].astype(float) * rows[schema.PASSED].astype(float).fillna(1.0)
    rows = rows.drop(columns=schema.PASSED).assign(**{schema.TRANSPORT_GAIN: gain})
    return Run.from_frames(run.manifest.model_copy(update={"schema_version": 2}), timesteps=rows, steps=run.steps)


@pytest.mark.parametrize("length", [200, 400, 800])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_the_horizon_of_float32_is_that_of_float64(tmp_path: Path, kind: str, length: int) -> None:
    """Gains of a gradient below the smallest normal number of its type are no measurement."""
    found = []
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(0)
        module = getattr(torch.nn, kind)(2, 32).to(dtype)
        found.append(only(recorded(tmp_path / str(dtype), module, length=length)))
    narrow, wide = found
    assert narrow.horizon == pytest.approx(wide.horizon, rel=0.025)
    assert wide.underflowed_gains == 0
    assert narrow.n_gains + narrow.underflowed_gains == length - 1
    assert narrow.underflowed_gains > 0
    assert narrow.underflow_timestep == narrow.underflowed_gains
    assert f"underflows in float32 at timestep {narrow.underflow_timestep}" in narrow.caption


def test_omega_leaves_out_what_underflows(tmp_path: Path) -> None:
    found = []
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(0)
        run = recorded(tmp_path / str(dtype), torch.nn.LSTM(2, 32).to(dtype), length=400)
        found.append(omega(run, selections(run)[0]))
    assert found[0].usual == pytest.approx(found[1].usual, rel=0.02)
    assert found[0].underflowed_gains + found[0].n_terms == 399
    assert "left out, since the gradient underflows" in found[0].caption


def test_an_older_run_is_read_the_same_way() -> None:
    """Of schema 2: gains near 1 of a gradient that sticks at 1e-45 are no measurement."""
    total = np.maximum(0.5 ** np.arange(299, -1, -1.0), 2.0**-149)
    gain = np.concatenate([[1.0], total[:-1] / total[1:]])
    columns = {schema.TRANSPORT_GAIN: [gain], schema.GRAD_H: [total], schema.GRAD_H_DIRECT: [[0.0] * 299 + [1.0]]}
    for dtype, horizon in (("float32", 1 / math.log(2)), ("float64", None)):
        about = manifest(schema_version=2, environment={"dtype": dtype})
        found = reach(Run.from_frames(about, timesteps=timesteps_frame(columns)), LAYER)
        assert (found.underflowed_gains > 0) is (horizon is not None)
        assert horizon is None or found.horizon == pytest.approx(horizon)


def test_a_window_is_named_as_what_ends_back_propagation(tmp_path: Path) -> None:
    run = recorded(tmp_path, carrying(), length=30, clip="tbptt:10")
    for each in (run, older(run)):
        (layer,) = selections(each)
        cut, found = truncation(each, layer), reach(each, layer)
        assert (cut.cut_timestep, cut.cut_by, cut.policy_window, cut.longest) == (20, "tbptt:10", 10, 10)
        assert "No gradient goes back beyond timestep 20" in cut.caption
        assert "tbptt:10 cuts it off" in cut.caption
        assert found.inside is not None
        assert (found.inside.cuts, found.inside.window, found.inside.makes_vanishing) == (1, 10, True)
        assert found.zero_gains == 0
        assert found.n_gains == 9
        assert found.over_sequence is not None
        assert found.over_sequence.covers is False
        assert found.inside.arriving == pytest.approx(1.0, rel=1e-5)
        assert "not the network" in found.inside.sentence


def test_a_window_over_a_network_that_fades_by_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = graddiag.nn.GRU(2, 16)
    found = only(recorded(tmp_path, module, length=30, clip="tbptt:10")).inside
    assert found is not None
    assert found.exponent is not None
    assert found.arriving == pytest.approx(math.exp(29 * found.exponent), rel=1e-6)
    assert found.makes_vanishing is False


def test_a_window_with_a_loss_at_every_timestep(tmp_path: Path) -> None:
    torch.manual_seed(0)
    run = recorded(tmp_path, graddiag.nn.GRU(2, 16), length=30, loss=every, clip="tbptt:10")
    cut, found = truncation(run, selections(run)[0]), only(run)
    assert (cut.cut, cut.windowed, cut.longest) == (False, True, 10)
    assert "tbptt:10 cuts back-propagation every 10 timesteps" in cut.caption
    assert found.inside is not None
    assert found.inside.cuts == 2
    assert found.inside.makes_vanishing is False


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_clamp_is_kept_apart_from_the_networks_own_gain(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    module = getattr(graddiag.nn, kind)(2, 8).double()
    with torch.no_grad():
        module.weight_hh_l0 *= 2
    free, run = (recorded(tmp_path / c[:4], module, length=20, clip=c) for c in ("none", "bptt:1e-5"))
    rows, plain = run.timesteps, free.timesteps
    gain, kept = (rows[name].to_numpy(dtype=float) for name in (schema.TRANSPORT_GAIN, schema.PASSED))
    # at the last timestep the gradient is the same with and without the clamp
    assert gain[-1] == pytest.approx(plain[schema.TRANSPORT_GAIN].iloc[-1], rel=1e-6)
    assert plain[schema.PASSED].isna().all()
    if kind != "LSTM":  # nothing is added on the way: what arrives is gain x passed, timestep by timestep
        total = rows[schema.GRAD_H].to_numpy(dtype=float)
        np.testing.assert_allclose(total[:-1] / total[1:], (gain * kept)[1:], rtol=1e-5)
    found = only(run)
    assert found.inside is not None
    assert found.inside.acted_share == pytest.approx((kept[1:] < 1 - 1e-6).mean())
    assert found.inside.exponent == pytest.approx(np.log(gain[1:]).mean())
    assert found.exponent == pytest.approx(np.log((gain * kept)[1:]).mean())


def test_a_clamp_that_makes_the_gradient_vanish_is_named(tmp_path: Path) -> None:
    run = recorded(tmp_path, carrying(), length=20, clip="bptt:1e-9")
    found = only(run)
    assert found.inside is not None
    assert found.inside.makes_vanishing is True
    assert found.inside.arriving == pytest.approx(1.0, rel=1e-6)
    assert found.arriving_by_step[0] < 1e-5
    assert "The policy makes the gradient vanish, not the network." in found.caption
    unknown = only(older(run)).inside
    assert unknown is not None
    assert (unknown.makes_vanishing, unknown.acted_share, unknown.exponent) == (None, None, None)
    assert "was not recorded" in unknown.sentence


def test_a_network_that_fades_by_itself_is_not_blamed_on_the_clamp(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = graddiag.nn.RNN(2, 16).double()
    with torch.no_grad():
        module.weight_hh_l0 *= 0.1
    found = only(recorded(tmp_path, module, length=30, clip="bptt:1e-3")).inside
    assert found is not None
    assert found.makes_vanishing is False


def test_what_a_policy_inside_did_is_not_read_off_the_norms(tmp_path: Path) -> None:
    torch.manual_seed(0)
    run = recorded(tmp_path, graddiag.nn.RNN(2, 8), length=10, clip="bptt:1e-6", steps=3)
    found = clip_statistics(run)
    assert (found.inside, found.role, found.clipped_share, found.clipped_steps) == (True, None, None, 0)
    assert "acts inside of back-propagation" in found.caption
    assert "never engaged" not in found.caption


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_calls_that_carry_on_from_one_another_are_one_sequence_under_a_clamp(kind: str) -> None:
    torch.manual_seed(0)
    module = getattr(graddiag.nn, kind)(2, 4).double()
    clipping.attach(clipping.parse("bptt:1e-3"), module)
    x, found = torch.randn(6, 3, 2).double(), []
    for parts in (1, 3):
        state = None
        with graddiag.capture(module) as cap:
            for part in x.chunk(parts):
                output, state = module(part, state)
            output[-1].square().sum().backward()
        found.append(signals(cap.trace()).timesteps)
    for name in (schema.TRANSPORT_GAIN, schema.PASSED, schema.GRAD_H):
        torch.testing.assert_close(found[1][name], found[0][name], rtol=1e-10, atol=0)
