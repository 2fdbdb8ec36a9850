"""What is tried is what the step would have been, to the bit; and a run that is looked at goes on as if it were not."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import clipping, schema
from graddiag.errors import SettingError

I, H, T, N = 3, 5, 6, 4

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "momentum": lambda p: torch.optim.SGD(p, lr=0.5, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.05, amsgrad=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.02, momentum=0.5, centered=True),
}


class Net(nn.Module):
    """Dropout, batch norm (buffers that a forward pass changes), and both kinds of recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fused = nn.LSTM(I, H, num_layers=2, dropout=0.3)
        self.norm = nn.BatchNorm1d(H)
        self.rnn = graddiag.nn.RNN(H, H)
        self.dropout = nn.Dropout(0.4)
        self.head = nn.Linear(H, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.fused(x)[0].flatten(0, 1)).view(len(x), -1, H)
        return self.head(self.dropout(self.rnn(hidden)[0][-1])).squeeze(-1)


def train(root: Path, name: str, optimizer: str, look: bool, steps: int = 20) -> tuple[Net, Any, graddiag.Run, Tensor]:
    torch.manual_seed(0)
    net = Net()
    opt = OPTIMIZERS[optimizer](net.parameters())
    schedule = torch.optim.lr_scheduler.StepLR(opt, 7, 0.5)
    with graddiag.watch(
        net, opt, run=name, root=root, every=2, snapshot_every=4, clip="norm:0.3", loss_reduction="mean"
    ) as recorder:
        for step in range(steps):
            x, y = torch.randn(T, N, I), torch.randn(N)
            opt.zero_grad()
            loss = (net(x) - y).square().mean()
            loss.backward()
            if look and step % 3 == 0:
                recorder.try_thresholds(lambda x=x, y=y: (net(x) - y).square().mean())
            nn.utils.clip_grad_norm_(net.parameters(), 0.3)
            recorder.log(loss=loss)
            opt.step()
            schedule.step()
    return net, opt, graddiag.load_run(recorder.path), torch.get_rng_state()


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_looking_changes_not_a_bit(optimizer: str, tmp_path: Path) -> None:
    net, opt, run, chance = train(tmp_path, "plain", optimizer, look=False)
    looked_net, looked_opt, looked_run, looked_chance = train(tmp_path, "looked", optimizer, look=True)
    for name, value in net.state_dict().items():
        assert torch.equal(value, looked_net.state_dict()[name]), name
    for one, other in zip(net.parameters(), looked_net.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
        for key, state in opt.state[one].items():
            assert torch.equal(torch.as_tensor(state), torch.as_tensor(looked_opt.state[other][key])), key
    assert opt.param_groups[0]["lr"] == looked_opt.param_groups[0]["lr"]
    assert torch.equal(chance, looked_chance)

    for table in schema.TABLES:
        if table == schema.TABLE_COUNTERFACTUALS:
            continue
        one, other = run.read(table), looked_run.read(table)
        columns = [column for column in one if column != schema.WALL_TIME]
        pd.testing.assert_frame_equal(one[columns], other[columns], check_exact=True)
    assert run.credit.size > 0
    assert run.counterfactuals.empty
    assert looked_run.counterfactuals[schema.STEP].unique().tolist() == [0, 3, 6, 9, 12, 15, 18]


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
@pytest.mark.parametrize("threshold", [0.05, 1e6, None])
def test_what_is_tried_is_what_the_step_comes_to(optimizer: str, threshold: float | None) -> None:
    """After a few steps, so that momentum is there; dropout is drawn as at the time of looking."""
    torch.manual_seed(1)
    net = Net()
    opt = OPTIMIZERS[optimizer](net.parameters())
    for _ in range(3):
        x, y = torch.randn(T, N, I), torch.randn(N)
        opt.zero_grad()
        (net(x) - y).square().mean().backward()
        opt.step()
    x, y = torch.randn(T, N, I), torch.randn(N)
    opt.zero_grad()
    (net(x) - y).square().mean().backward()
    looked = clipping.counterfactual(net, opt, lambda: (net(x) - y).square().mean(), [threshold or 1.0])
    chance = torch.get_rng_state()

    with torch.no_grad():
        assert looked.loss_before == (copy.deepcopy(net)(x) - y).square().mean().item()
        torch.set_rng_state(chance)
    norm = float(clipping.parse("none" if threshold is None else f"norm:{threshold}")(net.parameters()).norm_before)
    opt.step()
    torch.set_rng_state(chance)
    with torch.no_grad():
        after = (net(x) - y).square().mean().item()
    tried = looked.tried[-1] if threshold is None else looked.tried[0]
    assert tried.threshold == threshold
    assert looked.norm == norm
    assert tried.loss_after == after
    assert tried.coefficient == (1 if threshold is None else pytest.approx(min(1, threshold / (norm + 1e-6))))


def quadratic(start: float) -> tuple[nn.Module, torch.optim.Optimizer, Callable[[], Tensor]]:
    """f = x^4 / 4 by plain SGD at lr .1."""
    model = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    nn.init.constant_(model.weight, start)
    return model, torch.optim.SGD(model.parameters(), lr=0.1), lambda: (model.weight**4 / 4).sum()


def test_by_hand() -> None:
    model, opt, loss = quadratic(10.0)
    loss().backward()
    looked = clipping.counterfactual(model, opt, loss, [2.0, 1.0])
    assert (looked.norm, looked.loss_before) == (1000.0, 2500.0)
    assert [each.threshold for each in looked.tried] == [1.0, 2.0, None]
    expected = [(10 - 0.1 * c) ** 4 / 4 for c in (1.0, 2.0, 1000.0)]
    assert [each.loss_after for each in looked.tried] == pytest.approx(expected, rel=1e-8)
    assert [each.coefficient for each in looked.tried] == pytest.approx([0.001, 0.002, 1.0], rel=1e-8)


def test_the_ladder_is_parts_of_the_norm_and_the_threshold_of_the_run_is_on_it() -> None:
    model, opt, loss = quadratic(10.0)
    loss().backward()
    looked = clipping.counterfactual(model, opt, loss, own=7.0)
    assert [each.threshold for each in looked.tried] == [7.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, None]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_and_inf_are_told_and_leave_the_parameters_alone(bad: float) -> None:
    model, opt, loss = quadratic(10.0)
    loss().backward()
    model.weight.grad.fill_(bad)
    looked = clipping.counterfactual(model, opt, loss, [1.0])
    assert not math.isfinite(looked.norm)
    assert looked.loss_before == 2500.0
    assert not any(math.isfinite(each.loss_after) for each in looked.tried)
    assert model.weight.item() == 10.0
    assert [each.threshold for each in clipping.counterfactual(model, opt, loss).tried] == [None]


def test_parameters_of_the_optimizer_that_are_not_the_models_move_as_they_would() -> None:
    model, _, _ = quadratic(10.0)
    other = nn.Parameter(torch.tensor([3.0], dtype=torch.float64))
    opt = torch.optim.SGD([*model.parameters(), other], lr=0.1)

    def loss() -> Tensor:
        return (model.weight**4 / 4).sum() + other.square().sum()

    loss().backward()
    looked = clipping.counterfactual(model, opt, loss, [1.0])
    assert looked.norm == 1000.0
    assert looked.tried[0].loss_after == pytest.approx((10 - 0.1) ** 4 / 4 + (3 - 0.6) ** 2, rel=1e-8)
    assert other.item() == 3.0


def test_everything_is_put_back_when_the_loss_fails() -> None:
    torch.manual_seed(0)
    net = Net()
    opt = torch.optim.SGD(net.parameters(), lr=1.0)
    net(torch.randn(T, N, I)).sum().backward()
    state, chance = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    calls = []

    def loss() -> Tensor:
        calls.append(net(torch.randn(T, N, I)))
        if len(calls) == 3:
            raise RuntimeError("no batch left")
        return calls[-1].sum()

    with pytest.raises(RuntimeError, match="no batch left"):
        clipping.counterfactual(net, opt, loss)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), chance)


