"""The lab's model: shapes, initialisations."""

import pytest
import torch

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
    assert network(torch.randint(6, (7, 2))).shape == expected


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
