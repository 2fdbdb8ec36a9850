"""Key numbers, read back from the traces."""

import numpy as np
import pytest

from graddiag import analysis, figures, schema
from graddiag.figures.lines import decimated
from graddiag.figures.theme import PALETTES, arm_style, arm_styles, labels, safe
from graddiag.run import Run
from tests.analysis.runs import (
    INF,
    LAYER,
    NAN,
    gates_frame,
    manifest,
    net,
    snapshots_frame,
    steps_frame,
    timesteps_frame,
)


def source(
    clip: str | None = "none", arm: str | None = None, run: str = "r", seed: int | None = None
) -> analysis.Source:
    return analysis.Source(run, arm=arm, clip=clip, seed=seed)


def test_heat_is_the_logarithm_on_a_shared_scale() -> None:
    heats = [analysis.heat(net(gain, timesteps=5, steps=2), schema.GRAD_H, LAYER) for gain in (0.1, 10.0)]
    figure = figures.heatmap(heats)
    first, second = (trace for trace in figure.data if trace.coloraxis == "coloraxis")
    np.testing.assert_allclose(first.z[:, 0], [-4, -3, -2, -1, 0], atol=1e-6)
    np.testing.assert_allclose(second.z[:, 1], [4, 3, 2, 1, 0], atol=1e-6)
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == pytest.approx((-4, 4))
    bar = figure.layout.coloraxis.colorbar
    assert "10<sup>−4</sup>" in bar.ticktext  # noqa: RUF001 - a minus sign
    assert bar.title.text == "Total gradient ‖dL/dh‖<br>L2 over batch and units<br>units of the loss, before clipping"
    assert figures.shared_limits(heats) == pytest.approx((1e-4, 1e4))


def test_heat_cells_that_are_no_value_lie_in_traces_of_their_own() -> None:
    cells = np.array([[1.0, 0.0, None, NAN, INF]], dtype=object)
    run = Run.from_frames(manifest(), timesteps=timesteps_frame({schema.GRAD_H: cells}))
    figure = figures.heatmap(analysis.heat(run, schema.GRAD_H, LAYER))
    values, zero, missing, nan, inf = (trace for trace in figure.data if trace.type == "heatmap")
    shown = [np.flatnonzero(np.isfinite(trace.z[:, 0])).tolist() for trace in (values, zero, missing, nan, inf)]
    assert shown == [[0], [1], [2], [3], [4]]
    colors = [trace.colorscale[0][1] for trace in (zero, missing, nan, inf)]
    palette = PALETTES["light"]
    assert colors == [palette.zero, palette.missing, palette.nan, palette.inf]
    legend = {trace.name: trace.marker.color for trace in figure.data if trace.type == "scatter"}
    assert legend == dict(zip(("exactly zero", "not measured", "NaN", "inf"), colors, strict=True))


def test_a_gain_is_shown_about_one() -> None:
    axis = figures.heatmap(analysis.heat(net(0.01), schema.TRANSPORT_GAIN, LAYER)).layout.coloraxis
    assert axis.cmin == -axis.cmax


def test_limits_can_be_given() -> None:
    heat = analysis.heat(net(0.5, timesteps=5), schema.GRAD_H, LAYER)
    axis = figures.heatmap(heat, limits=(1e-3, 1e3)).layout.coloraxis
    assert (axis.cmin, axis.cmax) == pytest.approx((-3, 3))


def test_a_profile_keeps_its_numbers_and_breaks_at_zero() -> None:
    frame = timesteps_frame({schema.GRAD_H: np.array([[1e-30, 0.0, 2.0]])})
    figure = figures.profile(analysis.profile(Run.from_frames(manifest(), timesteps=frame), 0, LAYER))
    line, marks = figure.data
    np.testing.assert_allclose(line.y, [1e-30, np.nan, 2.0])
    assert (marks.name, list(marks.x)) == ("exactly zero", [1])
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.yaxis.title.text == "L2, before clipping"