def test_refusals(tmp_path: Path) -> None:
    model, opt, loss = quadratic(10.0)
    with pytest.raises(SettingError, match=r"no parameter of the model has a gradient; call it after loss\.backward"):
        clipping.counterfactual(model, opt, loss)
    loss().backward()
    with pytest.raises(SettingError, match=r"threshold 0\.0: it must be positive and finite"):
        clipping.counterfactual(model, opt, loss, [0.0])
    with pytest.raises(SettingError, match="LBFGS makes many passes"):
        clipping.counterfactual(model, torch.optim.LBFGS(model.parameters()), loss)
    with graddiag.watch(model, run="none", root=tmp_path, cells=()) as recorder:
        with pytest.raises(
            SettingError, match=r"try_thresholds\(\): it tries the update of one optimizer, and this run watches none"
        ):
            recorder.try_thresholds(loss)
        recorder.step()


def test_a_gradient_that_was_clipped_already_is_refused(tmp_path: Path) -> None:
    model, opt, loss = quadratic(10.0)
    with graddiag.watch(model, opt, run="late", root=tmp_path, cells=()) as recorder:
        loss().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        with pytest.raises(SettingError, match=r"was 1e\+03 after backward\(\) and is now 1\. Call it before clipping"):
            recorder.try_thresholds(loss)
        opt.step()


def test_a_scaled_gradient_is_refused(tmp_path: Path) -> None:
    model, opt, loss = quadratic(10.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    with graddiag.watch(model, opt, run="amp", root=tmp_path, cells=(), scaler=scaler) as recorder:
        scaler.scale(loss()).backward()
        with pytest.raises(SettingError, match=r"try_thresholds\(\): the gradients carry a GradScaler's scale"):
            recorder.try_thresholds(loss)
        scaler.step(opt)
        scaler.update()


def test_rows_of_the_table(tmp_path: Path) -> None:
    model, opt, loss = quadratic(10.0)
    with graddiag.watch(model, opt, run="rows", root=tmp_path, cells=(), clip="norm:1.0", every=5) as recorder:
        for _ in range(3):
            opt.zero_grad()
            loss().backward()
            looked = recorder.try_thresholds(loss, [0.5])
            clipping.parse("norm:1.0")(model.parameters())
            opt.step()
    rows = graddiag.load_run(recorder.path).counterfactuals
    assert rows[schema.STEP].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert rows[schema.INDEX].tolist() == [0, 1, 2] * 3
    assert rows[schema.THRESHOLD].isna().tolist() == [False, False, True] * 3
    assert rows[schema.THRESHOLD].to_numpy(dtype=float, na_value=np.nan)[:2].tolist() == [0.5, 1.0]
    assert rows[schema.LOSS_AFTER].tolist()[-3:] == [each.loss_after for each in looked.tried]
    assert rows[schema.LOSS_BEFORE].iloc[3] == rows[schema.LOSS_AFTER].iloc[1]  # the step was the one with norm:1
