"""graddiag.nn against torch.nn: the same results and gradients from the same parameters, whatever the setting."""

import pytest
import torch

import graddiag
from graddiag.errors import UnsupportedError
from tests.nn.nets import Net, name, one_step, projection_warning, thinned

pytestmark = [projection_warning, pytest.mark.usefixtures("either_path")]

# of results; a gradient in float32 is a sum over timesteps that both homes round in their own order
RESULTS = {torch.float64: 1e-12, torch.float32: 1e-6}
GRADIENTS = {torch.float64: 1e-12, torch.float32: 4e-6}


@pytest.mark.parametrize("net", thinned(), ids=name)
def test_results_and_gradients_are_those_of_torch(net: Net) -> None:
    expected = one_step(net, net.build(torch.nn))
    found = one_step(net, net.build(graddiag.nn))

    assert torch.equal(found.pop("generator"), expected.pop("generator"))
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        bounds = GRADIENTS if key.startswith("gradient") else RESULTS
        bound = bounds[net.dtype] * max(1.0, value.abs().max().item())
        assert (found[key] - value).abs().max() <= bound, key


@pytest.mark.parametrize("net", [Net(kind, depth=(2, 0.4), given=True) for kind in ("rnn_tanh", "lstm", "gru")])
@pytest.mark.parametrize("mode", ["eval", "no_grad", "inference"])
def test_without_gradients_or_training(net: Net, mode: str) -> None:
    outputs = []
    for home in (torch.nn, graddiag.nn):
        module, (_, args) = net.build(home), net.inputs()
        torch.manual_seed(3)
        if mode == "eval":
            outputs.append(module.eval()(*args)[0])
        else:
            with torch.no_grad() if mode == "no_grad" else torch.inference_mode():
                outputs.append(module(*args)[0])

    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-12, atol=1e-12)
    assert outputs[1].requires_grad == (mode == "eval")


@pytest.mark.parametrize("kind", ["rnn_relu", "lstm", "gru"])
@pytest.mark.parametrize("frozen", ["weight_hh_l0", "bias_ih_l0", "all but x"])
def test_frozen_parameters_get_no_gradient_and_the_others_theirs(kind: str, frozen: str) -> None:
    found = []
    for home in (torch.nn, graddiag.nn):
        net = Net(kind)
        module, (leaves, args) = net.build(home), net.inputs()
        for key, p in module.named_parameters():
            p.requires_grad_(frozen not in (key, "all but x"))
        module(*args)[0].square().sum().backward()
        found.append({key: p.grad for key, p in module.named_parameters()} | {"x": leaves[0].grad})

    missing = {key for key, grad in found[1].items() if grad is None}
    assert missing == {key for key, grad in found[0].items() if grad is None}
    assert missing == ({frozen} if frozen != "all but x" else set(found[1]) - {"x"})
    for key in found[0].keys() - missing:
        torch.testing.assert_close(found[1][key], found[0][key], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "lstm_proj", "gru"])
@pytest.mark.parametrize("used", [0, 1, 2])
def test_a_loss_on_one_result_alone(kind: str, used: int) -> None:
    """Output, h_n or c_n; what the loss does not use brings None into the backward pass."""
    if used == 2 and not kind.startswith("lstm"):
        used = 1
    found = []
    for home in (torch.nn, graddiag.nn):
        net = Net(kind, depth=(2, 0.0), bidirectional=True, layout="unsorted", given=True)
        module, (leaves, args) = net.build(home), net.inputs()
        output, state = module(*args)
        (output.data, *(state if kind.startswith("lstm") else (state,)))[used].square().sum().backward()
        found.append([leaf.grad for leaf in leaves] + [p.grad for p in module.parameters()])

    for ours, torchs in zip(found[1], found[0], strict=True):
        zero = torch.zeros(())
        torch.testing.assert_close(
            zero if ours is None else ours, zero if torchs is None else torchs, rtol=1e-11, atol=1e-12
        )


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
def test_expanded_and_strided_inputs_and_gradients(kind: str) -> None:
    """Gradients that arrive expanded (a sum) or strided (a slice) and inputs with strides of their own."""
    found = []
    for home in (torch.nn, graddiag.nn):
        module = Net(kind).build(home)
        x = torch.linspace(-1, 1, 6 * 3).view(3, 6).t().double().unsqueeze(1).expand(6, 5, 3)
        output, _ = module(x)
        (output.sum() + output[::2, :, ::2].square().sum() + output.transpose(0, 2).cumsum(0).sum()).backward()
        found.append([output, *(p.grad for p in module.parameters())])
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["rnn_tanh", "rnn_relu", "lstm", "gru"])
def test_an_empty_batch_is_allowed(kind: str) -> None:
    for home in (torch.nn, graddiag.nn):
        module = Net(kind).build(home)
        output, _ = module(torch.zeros(3, 0, 3, dtype=torch.float64))
        output.sum().backward()
        assert output.shape == (3, 0, 4)
        assert not any(p.grad.any() for p in module.parameters())


@pytest.mark.parametrize("kind", ["rnn_tanh", "rnn_relu", "lstm", "gru"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_so_where_torch_has_it(kind: str, value: float) -> None:
    found = []
    for home in (torch.nn, graddiag.nn):
        net = Net(kind)
        module, (leaves, args) = net.build(home), net.inputs()
        with torch.no_grad():
            leaves[0][2, 1, 0] = value
        output, _ = module(*args)
        output.sum().backward()
        found.append([output.isfinite(), *(p.grad.isfinite() for p in module.parameters())])
    assert all(torch.equal(ours, torchs) for ours, torchs in zip(found[1], found[0], strict=True))


def test_a_second_derivative_is_refused() -> None:
    module = graddiag.nn.LSTM(3, 4)
    x = torch.randn(5, 2, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(module(x)[0].square().sum(), x, create_graph=True)
    with pytest.raises(UnsupportedError, match="no second derivative"):
        grad.sum().backward()


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
def test_a_graph_that_is_kept_can_be_walked_twice(kind: str) -> None:
    net = Net(kind, depth=(2, 0.0))
    module, (_, args) = net.build(graddiag.nn), net.inputs()
    loss = module(*args)[0].square().sum()
    loss.backward(retain_graph=True)
    once = [p.grad.clone() for p in module.parameters()]
    loss.backward()
    assert all(torch.equal(p.grad, 2 * first) for p, first in zip(module.parameters(), once, strict=True))
