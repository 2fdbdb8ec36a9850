"""ptb-small, -medium, -large: the tutorial's configurations key for key, and what the lab makes of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from graddiag import load_run
from graddiag.cli import main
from graddiag.lab.corpora import read_words, unigram_perplexity
from graddiag.lab.schedules import parse_schedule
from graddiag.lab.sweeps import plan_sweep
from graddiag.presets.language import perplexity
from graddiag.presets.ptb import Large, Medium, Small, schedule, sweeps

# ptb_word_lm.py of TensorFlow's models: SmallConfig, MediumConfig, LargeConfig
TUTORIAL: dict[type[Small], dict[str, Any]] = {
    Small: {
        "init_scale": 0.1,
        "learning_rate": 1.0,
        "max_grad_norm": 5,
        "num_layers": 2,
        "num_steps": 20,
        "hidden_size": 200,
        "max_epoch": 4,
        "max_max_epoch": 13,
        "keep_prob": 1.0,
        "lr_decay": 0.5,
        "batch_size": 20,
        "vocab_size": 10000,
    },
    Medium: {
        "init_scale": 0.05,
        "learning_rate": 1.0,
        "max_grad_norm": 5,
        "num_layers": 2,
        "num_steps": 35,
        "hidden_size": 650,
        "max_epoch": 6,
        "max_max_epoch": 39,
        "keep_prob": 0.5,
        "lr_decay": 0.8,
        "batch_size": 20,
        "vocab_size": 10000,
    },
    Large: {
        "init_scale": 0.04,
        "learning_rate": 1.0,
        "max_grad_norm": 10,
        "num_layers": 2,
        "num_steps": 35,
        "hidden_size": 1500,
        "max_epoch": 14,
        "max_max_epoch": 55,
        "keep_prob": 0.35,
        "lr_decay": 1 / 1.15,
        "batch_size": 20,
        "vocab_size": 10000,
    },
}
RUN_ONLY = {"text", "seed", "epochs", "most_steps", "without_clipping"}


@pytest.mark.parametrize("config", TUTORIAL)
def test_the_configuration_is_that_of_the_tutorial(config: type[Small]) -> None:
    found = config().model_dump()
    assert {key: value for key, value in found.items() if key not in RUN_ONLY} == TUTORIAL[config]
    assert set(found) - set(TUTORIAL[config]) == RUN_ONLY


@pytest.mark.parametrize("config", TUTORIAL)
def test_the_lab_trains_what_the_configuration_says(config: type[Small]) -> None:
    wanted = TUTORIAL[config]
    (plan,) = plan_sweep(sweeps(config())[0])
    spec = plan.spec
    assert (spec.task, spec.model, spec.optimizer, spec.loss, spec.stateful) == ("words", "lstm", "sgd", "sum", True)
    assert spec.clip == f"norm:{float(wanted['max_grad_norm'])}"
    assert (spec.init_uniform, spec.lr, spec.forget_bias) == (wanted["init_scale"], wanted["learning_rate"], 0.0)
    assert (spec.layers, spec.hidden, spec.embedding) == (2, wanted["hidden_size"], wanted["hidden_size"])
    assert (spec.length, spec.batch, spec.vocabulary) == (wanted["num_steps"], 20, 10_000)
    assert spec.dropout == pytest.approx(1 - wanted["keep_prob"])


@pytest.mark.parametrize("config", TUTORIAL)
def test_the_rate_falls_as_the_tutorial_has_it(config: type[Small]) -> None:
    """lr_decay ** max(i + 1 - max_epoch, 0) in epoch i."""
    wanted = TUTORIAL[config]
    rates = parse_schedule(schedule(config(), epoch=7))
    for i in range(wanted["max_max_epoch"]):
        expected = wanted["lr_decay"] ** max(i + 1 - wanted["max_epoch"], 0)
        assert rates.rate(7 * i) == pytest.approx(expected)
        assert rates.rate(7 * i + 6) == pytest.approx(expected)


@pytest.mark.slow
def test_a_small_text_is_learned_below_its_unigram_perplexity(tmp_path: Path) -> None:
    words = read_words(None, most=1000)
    text = words.text(words.train[:12_000]).replace("\n ", "\n")
    lines = text.split("\n")
    cut = len(lines) * 8 // 10
    (tmp_path / "ptb.train.txt").write_text("\n".join(lines[:cut]))
    (tmp_path / "ptb.valid.txt").write_text("\n".join(lines[cut::2]))
    (tmp_path / "ptb.test.txt").write_text("\n".join(lines[cut + 1 :: 2]))
    where = ["--root", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    assert main(["lab", "ptb-small", "--set", f"text={tmp_path}", "--set", "epochs=6", *where]) == 0
    (path,) = (tmp_path / "runs").glob("lab-ptb-small-*/*")
    run = load_run(path)
    corpus = read_words(tmp_path, most=10_000)
    assert corpus.valid is not None
    assert corpus.test is not None
    held_out = perplexity(run.steps["held_out_loss"].dropna().iloc[-1])
    assert held_out < unigram_perplexity(corpus, corpus.valid)
    assert perplexity(run.steps["test_loss"].dropna().iloc[-1]) < unigram_perplexity(corpus, corpus.test)
    assert json.loads((path / "vocabulary.json").read_text()) == list(corpus.vocabulary)
