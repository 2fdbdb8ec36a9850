"""The criterion of Pascanu, Mikolov & Bengio (2013), against its formula written again with numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from graddiag import analysis, load_run
from graddiag.lab import plan_run, train, training_spec
from graddiag.lab.answers import wrong_of
from graddiag.lab.memory import Memorisation
from graddiag.lab.task import Shape
from graddiag.lab.validation import SEQUENCES, Validation, validation_error

SMALL: dict[str, Any] = {"length": 10, "steps": 25, "hidden": 4, "batch": 3}


def test_a_sequence_is_wrong_if_one_symbol_is() -> None:
    """RNN.py: error = (neq(argmax y, argmax t).sum(0) > 0).mean(), y and t as [timesteps, sequences, classes]."""
    torch.manual_seed(0)
    outputs, targets = torch.randn(2, 50, 2), torch.randint(2, (2, 50))
    expected = ((outputs.numpy().argmax(2) != targets.numpy()).sum(0) > 0).mean()
    assert 0 < expected < 1
    assert wrong_of(Shape(2, 2, "each", whole=True), outputs, targets).item() == pytest.approx(expected)


def test_a_number_is_wrong_by_its_squared_error() -> None:
    """RNN.py: error = (((t - y)**2).sum(axis=1) > .04).mean()."""
    torch.manual_seed(0)
    outputs, targets = torch.rand(200, 1, dtype=torch.float64), torch.rand(200, dtype=torch.float64)
    expected = (((targets.numpy()[:, None] - outputs.numpy()) ** 2).sum(axis=1) > 0.04).mean()
    assert wrong_of(Shape(2, 1, "last", "numbers", "numbers"), outputs, targets).item() == pytest.approx(expected)


class Nothing(nn.Module):
    """Answers nothing at every timestep: right at all but ten of them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.asked: list[Tensor] = []

    @property
    def head(self) -> "Nothing":
        return self

    def forward(self, inputs: Tensor) -> tuple[Tensor, None]:
        assert not self.training
        self.asked.append(inputs)
        return nn.functional.one_hot(torch.full_like(inputs, 5), 6).double(), None

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        return {"error": wrong_of(self.shape, outputs, targets).item()}


def test_memorisation_is_not_solved_by_nothing_however_long_the_delay() -> None:
    task = Memorisation(1000, 20)
    model: Any = Nothing(task.shape).train()
    assert validation_error(model, task, Generator().manual_seed(0)) == 1.0
    assert model.training
    assert sum(inputs.shape[1] for inputs in model.asked) == SEQUENCES == 10_000
    assert not torch.equal(model.asked[0], model.asked[1])


def test_a_training_ends_when_its_validation_error_is_low_enough(tmp_path: Path) -> None:
    spec = training_spec("temporal-order", "rnn", until_error=0.9, evaluate_every=10, **SMALL)
    run = load_run(train(plan_run(spec), tmp_path).path)
    assert len(run.steps) == 10  # chance is .75
    assert run.steps["validation_error"].notna().tolist() == [False] * 9 + [True]
    assert run.manifest.config["criterion"] == "pascanu"


def test_it_is_measured_at_the_last_step_and_changes_nothing(tmp_path: Path) -> None:
    given = {**SMALL, "dropout": 0.5}
    plain = load_run(train(plan_run(training_spec("temporal-order", "rnn", **given)), tmp_path).path)
    measured = load_run(
        train(plan_run(training_spec("temporal-order", "rnn", evaluate_every=10, **given)), tmp_path).path
    )
    assert "validation_error" not in plain.steps
    assert np.flatnonzero(measured.steps["validation_error"].notna()).tolist() == [9, 19, 24]
    assert measured.steps["loss"].tolist() == plain.steps["loss"].tolist()
    assert analysis.goals([measured])[0] == analysis.Goal("validation_error", 0.01)
    assert analysis.goals([plain])[0].name == "error"


def test_by_batches_nothing_is_drawn() -> None:
    spec = training_spec("temporal-order", "rnn", until_error=0.1, criterion="batches", **SMALL)
    validation = Validation(Memorisation(3, 2), spec)
    assert validation(None, 24) == {}  # type: ignore[arg-type]
    assert [validation.solved({"error": 0.0}) for _ in range(100)] == [False] * 99 + [True]


@pytest.mark.parametrize(("said", "expected"), [("mean", 0.36), ("sum", 0.64), ("product", 0.2335)])
def test_the_error_of_the_best_constant(said: Any, expected: float) -> None:
    from graddiag.lab.adding_task import Marked

    task = Marked(20, 20_000, said)
    targets = task.batch(Generator().manual_seed(0))[1]
    found = min(wrong_of(task.shape, torch.full((20_000, 1), c / 50), targets).item() for c in range(101))
    assert task.config["chance_error"] == pytest.approx(expected, abs=1e-4)
    assert found == pytest.approx(expected, abs=0.01)
