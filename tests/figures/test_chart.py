"""The plain chart: what was given is what is drawn, and nothing to draw is no error."""

import numpy as np
import pytest

from graddiag.figures.chart import Axis, Chart, Curve, chart
from graddiag.figures.theme import Theme

X, Y = np.arange(4.0), np.array([1.0, 10.0, np.nan, 0.0])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_points_are_read_back(theme: Theme) -> None:
    figure = chart(
        Chart(Axis("step"), Axis("loss"), (Curve("a", X, Y), Curve("b", X, 2 * X, dashed=True))), theme=theme
    )
    one, other = figure.data
    np.testing.assert_array_equal(one.y, Y.astype(np.float32))
    assert (one.name, other.name, other.line.dash) == ("a", "b", "dash")
    assert one.line.color != other.line.color
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("step", "loss")
    assert figure.layout.showlegend


def test_a_log_axis_leaves_out_what_is_not_above_zero() -> None:
    figure = chart(Chart(Axis("step"), Axis("norm", log=True), (Curve("a", X, Y),), levels=((5.0, "here"),)))
    np.testing.assert_array_equal(figure.data[0].y, np.array([1, 10, np.nan, np.nan], dtype=np.float32))
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.annotations[0].text == "here"
    assert figure.layout.annotations[0].y == pytest.approx(np.log10(5))
    assert not figure.layout.showlegend


def test_an_interval_is_a_band_of_its_own_colour() -> None:
    band, line = chart(Chart(Axis("x"), Axis("y"), (Curve("a", X, X, low=X - 1, high=X + 1),))).data
    assert band.fillcolor == line.line.color
    np.testing.assert_array_equal(band.y, np.concatenate([X - 1, (X + 1)[::-1]]).astype(np.float32))


def test_words_at_points_are_text_and_no_markup() -> None:
    (trace,) = chart(Chart(Axis("x"), Axis("y"), (Curve("a", X[:1], X[:1], mode="text", texts=("<b>$x$",)),))).data
    assert trace.text == ("&lt;b&gt;&#36;x&#36;",)


@pytest.mark.parametrize("y", [np.array([]), np.full(3, np.nan), np.array([1.0]), np.array([np.inf, -np.inf, 1.0])])
@pytest.mark.parametrize("log", [False, True])
def test_awkward_curves_are_drawn(y: np.ndarray, log: bool) -> None:
    x = np.arange(len(y), dtype=float)
    figure = chart(Chart(Axis("x", log=log), Axis("y", log=log), (Curve("a", x, y), Curve("b", x, y, low=y, high=y))))
    assert figure.to_json()


def test_no_curve_at_all_is_drawn() -> None:
    assert chart(Chart(Axis("x"), Axis("y", log=True), ())).to_json()


def test_a_long_curve_keeps_its_peak() -> None:
    y = np.zeros(50_000)
    y[31_234] = 7.0
    (trace,) = chart(Chart(Axis("x"), Axis("y"), (Curve("a", np.arange(50_000.0), y),))).data
    assert len(trace.y) <= 2001
    assert max(trace.y) == 7.0
