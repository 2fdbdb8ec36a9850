"""The tables of results by value: NaN, inf and what was not measured are told apart, and no text is a formula."""

import csv as reader
import io

import numpy as np
import pandas as pd
import pytest

from graddiag import analysis, schema
from graddiag.run import Run
from graddiag.views import ViewContext, view
from graddiag.views.table import csv_of, table_of, to_csv
from tests.analysis.runs import (
    INF,
    LAYER,
    NAN,
    gates_frame,
    manifest,
    snapshots_frame,
    steps_frame,
    timesteps_frame,
)

CELLS = np.array([[1e-30, 0.0, None, NAN, INF]], dtype=object)


def run_of(cells: object = CELLS, **fields: object) -> Run:
    return Run.from_frames(manifest(**fields), timesteps=timesteps_frame({schema.GRAD_H: np.asarray(cells)}))


def rows(frame: pd.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    return list(frame[list(columns)].itertuples(index=False, name=None))


def test_cells_keep_nan_inf_and_zero_and_leave_out_what_was_not_measured() -> None:
    found = analysis.heat(run_of(), schema.GRAD_H, LAYER).to_frame()
    assert found[schema.TIMESTEP].tolist() == [0, 1, 3, 4]
    assert found[schema.GRAD_H].to_numpy(dtype=float).tolist() == pytest.approx([1e-30, 0.0, NAN, INF], nan_ok=True)
    assert to_csv(found).splitlines()[1:] == ["0,0,1e-30", "0,1,0", "0,3,nan", "0,4,inf"]


def test_a_line_tells_what_is_missing_from_nan() -> None:
    found = analysis.profile(run_of(), 0, LAYER).to_frame()
    assert found[schema.GRAD_H].isna().tolist() == [False, False, True, False, False]
    assert [line.partition(",")[2] for line in to_csv(found).splitlines()[1:]] == ["1e-30", "0", "", "nan", "inf"]


def test_a_ratio_is_natural_and_not_its_logarithm() -> None:
    runs = [run_of([[1.0, 1.0, 1.0]]), run_of([[3.0, 0.0, NAN]], arm="clip on", clip="norm:1")]
    found = analysis.heat_ratio(runs, schema.GRAD_H, LAYER).to_frame()
    assert found["ratio"].to_numpy(dtype=float).tolist() == pytest.approx([3.0, 0.0, NAN], nan_ok=True)


def test_gates_have_a_column_a_measure() -> None:
    gate = {schema.MEAN: [[0.5]], schema.STD: [[0.0]], schema.SATURATED_LOW: [[0.1]], schema.SATURATED_HIGH: [[0.3]]}
    run = Run.from_frames(manifest(), gates=gates_frame({"f": gate}))
    (row,) = analysis.gate_history(run, LAYER).to_frame().to_dict("records")
    assert row == pytest.approx(
        {"step": 0, "mean_f": 0.5, "std_f": 0.0, "saturated_low_f": 0.1, "saturated_high_f": 0.3}
    )


def test_steps_and_timesteps_stand_below_one_another() -> None:
    frame = timesteps_frame({schema.GRAD_H: np.ones((2, 3)), schema.TRANSPORT_GAIN: np.full((2, 3), 0.5)})
    found = analysis.reach(Run.from_frames(manifest(), timesteps=frame), LAYER).to_frame()
    assert found[schema.STEP].dropna().tolist() == [0, 1]
    assert found["gain"].dropna().to_numpy(dtype=float) == pytest.approx(0.5)
    assert found[found[schema.STEP].notna()]["gain"].isna().all()


def test_a_threshold_each_of_a_what_if() -> None:
    run = Run.from_frames(manifest(), steps=steps_frame([1.0, 2.0, 4.0]))
    found = analysis.what_if(run).to_frame()
    assert found["clipped_share"].is_monotonic_decreasing
    assert found["mean_lr"].isna().all()


EXPERIMENT = [
    Run.from_frames(
        manifest(f"{arm}-{length}", arm=arm, clip=clip, config={"length": length, "lr": rate}),
        steps=steps_frame([norm], **{schema.LOSS: [loss]}),
    )
    for arm, clip, length, rate, norm, loss in (
        ("clip off", "none", 20, 0.1, 100.0, 2.0),
        ("=clip on", "norm:1", 50, 0.3, 5.0, 0.1),
    )
]


def test_an_experiment_has_its_runs_its_rates_and_its_courses() -> None:
    context = ViewContext(goal=analysis.Goal(schema.LOSS, 1.0))
    frames = {key: view(key).plots(EXPERIMENT, context)[0].to_frame() for key in ("success", "multiples", "parallel")}
    assert rows(frames["success"], "arm", "length", "successes", "runs") == [
        ("clip off", 20, 0, 1),
        ("=clip on", 50, 1, 1),
    ]
    assert rows(frames["multiples"], "run", schema.STEP, schema.LOSS) == [
        ("clip off-20", 0, 2.0),
        ("=clip on-50", 0, 0.1),
    ]
    assert rows(frames["parallel"], "arm", "length", "lr", "largest_norm") == [
        ("clip off", 20, 0.1, 100.0),
        ("=clip on", 50, 0.3, 5.0),
    ]


def test_units_are_numbered() -> None:
    shares = {schema.gate_column(schema.SATURATED_LOW, "f"): [[[0.1, 0.9]]]}
    run = Run.from_frames(manifest(), snapshots=snapshots_frame(shares))
    found = analysis.gate_units(run, LAYER).to_frame()
    assert rows(found, "gate", schema.UNIT) == [("f", 0), ("f", 1)]
    assert found["saturated_low"].to_numpy(dtype=float) == pytest.approx([0.1, 0.9])


def test_text_stands_as_it_was_written_and_is_no_formula() -> None:
    arm = '=HYPERLINK("x") <b>&amp;'
    run = Run.from_frames(manifest(arm=arm), steps=steps_frame([1.0], loss=[2.0]))
    (plot,) = view("loss").plots([run], ViewContext())
    assert set(plot.to_frame()["arm"]) == {arm}
    header, *lines = reader.reader(io.StringIO(plot.csv()))
    assert {line[header.index("arm")] for line in lines} == {f"'{arm}"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_name_of_a_column_and_no_text_is_a_formula(text: str) -> None:
    (header, line) = reader.reader(io.StringIO(to_csv(pd.DataFrame({text: [text]})), newline=""))
    assert header == line == [f"'{text}".replace("\r", "\n")]


@pytest.mark.parametrize("text", ["a\r=1", "a\r\n=1", "a\n=1", 'a"\r=1', "a,\r=1"])
def test_no_line_break_in_a_text_begins_a_row(text: str) -> None:
    found = list(reader.reader(io.StringIO(to_csv(pd.DataFrame({"note": [text]})), newline="")))
    assert found == [["note"], [text.replace("\r\n", "\n").replace("\r", "\n")]]


def test_numbers_have_as_many_digits_as_asked() -> None:
    frame = pd.DataFrame({"a": [1 / 3]})
    assert (to_csv(frame), to_csv(frame, 3)) == ("a\n0.3333333\n", "a\n0.333\n")


def test_a_result_of_numbers_alone_is_a_row() -> None:
    run = Run.from_frames(manifest(), steps=steps_frame([1.0, 2.0]))
    found = analysis.clip_statistics(run)
    (row,) = found.to_frame().to_dict("records")
    assert row["steps"] == found.steps
    assert table_of([found, found])["run"].tolist() == ["r", "r"] or len(table_of([found, found])) == 2
    assert csv_of(object()) == "\n"
