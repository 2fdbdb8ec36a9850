"""Shares of parameters over the ranks of a run, put together by value."""

import math
from pathlib import Path
from typing import Any

import pytest

import graddiag
from graddiag.run import RankShares
from graddiag.store import RANKS, RunWriter
from tests.store.runs import INF, NAN, manifest

TOTAL = {"a": 4, "b": 2}
HALVES = {"a": 2, "b": 1}


def write_rank(root: Path, name: str, rows: list[dict[str, Any]], own: dict[str, int] = HALVES) -> Path:
    """The folder of a rank: for each step norms of ``a`` and ``b``, the norm of the update in place of the ratio."""
    shares = RankShares(since=0, own=own, total=TOTAL)
    with RunWriter(root, manifest(name, shares=shares, not_in_optimizer=())) as writer:
        for step, row in enumerate(rows):
            norms = {"grad_norm": row["grad"], "grad_norm_clipped": row["clipped"]}
            writer.append("steps", {"step": step, "loss": 1.0, "nonfinite": 0, "update_ratio": 0.5, **norms})
            for parameter in TOTAL:
                own_norms = {"grad_norm": row["grad"], "grad_norm_clipped": row["clipped"], "zeros": 0.25}
                of_update = {"weight_norm": row["weight"], "update_ratio": row["update"]}
                writer.append("parameters", {"step": step, "parameter": parameter, **own_norms, **of_update})
    return writer.path


def row(grad: float = 3.0, clipped: float = 1.5, weight: float = 6.0, update: float = 0.3) -> dict[str, float]:
    return {"grad": grad, "clipped": clipped, "weight": weight, "update": update}


def written(folder: Path, first: list[dict[str, Any]], second: list[dict[str, Any]] | None) -> graddiag.Run:
    path = write_rank(folder, "r", first)
    if second is not None:
        write_rank(path / RANKS, "rank-1", second)
    return graddiag.load_run(path)


def test_norms_are_roots_of_sums_of_squares(tmp_path: Path) -> None:
    run = written(tmp_path, [row()], [row(grad=4.0, clipped=2.0, weight=8.0, update=0.4)])
    step = run.steps.iloc[0]
    assert step.grad_norm == pytest.approx(5.0)
    assert step.grad_norm_clipped == pytest.approx(2.5)
    assert step.clip_coefficient == pytest.approx(0.5)
    assert step.update_ratio == pytest.approx(0.05)  # both parameters: sqrt(2 * 0.25) / sqrt(2 * 100)
    for _, parameter in run.parameters.iterrows():
        assert parameter.weight_norm == pytest.approx(10.0)
        assert parameter.update_ratio == pytest.approx(0.05)
        assert parameter.zeros == pytest.approx(0.5)


@pytest.mark.parametrize("broken", [NAN, INF])
def test_an_update_that_is_not_finite_in_one_rank_is_not_finite_in_the_whole(broken: float, tmp_path: Path) -> None:
    run = written(tmp_path, [row(), row()], [row(), row(update=broken)])
    before, after = run.steps.update_ratio.astype("float64")
    assert before == pytest.approx(0.05)
    assert math.isnan(after) if math.isnan(broken) else math.isinf(after)
    assert run.steps.update_ratio.notna().tolist()[0]


def test_weights_that_are_nan_leave_the_ratio_nan_without_a_warning(tmp_path: Path) -> None:
    run = written(tmp_path, [row()], [row(weight=NAN, update=NAN)])
    assert math.isnan(float(run.steps.update_ratio.iloc[0]))


def test_without_weights_an_update_ratio_is_no_number_and_no_warning(tmp_path: Path) -> None:
    nothing = row(weight=0.0, update=0.0)
    assert written(tmp_path, [nothing], [nothing]).steps.update_ratio.tolist() == [0.0]


def test_a_rank_that_is_not_there_leaves_norms_missing(tmp_path: Path) -> None:
    run = written(tmp_path, [row()], None)
    assert run.steps[["grad_norm", "grad_norm_clipped", "clip_coefficient", "update_ratio"]].isna().all(axis=None)
    assert run.parameters[["grad_norm", "weight_norm", "update_ratio", "zeros"]].isna().all(axis=None)
    assert run.steps.loss.tolist() == [1.0]


def test_steps_that_a_rank_has_not_written_are_missing(tmp_path: Path) -> None:
    run = written(tmp_path, [row(), row()], [row()])
    assert run.steps.grad_norm.isna().tolist() == [False, True]


def test_a_condition_on_a_combined_column_is_one_on_the_whole(tmp_path: Path) -> None:
    run = written(tmp_path, [row(), row(grad=6.0)], [row(grad=4.0), row(grad=8.0)])
    assert run.read("steps", columns=["step"], where={"grad_norm": 10.0}).step.tolist() == [1]


def test_steps_between_those_asked_for_are_left_out(tmp_path: Path) -> None:
    run = written(tmp_path, [row(), row(), row()], [row(), row(), row(update=3.0)])
    found = run.read("steps", columns=["step", "update_ratio"], where={"step": [0, 2]})
    assert found.step.tolist() == [0, 2]
    expected = [0.3 / 6, math.hypot(0.3, 3.0) / math.hypot(6.0, 6.0)]
    assert found.update_ratio.tolist() == pytest.approx(expected)
