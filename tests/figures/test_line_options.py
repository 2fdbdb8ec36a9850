"""Smoothing, axis and time of curves over training."""

from collections.abc import Sequence

import numpy as np
import pytest

from graddiag import figures, schema, views
from graddiag.analysis import loss_curve, norm_history, training_course
from graddiag.figures import LineOptions
from graddiag.run import Run
from tests.analysis.runs import NAN, awkward, manifest, steps_frame

LOSS = [8.0, 4.0, 6.0, 2.0, 3.0, 1.0]
TIMES = [10.0, 20.0, 40.0, 80.0, 160.0, 320.0]


def run(loss: Sequence[float] = LOSS, times: Sequence[float] | None = TIMES, **fields: object) -> Run:
    columns = {schema.LOSS: list(loss)} | ({} if times is None else {schema.WALL_TIME: list(times)})
    return Run.from_frames(manifest(**fields), steps=steps_frame([1.0] * len(loss), **columns))


def tensorboard(values: Sequence[float], weight: float) -> list[float]:
    """The moving average of TensorBoard's scalar dashboard, as its source has it: debiased, over finite values."""
    last, count, found = 0.0, 0, []
    for value in values:
        if not np.isfinite(value):
            found.append(value)
            continue
        last, count = last * weight + (1 - weight) * value, count + 1
        found.append(last / (1 - weight**count))
    return found


@pytest.mark.parametrize("weight", [0.01, 0.6, 0.99])
def test_a_smoothed_line_is_tensorboards(weight: float) -> None:
    loss = [5.0, 1.0, NAN, 2.0, 7.0, 0.5]
    figure = figures.curves(loss_curve(run(loss)), lines=LineOptions(weight))
    faint, smoothed = (trace for trace in figure.data if trace.mode == "lines")
    np.testing.assert_allclose(faint.y, loss, rtol=1e-6)
    np.testing.assert_allclose(smoothed.y, tensorboard(loss, weight), rtol=1e-6)
    assert faint.opacity < smoothed.opacity
    assert (faint.showlegend, smoothed.showlegend) == (False, True)
    assert any(trace.name == "NaN" for trace in figure.data), "what is not finite stays marked"


@pytest.mark.parametrize("weight", [-0.1, 1.0, NAN])
def test_a_weight_out_of_range_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="smoothing must be"):
        LineOptions(weight)


@pytest.mark.parametrize(
    ("scale", "of_loss", "of_norm"), [("usual", None, "log"), ("linear", None, None), ("log", "log", "log")]
)
def test_the_scale_of_the_axis(scale: str, of_loss: str | None, of_norm: str | None) -> None:
    lines = LineOptions(scale=scale)  # type: ignore[arg-type]
    course = figures.course(training_course(run()), lines=lines)
    assert [course.layout.yaxis.type, course.layout.yaxis2.type] == [of_loss, of_norm]
    assert figures.norms(norm_history(run()), lines=lines).layout.yaxis.type == of_norm
    assert figures.curves(loss_curve(run()), lines=lines).layout.yaxis.type == of_loss


def test_along_time_each_value_lies_where_its_step_ended() -> None:
    found = run()
    lines = LineOptions(along="time").timed([loss_curve(found, [schema.WALL_TIME])])
    figure = figures.course(training_course(found), lines=lines)
    for trace in (trace for trace in figure.data if trace.mode == "lines"):
        np.testing.assert_allclose(trace.x, np.array(TIMES) / 60)
    assert figure.layout.xaxis2.title.text == "minutes since the run began"
    assert figures.axis_roles(figure) == {}, "no axis counts steps"


@pytest.mark.parametrize(("last", "unit"), [(3.0, "seconds"), (119, "seconds"), (121, "minutes"), (7300, "hours")])
def test_the_unit_of_time_follows_the_longest_run(last: float, unit: str) -> None:
    short, long = run(LOSS[:2], [0.5, 1.0], name="short"), run(LOSS[:2], [1.0, last], name="long")
    times = [loss_curve(each, [schema.WALL_TIME]) for each in (short, long)]
    figure = figures.curves([loss_curve(short), loss_curve(long)], lines=LineOptions(along="time").timed(times))
    assert figure.layout.xaxis.title.text == f"{unit} since the run began"


def test_the_chosen_steps_alone_are_drawn_along_time() -> None:
    found = run()
    lines = LineOptions(0.5, along="time", steps=(2, 4)).timed([loss_curve(found, [schema.WALL_TIME])])
    figure = figures.curves(loss_curve(found), lines=lines)
    faint, smoothed = (trace for trace in figure.data if trace.mode == "lines")
    assert list(faint.y) == LOSS[2:5]
    np.testing.assert_allclose(
        smoothed.y, tensorboard(LOSS, 0.5)[2:5], rtol=1e-6, err_msg="made of all that came before"
    )


def test_along_samples_each_value_lies_where_the_sequences_of_its_step_end() -> None:
    sizes = [NAN, 10.0, 10.0, NAN, 5.0, 5.0]
    columns = {schema.LOSS: LOSS, schema.BATCH_SIZE: sizes}
    found = Run.from_frames(manifest(), steps=steps_frame([1.0] * len(LOSS), **columns))
    lines = LineOptions(along="samples").timed([loss_curve(found, [schema.BATCH_SIZE])])
    figure = figures.curves(loss_curve(found), lines=lines)
    assert list(figure.data[0].x) == [10, 20, 30, 40, 45, 50]
    assert figure.layout.xaxis.title.text == "sequences trained on (batch size, summed over steps)"
    unknown = LineOptions(along="samples").timed([loss_curve(run(), [schema.BATCH_SIZE])])
    assert figures.curves(loss_curve(run()), lines=unknown).layout.xaxis.title.text == "step"


def test_without_times_the_axis_counts_steps() -> None:
    found = run(times=None)
    lines = LineOptions(along="time").timed([loss_curve(found, [schema.WALL_TIME])])
    figure = figures.curves(loss_curve(found), lines=lines)
    assert list(figure.data[0].x) == [0, 1, 2, 3, 4, 5]
    assert figure.layout.xaxis.title.text == "step"


@pytest.mark.parametrize(
    "lines",
    [
        LineOptions(0.9, "log", "time"),
        LineOptions(0.5, "linear", "samples", steps=(1, 2)),
    ],
)
@pytest.mark.parametrize("name", awkward())
def test_every_awkward_run(name: str, lines: LineOptions) -> None:
    for key in ("course", "norms", "loss", "coefficient"):
        for plot in views.view(key).plots([awkward()[name]], views.ViewContext(lines=lines)):
            figure = plot.figure(theme="light")
            assert figure.data or figures.why_empty(figure)
            assert plot.captions
