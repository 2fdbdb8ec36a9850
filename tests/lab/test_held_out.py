"""The loss on held-out text: the mean over all of it, and nothing of the training is changed by measuring."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from graddiag import load_run
from graddiag.lab import plan_run, train, training_spec
from graddiag.lab.corpora import words_corpus
from graddiag.lab.held_out import loss_on
from graddiag.lab.models import SequenceModel
from graddiag.lab.next_symbol import NextInOrder

SMALL: dict[str, Any] = {"steps": 6, "length": 4, "batch": 2, "hidden": 5, "embedding": 3}
WORDS = ("the cat sat on the mat and the dog sat on the cat " * 12).split()


def task() -> NextInOrder:
    return NextInOrder(words_corpus("here", WORDS[:100], WORDS[100:141]), length=4, batch_size=2)


def network(dropout: float = 0.0, model: str = "lstm") -> SequenceModel:
    torch.manual_seed(0)
    return SequenceModel(training_spec("words", model, dropout=dropout, **SMALL), task().shape)


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru"])
def test_it_is_that_of_each_stream_read_in_one_go(model: str) -> None:
    net, held_out = network(model=model), task().held_out
    assert held_out is not None
    found = loss_on(held_out, net, training_spec("words", model, **SMALL))
    rows = held_out[:40].view(2, 20).T[:17]  # 2 streams of 4 windows of 4, and the word after
    outputs, _ = net(rows[:-1])
    assert found == pytest.approx(cross_entropy(outputs.flatten(0, 1), rows[1:].flatten()).item(), rel=1e-6)


def test_nothing_is_dropped_and_nothing_is_drawn() -> None:
    held_out = task().held_out
    assert held_out is not None
    net, spec = network(dropout=0.5), training_spec("words", "lstm", dropout=0.5, **SMALL)
    before = torch.get_rng_state()
    one, other = (loss_on(held_out, net, spec) for _ in range(2))
    assert one == other
    assert torch.equal(torch.get_rng_state(), before)
    assert net.training
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_measuring_changes_nothing_of_the_run(tmp_path: Path, dropout: float) -> None:
    text = tmp_path / "own.txt"
    text.write_text(" ".join(WORDS * 2))
    often = training_spec("words", "lstm", text=text, dropout=dropout, evaluate_every=1, **SMALL)
    once = often.model_copy(update={"evaluate_every": 1000})
    runs = [load_run(train(plan_run(spec), tmp_path / name).path) for name, spec in (("often", often), ("once", once))]
    told = [run.steps.drop(columns=["wall_time", "held_out_loss"]) for run in runs]
    pd.testing.assert_frame_equal(*told, check_exact=True)
    pd.testing.assert_frame_equal(runs[0].timesteps, runs[1].timesteps, check_exact=True)
    assert [run.steps["held_out_loss"].notna().sum() for run in runs] == [6, 1]


def test_a_run_keeps_its_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "ptb.train.txt").write_text(" ".join(WORDS))
    (tmp_path / "ptb.valid.txt").write_text(" ".join(WORDS[:30]))
    (tmp_path / "ptb.test.txt").write_text(" ".join(WORDS[:40]))
    run = load_run(train(plan_run(training_spec("words", "gru", text=tmp_path, **SMALL)), tmp_path / "runs").path)
    assert run.steps["test_loss"].notna().tolist() == [False] * 5 + [True]
    vocabulary = json.loads((run.path / "vocabulary.json").read_text())
    assert vocabulary[0] == "the"
    assert run.manifest.config["vocabulary_size"] == len(vocabulary)
    assert run.manifest.config["text_held_out"] == 31


@pytest.mark.parametrize(("loss", "times"), [("mean", 1), ("sum", 4)])
def test_a_sum_over_timesteps_is_so_many_means(tmp_path: Path, loss: str, times: int) -> None:
    text = tmp_path / "own.txt"
    text.write_text(" ".join(WORDS * 2))
    spec = training_spec("words", "lstm", text=text, loss=loss, **{**SMALL, "steps": 1})
    run = load_run(train(plan_run(spec), tmp_path / loss).path)
    mean = load_run(train(plan_run(spec.model_copy(update={"loss": "mean"})), tmp_path / "m").path)
    assert run.steps["loss"][0] == pytest.approx(times * mean.steps["loss"][0], rel=1e-6)
    assert run.steps["grad_norm"][0] == pytest.approx(times * mean.steps["grad_norm"][0], rel=1e-5)
    assert ("sum over timesteps" in str(run.manifest.loss_reduction)) == (loss == "sum")


@pytest.mark.parametrize("output", ["softmax", "classes:3", "nce:4"])
def test_words_are_learned_with_every_output(tmp_path: Path, output: str) -> None:
    text = tmp_path / "own.txt"
    text.write_text(" ".join(WORDS * 4))
    settings = {**SMALL, "steps": 60, "lr": 1.0, "optimizer": "sgd:0.5", "schedule": "decay:0.5:30:10"}
    run = load_run(train(plan_run(training_spec("words", "gru", text=text, output=output, **settings)), tmp_path).path)
    assert run.steps["held_out_loss"].dropna().iloc[-1] < 2.0  # ln 8 = 2.08, eight words
    assert run.steps["lr"].tolist()[::10] == [1, 1, 1, 0.5, 0.25, 0.125]


def test_a_training_that_ends_early_measures_at_its_last_step(tmp_path: Path) -> None:
    (tmp_path / "ptb.train.txt").write_text("on " * 600)
    (tmp_path / "ptb.valid.txt").write_text("on " * 30)
    (tmp_path / "ptb.test.txt").write_text("on " * 30)
    spec = training_spec("words", "rnn", text=tmp_path, until_error=0.99, evaluate_every=150, **{**SMALL, "steps": 500})
    steps = load_run(train(plan_run(spec), tmp_path / "runs").path).steps
    assert len(steps) == 100
    for name in ("held_out_loss", "test_loss"):
        assert steps[name].notna().tolist() == [False] * 99 + [True]
