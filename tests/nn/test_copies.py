"""graddiag.nn's modules are torch.nn's in all that is done with a module: saved, loaded, copied, moved, printed."""

import copy
import inspect
import io
import pickle

import pytest
import torch

import graddiag
from tests.nn.nets import KINDS, Net, one_step, projection_warning

pytestmark = projection_warning
NETS = [Net(kind, depth=(2, 0.0), bidirectional=True, bias=kind != "gru") for kind in KINDS]
by_kind = pytest.mark.parametrize("net", NETS, ids=KINDS)


@by_kind
@pytest.mark.parametrize(("source", "target"), [(torch.nn, graddiag.nn), (graddiag.nn, torch.nn)])
def test_state_dict_goes_both_ways(net: Net, source: object, target: object) -> None:
    one, other = net.build(source), net.build(target)
    with torch.no_grad():
        for p in one.parameters():
            p.mul_(1.5)
    assert list(one.state_dict()) == list(other.state_dict())
    other.load_state_dict(one.state_dict(), strict=True)
    torch.testing.assert_close(one_step(net, other), one_step(net, one), rtol=1e-12, atol=1e-12)


@by_kind
@pytest.mark.parametrize("way", ["pickle", "deepcopy", "save"])
def test_a_copy_gives_the_same_bits_with_parameters_of_its_own(net: Net, way: str) -> None:
    module = net.build(graddiag.nn)
    if way == "pickle":
        same = pickle.loads(pickle.dumps(module))
    elif way == "deepcopy":
        same = copy.deepcopy(module)
    else:
        file = io.BytesIO()
        torch.save(module, file)
        file.seek(0)
        same = torch.load(file, weights_only=False)

    torch.testing.assert_close(one_step(net, same), one_step(net, module), rtol=0, atol=0)
    with torch.no_grad():
        same.weight_hh_l0.zero_()
    assert module.weight_hh_l0.any()


@by_kind
def test_the_seed_makes_the_same_initial_weights(net: Net) -> None:
    ours, torchs = net.build(graddiag.nn), net.build(torch.nn)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), torchs.parameters(), strict=True))


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_they_are_torchs_classes_with_torchs_arguments(name: str) -> None:
    ours, torchs = getattr(graddiag.nn, name), getattr(torch.nn, name)
    assert issubclass(ours, torchs)
    assert repr(ours(3, 4, num_layers=2, batch_first=True)) == repr(torchs(3, 4, num_layers=2, batch_first=True))
    assert ours(3, 4, 2, "relu").nonlinearity == "relu" if name == "RNN" else ours(3, 4, 2).num_layers == 2
    names = list(inspect.signature(ours.forward).parameters)
    assert names == ["self", "input", "hx"]


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "identity"])
def test_the_nonlinearity_survives_a_copy(activation: str) -> None:
    rnn = copy.deepcopy(graddiag.nn.RNN(3, 4, nonlinearity=activation))
    assert rnn.nonlinearity == pickle.loads(pickle.dumps(rnn)).nonlinearity == activation


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_device_and_dtype_are_where_the_parameters_are(name: str) -> None:
    module = getattr(graddiag.nn, name)(3, 4, device="meta", dtype=torch.float64)
    assert {(p.device.type, p.dtype) for p in module.parameters()} == {("meta", torch.float64)}
    output, _ = getattr(graddiag.nn, name)(3, 4).double()(torch.zeros(2, 1, 3, dtype=torch.float64))
    assert output.dtype == torch.float64


@pytest.mark.parametrize("net", [Net("rnn_tanh"), Net("lstm"), Net("gru")], ids=["rnn", "lstm", "gru"])
def test_weights_shared_or_reparametrised_are_followed(net: Net) -> None:
    """A weight that is computed from others at each access, and one that two modules share."""
    found = []
    for home in (torch.nn, graddiag.nn):
        module, (_, args) = net.build(home), net.inputs()
        torch.nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
        other = net.build(home)
        other.weight_ih_l0 = module.weight_ih_l0
        (module(*args)[0].square().sum() + other(*args)[0].sin().sum()).backward()
        found.append({key: p.grad for key, p in module.named_parameters()})
    torch.testing.assert_close(found[1], found[0], rtol=1e-11, atol=1e-12)
