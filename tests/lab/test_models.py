"""The lab's model: shapes, initialisations."""

import pytest
import torch

import graddiag
from graddiag.lab.models import SequenceModel
from graddiag.lab.spec import training_spec
from graddiag.lab.task import Answers, Shape


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("embedding", [None, 3])
@pytest.mark.parametrize(("answers", "expected"), [("each", (7, 2, 4)), ("last", (2, 4))])
def test_logits_have_the_shape_of_the_answers(
    model: str, embedding: int | None, answers: Answers, expected: tuple[int, ...]
) -> None:
    spec = training_spec("temporal-order", model, hidden=5, layers=2).model_copy(update={"embedding": embedding})
    network = SequenceModel(spec, Shape(symbols=6, classes=4, answers=answers))
    assert network(torch.randint(6, (7, 2)))[0].shape == expected


def test_normal_initialisation_has_its_std_and_no_bias() -> None:
    torch.manual_seed(0)
    spec = training_spec("temporal-order", "rnn", hidden=200, init_std=0.1)
    network = SequenceModel(spec, Shape(symbols=6, classes=4, answers="last"))
    assert network.recurrent.weight_hh_l0.std().item() == pytest.approx(0.1, rel=0.02)
    assert all((p == 0).all() for name, p in network.named_parameters() if "bias" in name)


@pytest.mark.parametrize("model", ["lstm", "gru"])
def test_the_two_forget_biases_sum_to_what_was_asked(model: str) -> None:
    spec = training_spec("temporal-order", model, hidden=5, layers=2, forget_bias=2.0)
    recurrent = SequenceModel(spec, Shape(symbols=6, classes=4, answers="last")).recurrent
    for layer in (0, 1):
        total = getattr(recurrent, f"bias_ih_l{layer}") + getattr(recurrent, f"bias_hh_l{layer}")
        assert (total[5:10] == 2.0).all()
        assert not (total[:5] == 2.0).any()


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru"])
def test_orthogonal_recurrent_matrices(model: str) -> None:
    spec = training_spec("temporal-order", model, hidden=5, layers=2, init="orthogonal")
    recurrent = SequenceModel(spec, Shape(symbols=6, classes=4, answers="last")).recurrent
    for layer in (0, 1):
        for block in getattr(recurrent, f"weight_hh_l{layer}").split(5):
            torch.testing.assert_close(block @ block.T, torch.eye(5))


def test_an_irnn_carries_its_state_and_its_gradient() -> None:
    """With W = I, b = 0 and relu the norm of dL/dh_t is constant."""
    spec = training_spec("recall", "rnn", hidden=5, init="identity", nonlinearity="relu")
    model = SequenceModel(spec, Shape(symbols=6, classes=4, answers="last"))
    assert torch.equal(model.recurrent.weight_hh_l0, torch.eye(5))
    with torch.no_grad():
        model.recurrent.weight_ih_l0.abs_()
    with graddiag.capture(model) as cap:
        model(torch.randint(6, (9, 2)))[0].sum().backward()
    norms = cap.traces[0].grad_h.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, norms[-1].expand(9))


@pytest.mark.parametrize(("model", "rows"), [("lstm", 4), ("gru", 3)])
def test_time_constants_of_the_chrono_start_reach_the_length(model: str, rows: int) -> None:
    torch.manual_seed(0)
    spec = training_spec("recall", model, hidden=2000, length=50, init="chrono")
    recurrent = SequenceModel(spec, Shape(symbols=6, classes=4, answers="last")).recurrent
    total = (recurrent.bias_ih_l0 + recurrent.bias_hh_l0).detach().view(rows, 2000)
    spread = total[1].exp()  # of a gate s = sigmoid(b): s / (1 - s), about its time constant in timesteps
    assert 1 <= spread.min() < 1.2
    assert 48 < spread.max() <= 49 * (1 + 1e-5)
    assert spread.mean().item() == pytest.approx(25, rel=0.05)
    if model == "lstm":
        assert torch.equal(total[0], -total[1])


@pytest.mark.parametrize("nonlinearity", ["relu", "sigmoid", "identity"])
def test_units_of_an_rnn(nonlinearity: str) -> None:
    spec = training_spec("recall", "rnn", nonlinearity=nonlinearity)
    assert SequenceModel(spec, Shape(symbols=6, classes=4, answers="last")).recurrent.nonlinearity == nonlinearity
