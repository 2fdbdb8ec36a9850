"""Copies of a model that is being captured: pickle, deepcopy and state_dict work as before and copy no hook along."""

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

import graddiag
from tests.tracing.models import HOMES, Stack, batch

either_home = pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)


def saved(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@either_home
@pytest.mark.parametrize("way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), saved])
def test_a_copy_made_meanwhile_is_not_captured(home: ModuleType, way: object) -> None:
    model = Stack(home)
    with graddiag.capture(model) as cap:
        same = way(model)
        expected = model(batch())
        found = same(batch())
        found.square().sum().backward()

    assert torch.equal(found, expected)
    assert all(trace.grad_h is None for trace in cap.traces)
    assert {trace.call for trace in cap.traces} == {0}
    with graddiag.capture(same) as cap:
        same(batch()).square().sum().backward()
    assert all(trace.grad_h is not None for trace in cap.traces)


@either_home
def test_state_dict_is_the_same_meanwhile(home: ModuleType) -> None:
    model = Stack(home)
    keys = list(model.state_dict())
    with graddiag.capture(model):
        assert list(model.state_dict()) == keys
        model.load_state_dict(Stack(home).state_dict())


@either_home
def test_parametrised_weights(home: ModuleType) -> None:
    """weight_norm: the gradient at the recurrent weight is that of the computed weight."""
    torch.manual_seed(0)
    rnn = home.LSTM(3, 5, dtype=torch.float64)
    nn.utils.parametrizations.weight_norm(rnn, "weight_hh_l0")
    with graddiag.capture(rnn) as cap:
        rnn(batch())[0].square().sum().backward()
    found = cap.trace()
    expected = [p.grad.clone() for p in rnn.parameters()]
    rnn.zero_grad()
    rnn(batch())[0].square().sum().backward()
    assert all(torch.equal(p.grad, value) for p, value in zip(rnn.parameters(), expected, strict=True))

    plain = home.LSTM(3, 5, dtype=torch.float64)
    with torch.no_grad():
        for name, p in plain.named_parameters():
            p.copy_(getattr(rnn, name))
    with graddiag.capture(plain) as cap:
        plain(batch())[0].square().sum().backward()
    torch.testing.assert_close(found.grad_a, cap.trace().grad_a, rtol=1e-12, atol=1e-14)


@either_home
def test_weights_that_two_modules_share(home: ModuleType) -> None:
    model = Stack(home, "GRU")
    model.decoder.weight_hh_l0 = model.encoder["rnn"].weight_hh_l1
    with graddiag.capture(model) as cap:
        model(batch()).square().sum().backward()

    def contribution(trace: graddiag.Trace) -> torch.Tensor:
        return trace.grad_a_hh.flatten(0, 1).T @ trace.before(trace.h, trace.h0).flatten(0, 1)

    both = contribution(cap.trace("decoder")) + contribution(cap.trace("encoder.rnn", layer=1))
    torch.testing.assert_close(model.decoder.weight_hh_l0.grad, both, rtol=1e-11, atol=1e-13)


@either_home
def test_one_module_under_two_names_is_one_module(home: ModuleType) -> None:
    rnn = home.RNN(3, 3, dtype=torch.float64)
    model = nn.ModuleList([rnn, rnn])
    with graddiag.capture(model) as cap:
        output = batch()
        for layer in model:
            output, _ = layer(output)
        output.sum().backward()
    assert [(trace.module, trace.call) for trace in cap.traces] == [("0", 0), ("0", 1)]


LOADS = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "graddiag":
            raise ImportError("graddiag is not installed here")

sys.meta_path.insert(0, Missing())
import torch
for path in sys.argv[1:]:
    found = torch.load(path, weights_only=False)
    model = found["model"]
    for _ in range(2):
        out = model(torch.randn(4, 2, 3))
        (out[0] if isinstance(out, tuple) else out).square().mean().backward()
assert "graddiag" not in sys.modules
print("loaded")
"""


def test_what_is_pickled_meanwhile_loads_where_graddiag_is_not_installed(tmp_path: Path) -> None:
    """A model, a deep copy of it, an average of its weights; with its optimizer, schedule and scaler."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.GRU(3, 4))
    optimizer = torch.optim.Adam(model.parameters())
    scaler = torch.amp.GradScaler("cpu")
    paths = []
    with graddiag.watch(model, optimizer, run="r", root=tmp_path / "runs", scaler=scaler):
        for step in range(2):
            optimizer.zero_grad()
            scaler.scale(model(batch().float())[0].square().mean()).backward()
            scaler.step(optimizer)
            scaler.update()
            average = torch.optim.swa_utils.AveragedModel(model)
            for name, each in {"model": model, "copy": copy.deepcopy(model), "average": average}.items():
                paths.append(tmp_path / f"{name}-{step}.pt")
                torch.save({"model": each, "optimizer": optimizer, "scaler": scaler}, paths[-1])
    ended = subprocess.run(
        [sys.executable, "-c", LOADS, *map(str, paths)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.stdout.strip() == "loaded", ended.stderr[-2000:]
