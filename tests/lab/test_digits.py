"""Digits and permuted digits, against scikit-learn's images read again one by one, and its classifiers."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator

from graddiag import analysis, load_run
from graddiag.cli import main
from graddiag.errors import MissingLibraryError, SettingError
from graddiag.lab import digits, plan_run, train, training_spec
from graddiag.lab.answers import loss_of, wrong_of
from graddiag.lab.digits import DISTANCE, PIXELS, SOLVED, TRAINED, Digits, permutation
from graddiag.lab.models import SequenceModel
from graddiag.lab.tasks import make_task
from graddiag.lab.validation import error_on
from tests.needs import needs

ORDERS = {"digits": list(range(PIXELS)), "permuted-digits": permutation().tolist()}
each = pytest.mark.parametrize("name", ORDERS)


@pytest.fixture(autouse=True)
def images() -> Any:
    """The images and their digits, as scikit-learn gives them."""
    return needs("sklearn.datasets", "digits").load_digits()


@each
def test_a_sequence_is_an_image_pixel_by_pixel(name: str, images: Any) -> None:
    task = make_task(training_spec(name, "rnn", batch=50))
    inputs, targets = task.batch(Generator().manual_seed(0))
    chosen = torch.randint(TRAINED, (50,), generator=Generator().manual_seed(0)).tolist()
    assert inputs.dtype == torch.float32
    for column, image in enumerate(chosen):
        pixels = images.images[image].flatten()
        assert inputs[:, column, 0].tolist() == [pixels[place] / 16 for place in ORDERS[name]]
        assert targets[column] == images.target[image]


def test_the_permutation_is_one_and_stays_the_same() -> None:
    assert sorted(ORDERS["permuted-digits"]) == list(range(64))
    assert ORDERS["permuted-digits"][:8] == [45, 29, 43, 61, 34, 33, 31, 40]


@each
def test_what_is_held_out_is_the_rest_and_never_trained_on(name: str, images: Any) -> None:
    task: Any = make_task(training_spec(name, "rnn", batch=20_000))
    inputs, targets = task.held_out_sequences
    assert inputs.shape == (64, 360, 1)
    assert targets.tolist() == images.target[1437:].tolist()
    back = inputs[:, :, 0].T[:, np.argsort(ORDERS[name])]
    assert (back * 16).tolist() == images.data[1437:].tolist()
    assert len(torch.unique(task.batch(Generator().manual_seed(0))[0].squeeze(-1), dim=1).T) <= TRAINED


@each
def test_chance_is_what_knows_nothing_has(name: str) -> None:
    task: Any = make_task(training_spec(name, "rnn"))
    targets, shape = task.held_out_sequences[1], task.shape
    assert loss_of(shape, torch.zeros(360, 10), targets).item() == pytest.approx(math.log(10))
    constant = [wrong_of(shape, torch.eye(10)[[k] * 360], targets).item() for k in range(10)]
    assert constant == pytest.approx([task.config["chance_error"]] * 10, abs=0.01)


@each
def test_the_criterion_and_the_distance_are_what_classifiers_of_the_image_need(name: str, images: Any) -> None:
    neighbors, linear = needs("sklearn.neighbors", "digits"), needs("sklearn.linear_model", "digits")
    pixels = images.data[:, ORDERS[name]] / 16

    def wrong(model: Any, last: int) -> float:
        fitted = model.fit(pixels[:TRAINED, -last:], images.target[:TRAINED])
        return float((fitted.predict(pixels[TRAINED:, -last:]) != images.target[TRAINED:]).mean())

    assert wrong(linear.LogisticRegression(max_iter=1000), 64) == pytest.approx(SOLVED, abs=0.01)
    last = DISTANCE[name == "permuted-digits"] + 1
    assert wrong(neighbors.KNeighborsClassifier(1), last) <= SOLVED < wrong(neighbors.KNeighborsClassifier(1), last - 1)


def test_the_error_on_held_out_images_is_measured_and_is_the_goal(tmp_path: Path) -> None:
    spec = training_spec("permuted-digits", "rnn", steps=5, evaluate_every=2, hidden=4, batch=3)
    errors: list[float] = []

    def measure(model: SequenceModel, task: Any) -> None:
        model.eval()
        errors.append(error_on(model, [task.held_out_sequences]))

    run = load_run(train(plan_run(spec), tmp_path, on_end=measure).path)
    assert run.steps["validation_error"].notna().tolist() == [False, True, False, True, True]
    assert 0.5 < errors[0] < 1
    assert analysis.goals([run])[0] == analysis.Goal("validation_error", 0.1)
    assert run.manifest.config["distance"] == 34


def test_a_training_ends_when_the_error_on_held_out_images_is_low_enough(tmp_path: Path) -> None:
    spec = training_spec("digits", "rnn", steps=5, evaluate_every=2, hidden=4, batch=3, until_error=0.99)
    assert len(load_run(train(plan_run(spec), tmp_path).path).steps) == 2


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^length 32: digits have 64 pixels, one a timestep; leave it out"):
        Digits(32, 1)
    with pytest.raises(SettingError, match=r"^criterion pascanu: the task digits has held-out or batches\.$"):
        training_spec("digits", "rnn", criterion="pascanu")
    with pytest.raises(SettingError, match=r"^criterion held-out: the task adding has pascanu or batches\.$"):
        training_spec("adding", "rnn", criterion="held-out")


def test_without_scikit_learn_it_names_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    digits._images.cache_clear()
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'graddiag\[digits\]'"):
        Digits(64, 1)
    assert main(["run", "--task", "digits", "--steps", "1", "--root", str(tmp_path)]) == 2
    assert not list(tmp_path.iterdir())
