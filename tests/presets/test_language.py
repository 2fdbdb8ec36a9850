"""rnnlm, faster-rnnlm, char-rnn: cutoffs in their own units, arms, and a network that writes."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from graddiag.errors import SettingError
from graddiag.lab.corpora import characters
from graddiag.lab.models import SequenceModel
from graddiag.lab.next_symbol import NextSymbol
from graddiag.lab.spec import training_spec
from graddiag.lab.sweeps import plan_sweep
from graddiag.presets import load
from graddiag.presets.charrnn import CharRnn, sample, share_known, spec_of
from graddiag.presets.faster import FasterRnnlm
from graddiag.presets.faster import sweeps as faster_sweeps
from graddiag.presets.language import perplexity
from graddiag.presets.preset import settings_of
from graddiag.presets.rnnlm import Rnnlm
from graddiag.presets.rnnlm import sweeps as rnnlm_sweeps


def test_a_cutoff_of_rnnlm_is_per_sample() -> None:
    plans = {plan.arm: plan.spec for plan in plan_sweep(rnnlm_sweeps(Rnnlm(batch=10))[0])}
    assert {arm: spec.clip for arm, spec in plans.items()} == {
        "baseline": "none",
        "cutoff 15": "bptt:1.5",
        "cutoff 0.2": "bptt:0.02",
    }
    one = plans["cutoff 15"]
    assert (one.nonlinearity, one.output, one.loss, one.stateful) == ("sigmoid", "classes:50", "sum", True)


def test_every_hidden_type_of_faster_rnnlm_is_an_arm() -> None:
    plans = {plan.arm: plan.spec for plan in plan_sweep(faster_sweeps(FasterRnnlm())[0])}
    assert list(plans) == ["sigmoid", "tanh", "relu", "truncated-relu", "gru"]
    assert {spec.clip for spec in plans.values()} == {"value:1.0:nan=0"}
    assert [spec.model for spec in plans.values()] == ["rnn"] * 4 + ["gru"]
    (softmax, *_) = plan_sweep(faster_sweeps(FasterRnnlm(noise=0))[0])
    assert (softmax.spec.output, plans["gru"].output) == ("softmax", "nce:20")


def test_a_hidden_type_that_is_not_known_is_told() -> None:
    with pytest.raises(SettingError, match=r"^hidden_types\.0 'swish' cannot be used: input should be 'sigmoid'"):
        settings_of(load("faster-rnnlm"), {"hidden_types": ["swish"]})


def test_char_rnn_has_the_settings_of_its_source() -> None:
    spec = spec_of(CharRnn())
    assert (spec.clip, spec.optimizer, spec.lr, spec.forget_bias) == ("value:5.0", "rmsprop:0.95", 0.002, 1.0)
    assert (spec.init_uniform, spec.length, spec.batch, spec.layers) == (0.08, 50, 50, 2)


def network() -> SequenceModel:
    torch.manual_seed(0)
    task = NextSymbol(characters("abcabcabcabc", "here"), length=4, batch_size=2)
    return SequenceModel(training_spec("text", "lstm", hidden=6, embedding=4, dropout=0.5), task.shape)


def test_near_zero_it_writes_the_likeliest_and_hot_it_writes_anything() -> None:
    net, prime = network(), torch.tensor([0, 1])
    cold = sample(net, prime, 5, 1e-6, torch.Generator().manual_seed(0))
    net.eval()
    read = prime
    for symbol in cold:
        logits, _ = net(read.unsqueeze(1))
        assert symbol == logits[-1, 0].argmax()
        read = torch.cat([read, symbol.view(1)])
    hot = sample(net, prime, 3000, 1e6, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(torch.bincount(hot, minlength=3) / 3000, 1 / 3, atol=0.04)


def test_writing_changes_nothing_and_repeats_itself() -> None:
    net = network()
    before = torch.get_rng_state()
    one, other = (sample(net, torch.tensor([2]), 20, 0.7, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)
    assert net.training


def test_words_that_are_known() -> None:
    assert share_known("the cat zat on", frozenset({"the", "cat"})) == pytest.approx(2 / 3)
    assert math.isnan(share_known("word", frozenset()))


def test_a_perplexity_beyond_a_float_is_no_error() -> None:
    assert perplexity(math.log(7)) == pytest.approx(7)
    assert perplexity(1e9) > 1e300


def test_what_is_printed_for_a_sweep_can_be_swept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from graddiag.cli import main
    from graddiag.lab.sweeps import read_sweep

    small = ["--set", "hidden=4", "--set", "vocabulary=50", "--set", "epochs=0.001"]
    assert main(["lab", "rnnlm", *small, "--as-sweep"]) == 0
    path = tmp_path / "mine.toml"
    path.write_text(capsys.readouterr().out)
    assert [plan.arm for plan in plan_sweep(read_sweep(path))] == ["baseline", "cutoff 15", "cutoff 0.2"]


def test_near_zero_or_out_of_bounds_it_still_draws_and_after_diverging_it_stops() -> None:
    net, prime = network(), torch.tensor([0])
    assert len(sample(net, prime, 4, 1e-320, torch.Generator().manual_seed(0))) == 4
    with torch.no_grad():
        next(net.head.parameters()).fill_(torch.nan)
    assert len(sample(net, prime, 4, 1.0, torch.Generator().manual_seed(0))) == 0