def test_norms_stand_before_and_after_with_the_threshold() -> None:
    columns = {schema.GRAD_NORM_CLIPPED: [1.0, 2.0], schema.CLIP_COEFFICIENT: [1.0, 0.25]}
    run = Run.from_frames(manifest(clip="norm:2"), steps=steps_frame([1.0, 8.0], **columns))
    history = analysis.norm_history(run)
    before, after, threshold, _ = figures.norms(history).data
    assert (list(before.y), list(after.y), list(threshold.y)) == ([1, 8], [1, 2], [2, 2])
    assert (before.yaxis, after.yaxis) == ("y", "y2")
    assert list(figures.clip_coefficient(history).data[0].y) == [1, 0.25]


def test_norms_that_clipping_left_alone_are_drawn_once() -> None:
    steps = steps_frame([1.0, 2.0], **{schema.GRAD_NORM_CLIPPED: [1.0, 2.0]})
    heads = {"none": "not clipped", "norm:5": "before and after clipping, which changed nothing"}
    for clip, head in heads.items():
        figure = figures.norms(analysis.norm_history(Run.from_frames(manifest(clip=clip), steps=steps)))
        assert len([trace for trace in figure.data if "threshold" not in trace.name]) == 1
        assert [note.text for note in figure.layout.annotations] == [head]


def test_gates_have_mean_and_saturation() -> None:
    gate = {schema.MEAN: [[0.5], [0.6]], schema.STD: [[0.0], [0.0]]}
    gate |= {schema.SATURATED_LOW: [[0.1], [0.2]], schema.SATURATED_HIGH: [[0.3], [0.4]]}
    run = Run.from_frames(manifest(), gates=gates_frame({"f": gate}))
    mean, high, low = figures.gates(analysis.gate_history(run, LAYER)).data
    np.testing.assert_allclose(mean.y, [0.5, 0.6])
    np.testing.assert_allclose(high.y, [0.3, 0.4])
    np.testing.assert_allclose(low.y, [-0.1, -0.2])
    np.testing.assert_allclose(low.customdata, [0.1, 0.2])


def test_reach_shows_gain_and_ratio() -> None:
    found = analysis.reach(net(0.5, timesteps=4, steps=2), LAYER)
    gain, ratio = figures.reach(found).data
    np.testing.assert_allclose(gain.y, [0.5, 0.5])
    np.testing.assert_allclose(ratio.y, [0.125, 0.125])
    _, line, entry = figures.transport(found).data
    assert (entry.name, entry.x) == ("10 to 90% of the steps", (None,))
    np.testing.assert_allclose(line.y, [np.nan, 0.5, 0.5, 0.5])


def test_effects_show_each_pair_and_their_median() -> None:
    runs = []
    for seed, (off, on) in enumerate([(2.0, 1.0), (3.0, 1.0), (2.5, 1.0), (2.4, 1.0), (2.8, 1.0)]):
        for arm, clip, loss in (("clip off", "none", off), ("clip on", "norm:1", on)):
            frame = steps_frame([1.0], **{schema.LOSS: [loss]})
            runs.append(Run.from_frames(manifest(f"{arm}-{seed}", arm=arm, clip=clip, seed=seed), steps=frame))
    figure = figures.effects(analysis.compare(runs))
    points, middle = figure.data[:2]
    assert (list(points.x), list(middle.x)) == (pytest.approx([-1, -2, -1.5, -1.4, -1.8]), [-1.5])
    assert (middle.error_x.array[0], middle.error_x.arrayminus[0]) == pytest.approx((0.5, 0.5))
    assert figure.layout.xaxis.range[0] < -2 < 0 < figure.layout.xaxis.range[1]
    assert figure.layout.annotations[0].text == "Final loss: -1.5 [-2, -1] (94%, n=5)"


