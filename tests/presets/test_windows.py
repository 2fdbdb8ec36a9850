"""nplm and cbow: measured over a whole text, counted, and learned; unused words have no gradient."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import graddiag
from graddiag.errors import InputError, SettingError
from graddiag.lab.corpora import words_corpus
from graddiag.lab.windows import Nplm, contexts, nplm_parameters
from graddiag.presets import load
from graddiag.presets.bench import Bench
from graddiag.presets.cbow import CbowSettings, learn_vectors
from graddiag.presets.nplm import NplmSettings, mean_loss, summarize
from graddiag.presets.preset import settings_of

WORDS = ("a cat sat here and a dog sat there " * 40).split()


def test_the_loss_of_a_text_is_the_mean_over_all_its_words() -> None:
    corpus = words_corpus("here", WORDS)
    torch.manual_seed(0)
    net = Nplm(len(corpus.vocabulary), 3, 4, 5)
    seen, following = contexts(corpus.train, 3)
    expected = cross_entropy(net(seen), following).item()
    assert mean_loss(net, seen, following) == pytest.approx(expected, rel=1e-6)
    assert sum(each.numel() for each in net.parameters()) == nplm_parameters(len(corpus.vocabulary), 3, 4, 5)


def test_the_table_has_a_gradient_for_the_words_that_were_read_alone() -> None:
    """Rows of words that do not occur have a gradient of 0."""
    net = Nplm(20, 3, 4, 5)
    cross_entropy(net(torch.tensor([[1, 2, 3], [3, 2, 7]])), torch.tensor([4, 5])).backward()
    assert net.table.weight.grad is not None
    used = net.table.weight.grad.abs().sum(1).nonzero().flatten().tolist()
    assert used == [1, 2, 3, 7]


@pytest.mark.parametrize("way", ["cbow", "skip-gram"])
def test_words_in_like_places_come_to_lie_close(way: str, tmp_path: Path) -> None:
    corpus = words_corpus("here", WORDS, WORDS[:40])
    settings = CbowSettings(steps=300, features=8, reach=1, batch=64, lr=0.02, vocabulary=20)
    found = learn_vectors(settings, corpus, way, Bench(tmp_path, "lab"))  # type: ignore[arg-type]
    assert found.losses[-1] < 0.7 * found.losses[0]
    assert found.held_out < 0.7 * found.losses[0]
    run = graddiag.load_run(found.run)
    assert run.steps["held_out_loss"].dropna().tolist() == [pytest.approx(found.held_out, rel=1e-6)]
    assert (found.run / "vocabulary.json").exists()
    rows = torch.nn.functional.normalize(found.table, dim=1)
    cat, dog, sat = (corpus.vocabulary.index(word) for word in ("cat", "dog", "sat"))
    assert rows[cat] @ rows[dog] > rows[cat] @ rows[sat]


SMALL = {"windows": (2, 1, 2), "steps": 3, "rnn_steps": 2, "batch": 8, "hidden": 4, "features": 3, "vocabulary": 20}


def test_windows_are_taken_in_order_and_once() -> None:
    assert NplmSettings(windows=(4, 1, 4)).windows == (1, 4)
    with pytest.raises(SettingError, match=r"^windows\.0 0 cannot be used: input should be greater than or equal to 1"):
        settings_of(load("nplm"), {"windows": [0]})


def test_its_runs_keep_the_vocabulary_and_the_loss_on_held_out_text(tmp_path: Path) -> None:
    text = tmp_path / "own.txt"
    text.write_text(" ".join(WORDS * 3))
    told = summarize(NplmSettings(text=text, **SMALL), Bench(tmp_path / "runs", "lab"))  # type: ignore[arg-type]
    table = {row[0]: row[2] for row in told.parts[0].tables[0].rows}
    assert len(told.runs) == 3
    for name, run in zip(["nplm-1", "nplm-2", "LSTM"], map(graddiag.load_run, told.runs), strict=True):
        assert run.path is not None
        assert set(json.loads((run.path / "vocabulary.json").read_text())) == {*WORDS, "<unk>"}
        (held_out,) = run.steps["held_out_loss"].dropna()
        assert float(table[name]) == pytest.approx(np.exp(held_out), rel=0.01)
    assert "Of the sequences of 3 words that are held out 100% occur word for word" in told.seen[-2]


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("nplm", {"windows": [30]}, r"a window of 30 words and the one after it need 31 words, found 5 in the"),
        ("cbow", {"reach": 30}, r"30 words on either side need a text of 61 or more, found 41 to train on; give a"),
    ],
)
def test_a_text_too_short_for_a_window_is_told(name: str, given: dict[str, object], told: str, tmp_path: Path) -> None:
    text = tmp_path / "own.txt"
    text.write_text(" ".join(WORDS[:46]))
    preset = load(name)
    with pytest.raises(InputError, match=told):
        preset.summarize(settings_of(preset, {"text": text, **given}), Bench(tmp_path, "lab"))
