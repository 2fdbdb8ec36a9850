"""The figures of the lessons draw the numbers they are given, at every corner of the sliders."""

import json
import math

import numpy as np
import plotly.graph_objects as go
import pytest

from graddiag.figures import lesson_maps, lessons
from graddiag.figures.theme import Theme
from graddiag.lessons import cliff, clipping, gates, losses, vanishing


def named(figure: go.Figure, name: str) -> go.Scatter:
    (trace,) = (trace for trace in figure.data if trace.name == name and trace.showlegend is not False)
    return trace


EVERY = {
    "decay": lambda theme: lessons.decay(vanishing.decay(0.9, 60, "tanh", 0.5), theme=theme),
    "dead relu": lambda theme: lessons.decay(vanishing.decay(0.5, 60, "relu", 0.0), theme=theme),
    "far decay": lambda theme: lessons.decay(vanishing.decay(0.5, 120, "sigmoid", 3.0), theme=theme),
    "powers": lambda theme: lessons.powers(vanishing.powers(0.9, 5, 80), theme=theme),
    "powers of one": lambda theme: lessons.powers(vanishing.powers(1.0, 0.0, 80), theme=theme),
    "kept": lambda theme: lessons.kept(gates.keep(-2.0, 200, 1.0, 2.0), theme=theme),
    "section": lambda theme: lessons.section(cliff.section(4.6), theme=theme),
    "slopes": lambda theme: lessons.slopes(losses.slopes(-6.0), theme=theme),
    "escape": lambda theme: lessons.escape(losses.escape(-12.0, 10.0, 1000), theme=theme),
    "cliff": lambda theme: lesson_maps.cliff(cliff.surface(), [cliff.descend((4.6, -2), 2, "none", 5)], theme=theme),
    "gradient": lambda theme: lesson_maps.cliff(cliff.surface(), [], shown="gradient", theme=theme),
    "arrow": lambda theme: lesson_maps.arrow(clipping.clip_each((3.0, 0.1), 1.0, 0.25)[1], extent=4, theme=theme),
    "inf": lambda theme: lesson_maps.arrow(clipping.clip_each((math.inf, 0.1), 1.0, 0.25)[1], extent=4, theme=theme),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", EVERY)
def test_it_renders_stays_small_and_has_its_table(name: str, theme: Theme) -> None:
    figure = EVERY[name](theme)
    assert len(figure.to_json()) < 400_000
    json.loads(figure.to_json())
    assert figure.layout.height >= 200


def test_the_lines_are_the_numbers() -> None:
    result = vanishing.decay(0.9, 60, "identity", 1.0)
    drawn = named(lessons.decay(result), result.norms.title)
    np.testing.assert_allclose(drawn.y, result.norms.values, rtol=1e-6)
    assert drawn.x.tolist() == list(range(60))


def test_lines_that_lie_on_each_other_are_all_seen() -> None:
    result = gates.keep(2.0, 60, 0.0, 0.5)
    lstm, gru, *_ = lessons.kept(result).data
    np.testing.assert_allclose(lstm.y, gru.y, rtol=1e-5)
    assert lstm.line.width > 2 * gru.line.width
    circles = named(lessons.kept(result), result.theory.title)
    assert circles.mode == "markers"
    assert len(circles.x) == 60 > circles.marker.maxdisplayed


def test_the_slopes_stand_below_the_norms_over_the_same_timesteps() -> None:
    result = vanishing.decay(0.9, 60, "tanh", 0.5)
    figure = lessons.decay(result)
    slope = next(trace for trace in figure.data if trace.name == result.slope.title)
    np.testing.assert_allclose(slope.y, result.slope.values, rtol=1e-6)
    assert slope.yaxis == "y2"
    assert figure.layout.xaxis.matches == "x2"


def test_the_bound_on_powers_may_leave_the_picture_and_the_powers_not() -> None:
    result = vanishing.powers(0.9, 5.0, 80)
    figure = lessons.powers(result)
    low, high = figure.layout.yaxis.range
    assert 10**low < result.radius.values.min()
    assert result.peak < 10**high < result.bound.values.max()
    np.testing.assert_allclose(named(figure, result.bound.title).y[:5], result.spectral_norm ** np.arange(1, 6), 1e-6)


def test_the_wall_is_drawn_on_a_linear_axis_and_its_gradient_on_a_log_axis() -> None:
    figure = lessons.section(cliff.section(4.6))
    assert figure.layout.yaxis.type != "log"
    assert figure.layout.yaxis2.type == "log"
    assert figure.layout.xaxis2.title.text == "b, bias"


def test_exact_zeros_are_marked_on_the_log_axis() -> None:
    figure = lessons.decay(vanishing.decay(0.5, 60, "relu", 0.0))
    assert len(named(figure, "exactly zero").x) == 59


def test_the_paths_start_where_they_are_told_to() -> None:
    descents = [cliff.descend((4.6, -2.0), 0.5, clip, 30) for clip in ("none", "norm:0.1")]
    figure = lesson_maps.cliff(cliff.surface(), descents)
    for descent, name in zip(descents, ("without clipping", "with norm:0.1"), strict=True):
        np.testing.assert_allclose(named(figure, name).x, descent.points[:, 0])
    assert (named(figure, "start").x, named(figure, "start").y) == ((4.6,), (-2.0,))


def test_an_arrow_ends_where_the_policy_left_the_gradient() -> None:
    _, norm, *_ = clipping.clip_each((3.0, 4.0), 1.0, 0.25)
    figure = lesson_maps.arrow(norm, extent=5)
    assert named(figure, "after").x == pytest.approx((0.6,), rel=1e-6)
    assert figure.layout.shapes[0].type == "circle"
    assert figure.layout.shapes[0].x1 == 1.0


def test_an_inf_is_said_in_words() -> None:
    _, norm, *_ = clipping.clip_each((math.inf, 2.0), 1.0, 0.25)
    texts = [annotation.text for annotation in lesson_maps.arrow(norm, extent=5).layout.annotations]
    assert texts == ["before: (inf, 2)", "after: (NaN, 0)"]