def test_a_pair_with_a_run_of_nan_is_a_triangle_at_the_end_of_the_axis() -> None:
    runs = []
    for seed, (off, on) in enumerate([(NAN, 1.0), (3.0, 1.0), (2.0, 1.0)]):
        for arm, clip, loss in (("clip off", "none", off), ("clip on", "norm:1", on)):
            frame = steps_frame([1.0], **{schema.LOSS: [loss]})
            runs.append(Run.from_frames(manifest(f"{arm}-{seed}", arm=arm, clip=clip, seed=seed), steps=frame))
    figure = figures.effects(analysis.compare(runs))
    points = figure.data[0]
    assert list(points.marker.symbol) == ["triangle-left", "circle", "circle"]
    assert points.x[0] == figure.layout.xaxis.range[0]
    assert figure.layout.annotations[0].text == "Final loss: -2 (n=3)"


def test_an_arm_has_one_colour_and_dash_everywhere() -> None:
    off, on, other = source(arm="clip off"), source("norm:1.0", "clip on"), source("norm:5", "clip 5")
    assert arm_styles([on, off, on]) == (arm_style(on), arm_style(off), arm_style(on))
    assert arm_style(on) != arm_style(off)
    third = arm_styles([off, on, other])[2]
    assert third.color not in (arm_style(off).color, arm_style(on).color)
    assert len({style.dash for style in arm_styles([off, on, other])}) == 3


def test_an_arm_that_stands_alone_has_a_solid_line() -> None:
    on = source("norm:1.0", "clip on")
    (alone, again) = arm_styles([on, on])
    assert (alone.dash, alone.color) == ("solid", arm_style(on).color)
    assert alone == again
    assert arm_style(on).dash != "solid"


def test_a_constant_has_one_tick_at_its_value() -> None:
    run = Run.from_frames(manifest(), steps=steps_frame([7.25400282] * 3, **{schema.LOSS: [7.25400282] * 3}))
    for figure in (figures.norms(analysis.norm_history(run)), figures.curves(analysis.loss_curve(run))):
        assert (figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext) == ((pytest.approx(7.254),), ("7.25",))
        low, high = figure.layout.yaxis.range
        assert high - low < 2


def test_an_axis_that_is_cut_says_where() -> None:
    loss = [1.0] * 39 + [1000.0]
    runs = [Run.from_frames(manifest(), steps=steps_frame([1.0] * 40, **{schema.LOSS: loss}))]
    figure = figures.multiples(analysis.experiment(runs, analysis.Goal(schema.LOSS, 0.5)))
    assert figure.layout.yaxis.title.text == "loss, cut at 1.05"
    assert figure.layout.yaxis.range[0] < 0
    assert "goal 0.5" in [note.text for note in figure.layout.annotations]
    plain = [Run.from_frames(manifest(), steps=steps_frame([1.0] * 40, **{schema.LOSS: [1.0] * 40}))]
    figure = figures.multiples(analysis.experiment(plain, analysis.Goal(schema.LOSS, 0.5)))
    assert figure.layout.yaxis.title.text == "loss"


def test_runs_that_would_be_called_alike_are_told_apart() -> None:
    assert labels([source(arm="a", seed=1, run="x"), source(arm="a", seed=1, run="y"), source(arm="b")]) == [
        "a, seed 1 (x)",
        "a, seed 1 (y)",
        "b",
    ]


def test_decimation_keeps_peaks_ends_and_gaps() -> None:
    values = np.zeros(100_000)
    values[12_345], values[54_321] = 9.0, -9.0
    values[70_000:80_000] = NAN
    kept = decimated(values)
    assert len(kept) <= 2000
    assert {12_345, 54_321} <= set(kept.tolist())
    assert np.isnan(values[kept]).sum() >= 50
    assert (np.diff(kept) > 0).all()
    assert decimated(values[:50]).tolist() == list(range(50))


