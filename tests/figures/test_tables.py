"""The table behind a figure holds its numbers and says what each of them is: read back by value."""

import csv as reader
import io

import numpy as np
import pandas as pd
import pytest

from graddiag import analysis, figures, schema
from graddiag.figures.theme import safe
from graddiag.run import Run
from tests.analysis.runs import (
    INF,
    LAYER,
    NAN,
    awkward,
    gates_frame,
    manifest,
    snapshots_frame,
    steps_frame,
    timesteps_frame,
)
from tests.figures.test_awkward import DAMAGED, FIGURES, PLAIN

CELLS = np.array([[1e-30, 0.0, None, NAN, INF]], dtype=object)
STATES = ["value", "exactly zero", "not measured", "NaN", "inf"]


def run_of(cells: object = CELLS, **fields: object) -> Run:
    return Run.from_frames(manifest(**fields), timesteps=timesteps_frame({schema.GRAD_H: np.asarray(cells)}))


def rows(frame: pd.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    return list(frame[list(columns)].itertuples(index=False, name=None))


def test_a_heatmaps_cells_have_their_numbers_and_states() -> None:
    found = figures.table(figures.heatmap(analysis.heat(run_of(), schema.GRAD_H, LAYER)))
    assert rows(found, "x value", "y value", "state") == [(0, t, state) for t, state in enumerate(STATES)]
    assert found["z value"].tolist() == pytest.approx([1e-30, 0.0, NAN, NAN, INF], rel=1e-4, nan_ok=True)
    assert set(found["z"]) == {
        "Total gradient ‖dL/dh‖, L2 over batch and units, units of the loss, before clipping",
    }
    assert set(found["series"]) == {"clip off, seed 0"}


def test_a_ratio_says_where_its_numbers_are_none() -> None:
    runs = [run_of([[1.0, 1.0, 1.0, 0.0]]), run_of([[3.0, 0.0, NAN, 1.0]], arm="clip on", clip="norm:1")]
    found = figures.table(figures.heat_ratio(analysis.heat_ratio(runs, schema.GRAD_H, LAYER)))
    assert rows(found, "y value", "state") == [
        (0, "value"),
        (1, "exactly zero in clip on"),
        (3, "not measured in both, or zero in clip off"),
        (2, "NaN in either"),
    ]
    assert found["z value"].tolist() == pytest.approx([3.0, 0.0, NAN, NAN], nan_ok=True)


def test_a_profile_has_zero_nan_and_inf_of_the_line_they_belong_to() -> None:
    other = run_of(np.ones((1, 5)), arm="clip on", clip="norm:1", seed=3)
    found = figures.table(figures.profile([analysis.profile(run, 0, LAYER) for run in (run_of(), other)]))
    mine = found[found["series"] == "clip off, seed 0"].fillna({"state": ""})
    assert rows(mine, "x value", "state") == [(0, ""), (3, "NaN"), (4, "inf"), (1, "exactly zero")]
    assert mine["y value"].tolist() == pytest.approx([1e-30, NAN, INF, 0.0], nan_ok=True)
    assert found[found["series"] == "clip on, seed 3"]["y value"].tolist() == [1.0] * 5


def test_what_no_line_can_show_is_not_worth_what_its_height_is() -> None:
    columns = {schema.CLIP_COEFFICIENT: [1.0, 0.0, NAN], schema.LR: [0.1] * 3}
    run = Run.from_frames(manifest(clip="norm:2"), steps=steps_frame([1.0, 2.0, 3.0], **columns))
    found = figures.table(figures.effective_lr(analysis.effective_lr(run))).fillna({"state": ""})
    assert rows(found[found["x value"] > 0], "series", "x value", "state")[:2] == [
        ("clip off, seed 0", 2, "NaN"),
        ("clip off, seed 0", 1, "exactly zero"),
    ]


def test_shares_that_are_drawn_downwards_are_shares() -> None:
    gate = {schema.MEAN: [[0.5]], schema.STD: [[0.0]], schema.SATURATED_LOW: [[0.1]], schema.SATURATED_HIGH: [[0.3]]}
    run = Run.from_frames(manifest(), gates=gates_frame({"f": gate}))
    found = figures.table(figures.gates(analysis.gate_history(run, LAYER)))
    assert found["y value"].tolist() == pytest.approx([0.5, 0.3, 0.1])
    assert found["y"].nunique() == 3


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
AT_FIFTY = [
    Run.from_frames(
        manifest("off-50", arm="clip off", clip="none", config={"length": 50, "lr": 0.1}),
        steps=steps_frame([100.0], **{schema.LOSS: [2.0]}),
    )
]


def test_every_run_across_its_settings_has_the_settings_themselves() -> None:
    found = figures.table(figures.parallel(analysis.experiment(EXPERIMENT, analysis.Goal(schema.LOSS, 1.0))))
    assert rows(found[found["series"] == "clip off, seed 0"], "x value", "y value") == [
        ("arm", "clip off"),
        ("length", 20),
        ("lr", 0.1),
        ("largest norm", 100.0),
        ("loss at the end", 2.0),
    ]
    assert set(found["y"]) == {"value"}


def test_success_has_lengths_and_intervals() -> None:
    result = analysis.experiment(EXPERIMENT, analysis.Goal(schema.LOSS, 1.0))
    found = figures.table(figures.success(result))
    assert rows(found, "series", "x value", "y value") == [("clip off", "20", 0.0), ("=clip on", "50", 1.0)]
    ends = [rate.interval for rate in result.rates]
    np.testing.assert_allclose(found[["low", "high"]].to_numpy(dtype=float), ends, atol=1e-12)


def test_success_at_one_length_is_a_line_for_each_arm_and_the_same_table() -> None:
    result = analysis.experiment(EXPERIMENT[1:] + AT_FIFTY, analysis.Goal(schema.LOSS, 1.0))
    figure = figures.success(result)
    assert figure.layout.yaxis.ticktext == ("=clip on", "clip off")
    assert [trace.x[0] for trace in figure.data] == [1.0, 0.0]
    assert figure.layout.height < 200
    found = figures.table(figure)
    assert rows(found, "series", "x value", "y value") == [("=clip on", "50", 1.0), ("clip off", "50", 0.0)]
    np.testing.assert_allclose(found["low"].astype(float), [rate.interval[0] for rate in result.rates], atol=1e-12)


def test_uprights_leave_out_what_is_the_same_and_keep_heads_on_few_lines() -> None:
    result = analysis.experiment(EXPERIMENT[1:] + AT_FIFTY, analysis.Goal(schema.LOSS, 1.0))
    assert result.shared == {"length": "50", "seed": "0"}
    texts = [note.text for note in figures.parallel(result).layout.annotations]
    assert {"arm", "lr", "largest norm<br>(log)"} <= set(texts)
    assert "length" not in texts


def test_effects_have_pairs_their_median_and_its_interval() -> None:
    runs = []
    for seed, (off, on) in enumerate([(2.0, 1.0), (3.0, 1.0), (2.5, 1.0), (2.4, 1.0), (2.8, 1.0)]):
        for arm, clip, loss in (("clip off", "none", off), ("clip on", "norm:1", on)):
            frame = steps_frame([1.0], **{schema.LOSS: [loss]})
            runs.append(Run.from_frames(manifest(f"{arm}-{seed}", arm=arm, clip=clip, seed=seed), steps=frame))
    found = figures.table(figures.effects(analysis.compare(runs)))
    first = found[found["panel"].str.startswith("Final loss")]
    found_rows = rows(first, "text", "x", "x value")
    assert found_rows[:2] == [
        ("seed 0: 2 to 1", "arm less baseline", -1.0),
        ("seed 1: 3 to 1", "arm less baseline", -2.0),
    ]
    assert found_rows[-1] == ("median of 5 pairs", "arm less baseline", -1.5)
    assert first[["low", "high"]].to_numpy(dtype=float)[-1].tolist() == pytest.approx([-2.0, -1.0])


def test_a_band_has_its_ends() -> None:
    runs = [Run.from_frames(manifest(f"r{n}", seed=n), steps=steps_frame([1.0], loss=[n + 1.0])) for n in range(3)]
    found = figures.table(figures.bands(analysis.bands(runs)))
    assert rows(found, "series", "low", "high")[0] == ("clip off: range", 1.0, 3.0)
    assert found["y value"].tolist()[1] == 2.0


def test_units_are_named() -> None:
    shares = {schema.gate_column(schema.SATURATED_LOW, "f"): [[[0.1, 0.9]]]}
    run = Run.from_frames(manifest(), snapshots=snapshots_frame(shares))
    found = figures.table(figures.gate_units(analysis.gate_units(run, LAYER)))
    assert rows(found, "text", "x value") == [("unit 0", pytest.approx(0.1)), ("unit 1", pytest.approx(0.9))]


def test_text_stands_as_it_was_written_and_is_no_formula() -> None:
    arm = '=HYPERLINK("x") <b>&amp;'
    figure = figures.curves(analysis.loss_curve(Run.from_frames(manifest(arm=arm), steps=PLAIN.steps)))
    assert set(figures.table(figure)["series"]) == {f"{arm}, seed 0"}
    header, *lines = reader.reader(io.StringIO(figures.csv(figure)))
    assert {line[header.index("series")] for line in lines} == {f"'{arm}, seed 0"}
    assert safe(arm) != arm


@pytest.mark.parametrize("name", FIGURES)
def test_no_height_of_a_mark_passes_for_a_number(name: str) -> None:
    """Whatever is not finite, or zero, in the run is so in the table: nothing else is made up for it."""
    for value, kind in ((NAN, "all NaN"), (INF, "all inf"), (0.0, "all zero")):
        found = figures.table(FIGURES[name]([awkward()[kind]]))
        if "state" in found and "z value" in found:
            states = found[found["state"].isin(["NaN", "inf", "exactly zero"])]
            assert all(np.isnan(v) or v in (value, 0.0) for v in states["z value"])
        elif "state" in found:
            marks = found[found["state"].fillna("") != ""]
            assert all(pd.isna(v) or v in (value, 0.0, INF) for v in marks["y value"])


@pytest.mark.parametrize("name", DAMAGED)
def test_figures_of_snapshots_and_experiments_have_tables(name: str) -> None:
    assert len(figures.csv(DAMAGED[name](PLAIN)).splitlines()) >= 1
