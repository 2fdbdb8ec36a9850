"""The inputs of torch's own module tests, through graddiag.nn and through capture."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

import graddiag
from tests.nn.nets import projection_warning, states_of, weighted_sum

pytestmark = projection_warning
Case = tuple[type[torch.nn.RNNBase], dict[str, Any], tuple[Any, ...]]


def cases(name: str) -> list[Case]:
    """Class, constructor arguments and forward arguments of each of torch's inputs; float64, with gradients."""
    modules = pytest.importorskip("torch.testing._internal.common_modules", reason="needs expecttest")
    info = next(entry for entry in modules.module_db if entry.module_cls is getattr(torch.nn, name))
    made = info.module_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=True, training=True)
    return [(info.module_cls, _settings(each.constructor_input), each.forward_input.args) for each in made]


def _settings(given: Any) -> dict[str, Any]:
    """Torch gives its cells their sizes by position."""
    return dict(zip(("input_size", "hidden_size"), given.args, strict=False)) | given.kwargs


def all_of(module: torch.nn.RNNBase, args: Any) -> dict[str, Tensor]:
    args = copy.deepcopy(args)
    output, state = module(*args)
    finals = states_of(module, state)
    weighted_sum([output, *finals]).backward()
    leaves = [args[0], *(args[1] if isinstance(args[1], tuple) else args[1:])] if len(args) > 1 else [args[0]]
    found = {"output": output, **{f"final {k}": final for k, final in enumerate(finals)}}
    found |= {f"leaf {k}": leaf.grad for k, leaf in enumerate(leaves)}
    return found | {f"gradient of {name}": p.grad.clone() for name, p in module.named_parameters()}


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_graddiag_nn(name: str) -> None:
    for cls, settings, args in cases(name):
        torchs = cls(**settings, dtype=torch.float64)
        ours = getattr(graddiag.nn, name)(**settings, dtype=torch.float64)
        ours.load_state_dict(torchs.state_dict())
        torch.testing.assert_close(all_of(ours, args), all_of(torchs, args), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_capture_of_torch_nn(name: str) -> None:
    for cls, settings, args in cases(name):
        module = cls(**settings, dtype=torch.float64)
        expected = all_of(module, args)
        module.zero_grad()
        with graddiag.capture(module) as cap:
            found = all_of(module, args)
        assert all(torch.equal(found[key], value) for key, value in expected.items())
        assert len(cap.traces) == settings["num_layers"] * (2 if settings["bidirectional"] else 1)
        assert all(trace.grad_h is not None for trace in cap.traces)


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_capture_of_torchs_cells(name: str) -> None:
    for cls, settings, args in cases(name):
        module = cls(**settings, dtype=torch.float64)

        def grads(module: torch.nn.Module = module, args: Any = args) -> list[Tensor]:
            module.zero_grad()
            state = module(*args)
            weighted_sum([*state] if isinstance(state, tuple) else [state]).backward()
            return [p.grad.clone() for p in module.parameters()]

        expected = grads()
        with graddiag.capture(module) as cap:
            found = grads()
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        assert [len(trace.h) for trace in cap.traces] == [1]
        assert cap.trace().grad_h.any()
