"""Numbers read back from the figures of the loss, the updates, the noise, the depth and the zeros."""

import numpy as np
import pandas as pd
import pytest

from graddiag import analysis, figures, schema
from graddiag.run import Run
from tests.analysis.flow.test_depth import stacked
from tests.analysis.optimization.test_loss import run_of as losing
from tests.analysis.optimization.test_noise import run_of as noisy
from tests.analysis.runs import manifest, steps_frame, timesteps_frame


def test_the_loss_with_its_level_its_jumps_and_chance() -> None:
    loss = [1.4] * 300
    loss[100] = 9.0
    found = analysis.loss_dynamics(losing(loss))
    figure = figures.loss(found)
    level = next(trace for trace in figure.data if trace.name.endswith(": level"))
    assert level.x.tolist() == found.level_steps.tolist()
    assert level.y == pytest.approx(found.levels)
    (jump,) = [trace for trace in figure.data if trace.name.endswith(": jump")]
    assert (jump.x.tolist(), jump.y.tolist()) == ([100], [9.0])
    assert figure.layout.shapes[0].y0 == pytest.approx(np.log(4))


def test_a_short_run_has_a_loss_but_no_level() -> None:
    names = [trace.name for trace in figures.loss(analysis.loss_dynamics(losing([2.0, 1.0]))).data]
    assert names == ["clip off"]


def test_updates_beside_the_rule_of_thumb() -> None:
    steps = steps_frame([1.0] * 3, **{schema.UPDATE_RATIO: [1e-2, 1e-3, 1e-4]})
    figure = figures.updates(analysis.updates(Run.from_frames(manifest(), steps=steps)))
    assert figure.data[0].y == pytest.approx([1e-2, 1e-3, 1e-4])
    assert figure.layout.shapes[0].y0 == 1e-3


def test_the_cosine_and_the_share_of_signal() -> None:
    figure = figures.noise(analysis.gradient_noise(noisy([0.8] * 100 + [0.2] * 100)))
    assert figure.data[0].y[:2] == pytest.approx([0.8, 0.8])
    signal = figure.data[1]
    assert (float(signal.y[0]), float(signal.y[-1])) == (pytest.approx(0.8), pytest.approx(0.2))
    assert signal.x[0] == 12.0


def test_layers_are_told_apart_by_dashes() -> None:
    top = np.array([[3.0, 4.0], [6.0, 8.0]])
    figure = figures.depth(analysis.depth(stacked(top * 4, top * 2, top)))
    assert [trace.name for trace in figure.data] == [f"net, layer {layer}, forward" for layer in range(3)]
    assert figure.data[0].y == pytest.approx([20.0, 40.0])
    assert len({trace.line.dash for trace in figure.data}) == 3


def test_zeros_by_parameter_the_most_on_top() -> None:
    rows = [(0, "w", 0.1), (1, "w", 0.3), (0, "<b>e", 0.9), (1, "<b>e", 0.9)]
    table = pd.DataFrame(rows, columns=[schema.STEP, schema.PARAMETER, schema.ZEROS])
    run = Run.from_frames(manifest(), parameters=table, timesteps=timesteps_frame({schema.GRAD_H: [[1.0, 1.0]]}))
    median, largest = figures.numerics(analysis.numerics(run)).data
    assert list(median.y) == ["w", "&lt;b&gt;e"]
    assert median.x == pytest.approx([0.2, 0.9])
    assert largest.x == pytest.approx([0.3, 0.9])


def test_the_zeros_of_two_arms_are_one_picture() -> None:
    def run(arm: str, share: float) -> Run:
        table = pd.DataFrame([(0, "w", share)], columns=[schema.STEP, schema.PARAMETER, schema.ZEROS])
        return Run.from_frames(manifest(arm=arm), parameters=table, timesteps=timesteps_frame({schema.GRAD_H: [[1.0]]}))

    found = [analysis.numerics(run("a", 0.25)), analysis.numerics(run("b", 0.5))]
    figure = figures.numerics(found)
    assert [trace.name for trace in figure.data] == ["a: median", "a: largest", "b: median", "b: largest"]
    assert [list(trace.x) for trace in figure.data] == [[0.25], [0.25], [0.5], [0.5]]
    below, above = figure.data[0].marker.size, figure.data[2].marker.size
    assert below > above  # equal shares of both are seen
    assert analysis.captions(found) == ("Numerics (a / b): first NaN or inf: none; most exact zeros in w, 25% / 50%.",)
