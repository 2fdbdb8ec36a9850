"""Temporal order under SGD, clipping and Omega, reduced: a seed of each case, as few steps as show it.

50 tanh units, weights from N(0, .1^2), SGD, batch 20, as ``graddiag lab pascanu`` trains them.
"""

from pathlib import Path
from typing import Any

import pytest

from graddiag import Run, load_run, schema
from graddiag.analysis import reach, selections
from graddiag.lab import plan_run, train, training_spec

pytestmark = pytest.mark.slow


def recorded(root: Path, length: int, **settings: Any) -> Run:
    given = {"hidden": 50, "init_std": 0.1, "batch": 20, "lr": 0.1, "until_error": 0.01, "every": 50, "seed": 6}
    given["criterion"] = "batches"  # the errors of which are counted here
    return load_run(
        train(plan_run(training_spec("temporal-order", "rnn", **{**given, **settings}, length=length)), root).path
    )


def error(run: Run) -> float:
    """Mean over the last 100 steps."""
    return float(run.steps["error"].tail(100).mean())


def test_at_30_timesteps_clipping_decides(tmp_path: Path) -> None:
    free = recorded(tmp_path / "free", 30, steps=1400)
    clipped = recorded(tmp_path / "clipped", 30, steps=1700, clip="norm:1")
    assert error(free) > 0.6
    assert error(clipped) < 0.05
    assert len(clipped.steps) < 1700


def test_omega_beside_clipping_solves_it_in_fewer_steps(tmp_path: Path) -> None:
    run = recorded(tmp_path, 30, steps=1200, clip="norm:1", omega=2.0)
    assert error(run) < 0.05
    assert len(run.steps) < 1200


def test_at_10_timesteps_there_is_nothing_for_clipping_to_do(tmp_path: Path) -> None:
    free = recorded(tmp_path / "free", 10, steps=600)
    clipped = recorded(tmp_path / "clipped", 10, steps=600, clip="norm:1")
    assert error(free) < 0.05
    assert error(clipped) < 0.05


@pytest.mark.parametrize(("length", "lr"), [(50, 0.1), (30, 0.01)])
def test_where_the_gradient_vanishes_clipping_cannot_help(tmp_path: Path, length: int, lr: float) -> None:
    free = recorded(tmp_path / "free", length, lr=lr, steps=200, seed=1)
    clipped = recorded(tmp_path / "clipped", length, lr=lr, steps=200, seed=1, clip="norm:1")
    assert free.steps[schema.LOSS].equals(clipped.steps[schema.LOSS])
    assert (clipped.steps[schema.CLIP_COEFFICIENT] == 1).all()
    assert error(clipped) > 0.6
    ratio = reach(clipped, selections(clipped)[0]).ratio
    assert ratio is not None
    assert ratio < 1e-3
