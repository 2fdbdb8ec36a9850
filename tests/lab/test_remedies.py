"""h-detach against an LSTM cell unrolled under autograd whose h is detached before the gates; and other arms."""

from pathlib import Path
from typing import Any

import pytest
import torch

import graddiag
from graddiag import clipping
from graddiag.cli.options import arm_of
from graddiag.errors import SettingError
from graddiag.lab import Plan, train, training_spec
from graddiag.lab.remedies import detach_h

T, N, I, H = 8, 3, 2, 4
F64 = torch.float64


def lstm() -> graddiag.nn.LSTM:
    torch.manual_seed(0)
    return graddiag.nn.LSTM(I, H, dtype=F64)


def test_at_every_timestep_the_cell_path_is_all_there_is() -> None:
    """The cell path alone: dc_{t-1} = dc_t f_t, exactly."""
    module = lstm()
    detach_h(module, 1.0)
    with graddiag.capture(module) as cap:
        module(torch.randn(T, N, I, dtype=F64))[0][-1].sum().backward()
    trace = cap.traces[0]
    torch.testing.assert_close(trace.grad_c[:-1], trace.grad_c[1:] * trace.gates["f"][1:], rtol=1e-12, atol=0)
    assert trace.grad_h[:-1].eq(0).all()


@pytest.mark.parametrize("clip", ["none", "bptt:0.01"])
def test_now_and_then_it_is_a_detached_state_at_those_timesteps(clip: str) -> None:
    module, x = lstm(), torch.randn(T, N, I, dtype=F64)
    clipping.attach(clipping.parse(clip), module)
    detach_h(module, 0.5)
    torch.manual_seed(7)
    module(x)[0].pow(2).sum().backward()

    torch.manual_seed(7)
    cut = dict(zip(range(T - 1, -1, -1), (torch.rand(T) < 0.5).tolist(), strict=True))
    assert 0 < sum(cut.values()) < T
    weights = [p.detach().clone().requires_grad_() for p in module.parameters()]
    h = c = torch.zeros(N, H, dtype=F64)
    outputs = []
    for t, x_t in enumerate(x):
        if t:
            h, c = h.detach() if cut[t] else h.clone(), c.clone()
            if clip != "none":
                for state in (h, c):
                    if state.requires_grad:
                        state.register_hook(lambda g: g.clamp(-0.01, 0.01))
        h, c = torch.lstm_cell(x_t, (h, c), *weights)
        outputs.append(h)
    torch.stack(outputs).pow(2).sum().backward()
    for mine, theirs in zip(module.parameters(), weights, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-10, atol=1e-12)


def test_as_an_arm(tmp_path: Path) -> None:
    spec = training_spec("recall", "lstm", h_detach=1.0, steps=2, length=6, batch=3, hidden=4, every=1)
    run = graddiag.load_run(train(Plan(spec, "cut"), tmp_path).path)
    rows = run.timesteps[run.timesteps.step == 0].set_index("timestep")
    assert (rows.grad_h.loc[:5] == 0).all()
    assert (rows.grad_c > 0).all()
    with pytest.raises(SettingError, match=r"h_detach 0\.5: only a model 'lstm' has a cell path"):
        training_spec("recall", "gru", h_detach=0.5)


SMALL: dict[str, Any] = {"steps": 3, "length": 8, "batch": 3, "hidden": 4, "every": 1}


@pytest.mark.parametrize(
    "settings",
    [
        {"omega": 2.0},
        {"omega": 2.0, "omega_form": "norm", "layers": 2, "nonlinearity": "relu"},
        {"layer_norm": True},
        {"residual": True, "omega": 0.5},
        {"residual": True, "layer_norm": True, "nonlinearity": "truncated-relu", "init": "identity"},
    ],
    ids=str,
)
def test_remedies_of_an_rnn_as_arms(settings: dict[str, Any], tmp_path: Path) -> None:
    run = graddiag.load_run(train(Plan(training_spec("recall", "rnn", **SMALL, **settings), "arm"), tmp_path).path)
    assert run.manifest.status == "finished"
    assert run.steps.grad_norm.gt(0).all()
    assert ("omega" in run.steps) == ("omega" in settings)
    if "omega" in settings:
        assert run.steps.omega.gt(0).all()
    gains = run.parameters[run.parameters.parameter.str.contains("weight_ln") & (run.parameters.step == 0)]
    assert gains.weight_norm.tolist() == ([2.0] if settings.get("layer_norm") else [])


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        ("lstm", {"omega": 2.0}, r"omega 2: it is for a model 'rnn', not one 'lstm'"),
        ("rnn", {"omega": 2.0, "layer_norm": True}, r"omega 2: it is for a model 'rnn', not one with layer_norm"),
        ("rnn", {"omega_form": "norm"}, r"omega_form norm: it says which Omega; give its weight too"),
        ("gru", {"layer_norm": True}, r"layer_norm: it is for a model 'rnn', not for 'gru'"),
        ("lstm", {"residual": True}, r"residual: it is for a model 'rnn', not for 'lstm'"),
    ],
)
def test_what_a_model_cannot_have_is_refused_by_name(model: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        training_spec("recall", model, **settings)


def test_arms_of_the_command_line() -> None:
    changed = [arm_of("omega=2,omega-form=norm"), arm_of("layer-norm=true,residual=true"), arm_of("look-every=5")]
    omega, both, looked = (training_spec("recall", "rnn", **each) for each in changed)
    assert (omega.omega, omega.omega_form) == (2.0, "norm")
    assert (both.layer_norm, both.residual) == (True, True)
    assert looked.try_thresholds_every == 5
