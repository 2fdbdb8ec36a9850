"""The preset remedies: its arms, its table on small runs, and what it says of rates typed by hand."""

import re
from pathlib import Path

import numpy as np
import pytest

from graddiag import Run, load_run
from graddiag.analysis import Experiment, Goal, experiment
from graddiag.analysis.comparison.experiment import Rate
from graddiag.lab import train, training_spec
from graddiag.lab.training import Plan
from graddiag.presets import remedies
from graddiag.presets.remedies import BASELINE, EXPLODING, VANISHING, Remedies, remedy_table, sweeps


def recorded(root: Path, arm: str, model: str, seed: int) -> Run:
    spec = training_spec("recall", model, seed=seed, length=6, steps=6, every=2, hidden=4, batch=3)
    return load_run(train(Plan(spec, f"{arm}-{seed}", "by-hand", arm), root).path)


def test_every_remedy_is_an_arm_of_five_seeds() -> None:
    vanishing, exploding = sweeps(Remedies())
    assert (vanishing.task, exploding.task) == ("recall", "text")
    assert vanishing.seeds == exploding.seeds == tuple(range(5))
    assert next(iter(vanishing.arms)) == next(iter(exploding.arms)) == BASELINE
    assert vanishing.arms[BASELINE] == exploding.arms[BASELINE] == {}
    assert len(vanishing.arms) == 11
    assert exploding.arms["a tenth of the rate"] == {"lr": 0.5}
    assert vanishing.settings["clip"] == "norm:1.0"  # what fails there does not fail by exploding
    assert "clip" not in exploding.settings


def test_the_table(tmp_path: Path) -> None:
    runs = [recorded(tmp_path, arm, arm, seed) for arm in ("rnn", "lstm") for seed in (0, 1)]
    table = remedy_table(experiment(runs, Goal("error", 1.0)), runs)
    assert table["arm"].tolist() == ["rnn", "lstm"]
    assert table["succeeded"].tolist() == ["2 of 2", "2 of 2"]
    assert table["95% interval"].tolist() == ["16% to 100%"] * 2  # Clopper & Pearson: .05 / 2 at the power of 1 / 2
    assert table["steps"].tolist() == [6.0, 6.0]
    assert table["time of a step"].iloc[0] == 1.0
    assert table["time of a step"].iloc[1] > 0
    starts = [remedies._horizons(run)[0] for run in runs[:2]]
    assert table["horizon at the start"].iloc[0] == np.median(starts) > 0


@pytest.mark.parametrize(
    ("successes", "said"),
    [
        ((0, 5, 0), r"succeeds in 0 of 5 runs\. More runs succeed with b \(5\)\. No more do with c\."),
        ((1, 1, 0), r"succeeds in 1 of 5 runs\. No remedy lets more runs succeed\."),
        ((1, 2, 3), r"More runs succeed with b \(2\) and c \(3\)\.$"),
    ],
)
@pytest.mark.parametrize("name", [VANISHING, EXPLODING])
def test_what_is_said(name: str, successes: tuple[int, ...], said: str) -> None:
    rates = tuple(Rate(arm, 1, count, 5, (0.0, 1.0)) for arm, count in zip("abc", successes, strict=True))
    found = Experiment(Goal("error", 0.05), (), ("a", "b", "c"), (1,), rates)
    told = remedies._told(name, found)
    assert {VANISHING: "recall, where the gradient vanishes", EXPLODING: "text, where the gradient explodes"}[
        name
    ] in told
    assert re.search(said, told), told