def test_text_of_users_is_made_harmless() -> None:
    assert safe("<a href='x'>$y$</a> %{x}") == "&lt;a href='x'&gt;&#36;y&#36;&lt;/a&gt; %&#123;x}"


def test_captions_are_those_of_the_results() -> None:
    found = analysis.reach(net(0.5), LAYER)
    assert figures.caption(found) == found.caption


def clipped_run(clip: str = "norm:2") -> Run:
    columns = {schema.CLIP_COEFFICIENT: [1.0, 0.5, 0.0, NAN], schema.LR: [0.1] * 4}
    return Run.from_frames(manifest(clip=clip), steps=steps_frame([1.0, 4.0, 2.0, NAN], **columns))


def test_what_if_shows_the_curves_the_threshold_and_the_range() -> None:
    many = Run.from_frames(manifest(clip="norm:2"), steps=steps_frame([1.0, 2.0, 3.0] * 50))
    found, range_ = analysis.what_if(clipped_run()), analysis.recommended_thresholds(many)
    figure = figures.what_if(found, range_)
    share, mean, median, lr, *entries = figure.data
    np.testing.assert_allclose(share.y, found.drawn.clipped_share, rtol=1e-6)
    np.testing.assert_allclose(mean.y, found.drawn.mean_coefficient, rtol=1e-6)
    np.testing.assert_allclose(median.y, found.drawn.median_coefficient, rtol=1e-6)
    np.testing.assert_allclose(lr.y, found.drawn.mean_lr, rtol=1e-6)
    assert [entry.name for entry in entries] == ["set: C = 2", "suggested: C = 3.1", "reasonable: 1 to 20"]
    assert figure.layout.xaxis.type == "log"
    assert {shape.type for shape in figure.layout.shapes} == {"line", "rect"}


def test_the_effective_learning_rate_marks_zero_and_nan() -> None:
    line, zero_or_bad, other, nominal = figures.effective_lr(analysis.effective_lr(clipped_run())).data
    np.testing.assert_allclose(line.y, [0.1, 0.05, np.nan, np.nan], rtol=1e-6)
    assert {zero_or_bad.name: list(zero_or_bad.x), other.name: list(other.x)} == {
        "NaN": [3],
        "exactly zero": [2],
    }
    np.testing.assert_allclose(nominal.y, [0.1] * 4, rtol=1e-6)


def test_weights_in_time_show_shares_cosines_and_how_many_teach() -> None:
    frame = timesteps_frame({schema.GRAD_W_HH: [[0.0, 3.0, 4.0]], schema.GRAD_W_HH_COSINE: [[NAN, 0.6, 0.8]]})
    found = analysis.weight_contributions(Run.from_frames(manifest(), timesteps=frame), LAYER)
    share, zero, cosine, _ = figures.weight_contributions(found).data
    np.testing.assert_allclose(share.y, [np.nan, 3 / 7, 4 / 7], rtol=1e-6)
    assert (zero.name, list(zero.x)) == ("exactly zero", [0])
    np.testing.assert_allclose(cosine.y, [np.nan, 0.6, 0.8], rtol=1e-6)
    effective_timesteps, cancellation = figures.effective_timesteps(found).data
    np.testing.assert_allclose([*effective_timesteps.y, *cancellation.y], [49 / 25, 5 / 7], rtol=1e-6)


def test_karpathys_plot_has_a_dot_a_unit_and_a_panel_a_gate() -> None:
    columns = {
        schema.gate_column(schema.SATURATED_LOW, "f"): [[[0.1, 0.9]]],
        schema.gate_column(schema.SATURATED_HIGH, "f"): [[[0.4, 0.0]]],
        schema.gate_column(schema.SATURATED_LOW, "o"): [[[0.2, NAN]]],
    }
    run = Run.from_frames(manifest(), snapshots=snapshots_frame(columns))
    forget, output, line = figures.gate_units(analysis.gate_units(run, LAYER)).data
    np.testing.assert_allclose([forget.x, forget.y], [[0.1, 0.9], [0.4, 0.0]], rtol=1e-6)
    assert list(forget.text) == ["unit 0", "unit 1"]
    assert list(output.text) == ["unit 0"]
    assert (forget.xaxis, output.xaxis) == ("x", "x2")
    assert line.name == "always saturated"


