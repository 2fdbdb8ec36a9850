"""h-detach against an LSTM cell unrolled under autograd whose h is detached before the gates."""

from pathlib import Path

import pytest
import torch

import graddiag
from graddiag import clipping
from graddiag.errors import SettingError
from graddiag.lab import Plan, train, training_spec
from graddiag.lab.remedies import detach_h

T, N, I, H = 8, 3, 2, 4
F64 = torch.float64


def lstm() -> graddiag.nn.LSTM:
    torch.manual_seed(0)
    return graddiag.nn.LSTM(I, H, dtype=F64)


def test_at_every_timestep_the_cell_path_is_all_there_is() -> None:
    """FACTS 8."""
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
