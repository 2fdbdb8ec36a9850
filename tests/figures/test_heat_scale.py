"""The colour scale of heatmaps: what a few extreme cells may not stretch, and what is beyond it."""

import numpy as np
import plotly.graph_objects as go
import pytest

from graddiag import analysis, figures, schema
from graddiag.figures.heat_scale import robust_limits
from graddiag.run import Run
from tests.analysis.runs import LAYER, manifest, timesteps_frame

SHAPE = (20, 10)  # steps, timesteps


def heat_of(values: np.ndarray, signal: str = schema.GRAD_H) -> analysis.Heat:
    return analysis.heat(Run.from_frames(manifest(), timesteps=timesteps_frame({signal: values})), signal, LAYER)


def spread(low: float, high: float) -> np.ndarray:
    """Log-uniform from low to high, in order."""
    return np.geomspace(low, high, SHAPE[0] * SHAPE[1]).reshape(SHAPE)


def triangles(figure: go.Figure) -> dict[str, list[tuple[int, int]]]:
    return {
        trace.name: list(zip(trace.x.tolist(), trace.y.tolist(), strict=True))
        for trace in figure.data
        if trace.type == "scatter" and trace.x[0] is not None
    }


def test_values_that_are_spread_evenly_keep_the_whole_scale_and_no_mark() -> None:
    heat = heat_of(spread(1e-6, 1e2))
    assert robust_limits([heat]) == pytest.approx((1e-6, 1e2))
    assert triangles(figures.heatmap(heat, scale="robust")) == {}


def test_one_extreme_cell_is_marked_and_does_not_stretch_the_scale() -> None:
    values = spread(1e-2, 1.0)
    values[3, 4], values[5, 6] = 1e30, 1e-30
    heat = heat_of(values)
    low, high = robust_limits([heat]) or (0, 0)
    assert 0.009 < low < 0.02
    assert 0.9 < high < 1.01
    figure = figures.heatmap(heat, scale="robust")
    assert (3, 4) in triangles(figure)["above the scale"]
    assert (5, 6) in triangles(figure)["below the scale"]
    assert figure.layout.coloraxis.cmax == pytest.approx(np.log10(high), abs=1e-6)


def test_only_the_end_that_is_stretched_moves() -> None:
    values = spread(1e-2, 1.0)
    values[3, 4] = 1e30
    low, high = robust_limits([heat_of(values)]) or (0, 0)
    assert (low, high) == (pytest.approx(1e-2), pytest.approx(1.0, rel=0.1))


def test_no_run_is_left_out_for_the_sake_of_another() -> None:
    """The percentiles are of each run: one whose every value is large keeps them all on the scale."""
    small, large = heat_of(spread(1e-9, 1e-6)), heat_of(np.geomspace(1e3, 1e5, 20).reshape(2, 10))
    assert robust_limits([small, large]) == pytest.approx((1e-9, 1e5))


def test_full_reaches_to_the_extremes() -> None:
    values = spread(1e-2, 1.0)
    values[3, 4] = 1e30
    figure = figures.heatmap(heat_of(values), scale="full")
    assert figure.layout.coloraxis.cmax == pytest.approx(30, abs=1e-3)
    assert triangles(figure) == {}


def test_each_panel_has_its_own_scale_with_its_ends_in_its_title() -> None:
    figure = figures.heatmap([heat_of(spread(1e-6, 1e-3)), heat_of(spread(1.0, 100.0))], scale="own")
    first, second = figure.layout.coloraxis, figure.layout.coloraxis2
    assert (first.cmin, first.cmax) == pytest.approx((-6, -3), abs=1e-5)
    assert (second.cmin, second.cmax) == pytest.approx((0, 2), abs=1e-5)
    assert (first.showscale, second.showscale) == (True, False)
    assert list(first.colorbar.ticktext) == ["lowest", "highest of each panel"]
    heads = [note.text for note in figure.layout.annotations]
    assert any(head.endswith("<br>1.0e-6 to 0.001") for head in heads), heads
    assert any(head.endswith("<br>1 to 100") for head in heads), heads
    assert {trace.coloraxis for trace in figure.data if trace.coloraxis} == {"coloraxis", "coloraxis2"}


def test_a_gain_is_marked_beyond_its_rounded_ends_alone() -> None:
    values = spread(0.5, 2.0)
    values[3, 4] = 1e6
    figure = figures.heatmap(heat_of(values, schema.TRANSPORT_GAIN), scale="robust")
    axis = figure.layout.coloraxis
    assert axis.cmin == -axis.cmax
    assert triangles(figure) == {"above the scale": [(3, 4)]}


@pytest.mark.parametrize("scale", ["full", "robust", "own"])
def test_a_signed_signal_keeps_its_linear_scale(scale: str) -> None:
    cosine = np.linspace(-1, 1, SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    figure = figures.heatmap([heat_of(cosine, schema.GRAD_W_HH_COSINE)] * 2, scale=scale)
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (-1, 1)
    assert triangles(figure) == {}


@pytest.mark.parametrize("scale", ["full", "robust", "own"])
def test_nothing_positive_is_no_scale(scale: str) -> None:
    figure = figures.heatmap([heat_of(np.zeros(SHAPE))] * 2, scale=scale)
    assert triangles(figure) == {}