def test_the_cell_path_and_time_constants_stand_by_timestep_and_over_training() -> None:
    frame = timesteps_frame({schema.GRAD_C: [[1.0, 2.0, 4.0]], schema.GRAD_C_PATH: [[0.5, 3.0, 0.0]]})
    gate = {schema.MEAN: [[0.5, 0.9]], schema.STD: [[0.0, 0.0]]}
    gate |= {schema.SATURATED_LOW: [[0.0, 0.0]], schema.SATURATED_HIGH: [[0.0, 0.0]]}
    run = Run.from_frames(manifest(), timesteps=frame, gates=gates_frame({"f": gate}))
    by_timestep, over_training = figures.cell_path(analysis.cell_path(run, LAYER)).data
    np.testing.assert_allclose(by_timestep.y, [0.5, 1.5, np.nan])
    np.testing.assert_allclose(over_training.y, [1.0])
    by_timestep, over_training = figures.time_constants(analysis.time_constants(run, LAYER)).data
    np.testing.assert_allclose(by_timestep.y, [-1 / np.log(0.5), -1 / np.log(0.9)], rtol=1e-6)
    np.testing.assert_allclose(over_training.y, [-1 / np.log(0.7)], rtol=1e-6)


def test_a_horizon_stands_against_its_distances_and_endless_steps_are_marked() -> None:
    gains = np.array([[1.0, 0.5, 0.5], [1.0, 2.0, 2.0]])
    frame = timesteps_frame({schema.TRANSPORT_GAIN: gains, schema.GRAD_H: np.ones((2, 3))})
    run = Run.from_frames(manifest(config={"distance": 2}), timesteps=frame)
    line, endless, task, length = figures.horizon(analysis.reach(run, LAYER)).data
    np.testing.assert_allclose(line.y, [1 / np.log(2), np.nan], rtol=1e-6)
    assert (endless.name, list(endless.x)) == ("does not fade", [1])
    assert (list(task.y), task.name, list(length.y)) == ([2, 2], "task's distance 2", [3, 3])


def test_a_distance_far_from_the_horizon_does_not_squash_it() -> None:
    figure = figures.horizon(analysis.reach(net(0.5, timesteps=60), LAYER))
    assert [trace.name for trace in figure.data[-1:]] == ["length of the sequence 60, above the axis"]
    low, high = figure.layout.yaxis.range
    assert low < np.log10(1 / np.log(2)) < high < np.log10(10)


def test_the_chosen_step_has_its_name_once() -> None:
    figure = figures.reach(analysis.reach(net(0.5, steps=30), LAYER))
    for axis in ("", "2"):
        figures.mark_step(figure, 20, f"x{axis}", f"y{axis}")
    assert [shape.x0 for shape in figure.layout.shapes if shape.x0 == shape.x1] == [20, 20]
    (name,) = [note for note in figure.layout.annotations if note.text.startswith("step")]
    assert (name.text, name.x, name.xanchor) == ("step 20", 20, "right")
    assert name.bgcolor.endswith("0.75)")  # lines are seen through it


def test_layers_have_their_gain_and_interval() -> None:
    (points,) = figures.layers(analysis.reaches(net(0.5, timesteps=4, steps=3))).data
    np.testing.assert_allclose(points.x, [0.5])
    np.testing.assert_allclose([points.error_x.array[0], points.error_x.arrayminus[0]], 0.0, atol=1e-12)
    assert points.text[0] == "lstm, layer 0, forward: horizon 1.44 timesteps"
