"""The demonstration: what docs/demonstration.md claims to have been seen is held here, loosely. It is recorded once."""

import os
from pathlib import Path
from typing import Any

import pytest

from graddiag import Run, load_run, schema
from graddiag.analysis.optimization.loss import chance_of
from graddiag.cli import main
from graddiag.lab import CLIP_OFF, CLIP_ON, demonstration
from graddiag.lab.demonstration import CHAPTERS, Chapter
from graddiag.lab.experiments import with_settings
from graddiag.lab.grammar import entropy_rate
from graddiag.lab.training import Plan, train

TINY = (Chapter("demo-tiny", (0,), {"task": "text", "model": "rnn", "steps": 4, "hidden": 8, "clip": "norm:1"}),)


def chapter(experiment: str) -> Chapter:
    return next(each for each in CHAPTERS if each.experiment == experiment)


def pair_of(experiment: str, root: Path, *, seed: int = 0, **settings: Any) -> tuple[Run, Run]:
    """A pair of a chapter, clip off and clip on, recorded with some settings changed."""
    off, on = (plan for plan in chapter(experiment).plans() if plan.spec.seed == seed)
    assert (off.arm, on.arm) == (CLIP_OFF, CLIP_ON)
    return recorded(off, root, **settings), recorded(on, root, **settings)


def recorded(plan: Plan, root: Path, **settings: Any) -> Run:
    """Trains it; where ``make demo`` has just done so, under GRADDIAG_DEMONSTRATION, that run is read instead.

    How often is recorded (``every``) makes no difference to a training.
    """
    shared = os.environ.get("GRADDIAG_DEMONSTRATION")
    if shared and settings.keys() <= {"every"}:
        path = demonstration.recorded(plan, Path(shared))
        assert path is not None, f"{plan.name} is not under {shared}: make demo first"
        return load_run(path)
    spec = with_settings(plan.spec, **settings)
    return load_run(train(Plan(spec, plan.name, plan.experiment, plan.arm), root).path)


def final(run: Run, column: str) -> float:
    """Mean over the last 50 steps."""
    return float(run.steps[column].tail(50).mean())


def reaches(run: Run) -> float:
    """||dL/dh|| at the first timestep over that at the last one, at step 0."""
    frame = run.timesteps
    at = frame[frame[schema.STEP] == 0].sort_values(schema.TIMESTEP)[schema.GRAD_H]
    return float(at.iloc[0] / at.iloc[-1])


def chance(run: Run) -> float:
    found = chance_of(run)
    assert found is not None
    return found


@pytest.mark.slow
def test_on_text_the_rnn_explodes_without_clipping_and_learns_with_it(tmp_path: Path) -> None:
    off, on = pair_of("demo-text-rnn", tmp_path)
    assert reaches(off) == pytest.approx(reaches(on))
    assert reaches(off) > 1000
    assert off.steps[schema.GRAD_NORM].max() > 50
    assert final(off, schema.LOSS) > chance(off) == pytest.approx(2.976, abs=0.01)
    assert entropy_rate() < final(on, schema.LOSS) < 1


@pytest.mark.slow
def test_on_text_the_lstm_learns_with_the_same_weights_and_rate_and_needs_no_clipping(tmp_path: Path) -> None:
    off, on = pair_of("demo-text-lstm", tmp_path)
    assert chapter("demo-text-lstm").settings == {**chapter("demo-text-rnn").settings, "model": "lstm"}
    assert reaches(off) < 10
    assert off.steps[schema.GRAD_NORM].max() < 3
    assert final(off, schema.LOSS) < 1
    assert final(off, schema.LOSS) == pytest.approx(final(on, schema.LOSS), abs=0.1)


@pytest.mark.slow
def test_in_temporal_order_clipping_decides_between_solving_and_failing(tmp_path: Path) -> None:
    off, on = pair_of("demo-order-30-rnn", tmp_path, every=500)
    assert final(off, schema.LOSS) > 0.9 * chance(off)
    assert final(off, "error") > 0.5
    assert final(on, "error") < 0.05


@pytest.mark.slow
def test_at_fifty_timesteps_the_gradient_of_the_rnn_vanishes_with_clipping_and_without(tmp_path: Path) -> None:
    off, on = pair_of("demo-order-50-rnn", tmp_path, every=100, steps=400)
    assert reaches(off) < 1e-5
    for run in (off, on):
        assert final(run, schema.LOSS) == pytest.approx(chance(run), rel=0.05)
        assert final(run, "error") > 0.5


@pytest.mark.slow
def test_at_fifty_timesteps_the_lstm_reaches_farther_and_solves_the_task_with_clipping(tmp_path: Path) -> None:
    _, plan = (each for each in chapter("demo-order-50-lstm").plans() if each.spec.seed == 0)
    on = recorded(plan, tmp_path, every=100)
    assert reaches(on) > 1e-3
    assert final(on, "error") < 0.05


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demonstration of one small pair, recorded in this process."""
    monkeypatch.setattr(demonstration, "CHAPTERS", TINY)
    monkeypatch.setattr(demonstration, "train_all", lambda plans, root, workers: (train(plan, root) for plan in plans))


@pytest.mark.usefixtures("tiny")
def test_the_demonstration_is_recorded_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = tmp_path / "runs", tmp_path / "reports" / "demo.html"
    assert main(["demo", "--root", str(root), "--out", str(out)]) == 0
    assert f"2 runs of the demonstration are in {root}, their report is {out}." in capsys.readouterr().out
    written = {path: path.stat().st_mtime_ns for path in [out, *root.rglob("manifest.json")]}
    assert len(written) == 3
    assert main(["demo", "--root", str(root), "--out", str(out)]) == 0
    assert {path: path.stat().st_mtime_ns for path in written} == written


@pytest.mark.usefixtures("tiny")
def test_a_run_with_other_settings_or_without_an_end_is_replaced(tmp_path: Path) -> None:
    (off, on), root = demonstration.demonstration(), tmp_path
    recorded(off, root, lr=0.5)
    with pytest.raises(KeyboardInterrupt):
        train(on, root, interrupt)
    assert demonstration.missing_plans(root) == (off, on)
    assert len(list(demonstration.record_demonstration(root, (off, on)))) == 2
    assert demonstration.missing_plans(root) == ()
    assert sorted(path.name for path in (root / "demo-tiny").iterdir()) == ["rnn-none-seed0", "rnn-norm-1.0-seed0"]


def interrupt(seen: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_two_processes_record_what_one_would(tmp_path: Path) -> None:
    plans = TINY[0].plans()
    ours = {
        trained.plan.name: trained.final_loss for trained in demonstration.train_all(plans, tmp_path / "a", workers=2)
    }
    assert ours == {plan.name: train(plan, tmp_path / "b").final_loss for plan in plans}
