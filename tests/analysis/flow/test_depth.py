"""The gradient across depth, on layers whose norms are typed by hand."""

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import Selection, depth
from graddiag.run import Run
from tests.analysis.runs import NAN, manifest, net, timesteps_frame

LAYERS = [Selection("net", layer, "forward") for layer in range(3)]


def stacked(*norms: object) -> Run:
    frames = [timesteps_frame({schema.GRAD_H: norm}, layer) for norm, layer in zip(norms, LAYERS, strict=False)]
    return Run.from_frames(manifest(), timesteps=pd.concat(frames, ignore_index=True))


def test_norms_add_up_over_timesteps_and_ratios_multiply_down_the_stack() -> None:
    top = np.array([[3.0, 4.0], [0.0, 10.0]])
    found = depth(stacked(top * 4, top * 2, top))
    assert [each.norm.values.tolist() for each in found.layers] == [[20.0, 40.0], [10.0, 20.0], [5.0, 10.0]]
    assert [(each.lower.layer, each.upper.layer, each.typical) for each in found.ratios] == [
        (0, 1, pytest.approx(2.0)),
        (1, 2, pytest.approx(2.0)),
    ]
    assert found.across == pytest.approx(4.0)
    assert found.layers[2].typical == pytest.approx(np.sqrt(50))


def test_zero_nan_and_steps_that_only_one_layer_has_are_left_out() -> None:
    upper = timesteps_frame({schema.GRAD_H: [[1.0], [1.0], [0.0], [NAN], [1.0]]}, LAYERS[1])
    lower = timesteps_frame({schema.GRAD_H: [[2.0], [8.0], [1.0], [1.0]]}, LAYERS[0])
    found = depth(Run.from_frames(manifest(), timesteps=pd.concat([lower, upper], ignore_index=True)))
    (ratio,) = found.ratios
    assert ratio.steps.tolist() == [0, 1, 2, 3]
    assert ratio.typical == pytest.approx(4.0)
    assert np.isnan(ratio.ratio[2:]).all()


def test_tiny_gradients_do_not_underflow() -> None:
    found = depth(stacked([[1e-40, 1e-40]], [[1e-41, 1e-41]]))
    assert found.ratios[0].typical == pytest.approx(10.0)


def test_modules_one_after_the_other_are_not_called_one_layer() -> None:
    frames = [
        timesteps_frame({schema.GRAD_H: [[norm, 0.0]]}, Selection(name, 0, "forward"))
        for name, norm in (("a", 3.0), ("b", 5.0))
    ]
    found = depth(Run.from_frames(manifest(), timesteps=pd.concat(frames, ignore_index=True)))
    assert (len(found.layers), found.ratios, found.across, found.missing) == (2, (), None, None)
    assert found.caption == (
        "The recurrent layers of clip off, seed 0 are separate modules, and a run does not say which lies above "
        "which: no ratio is given. Their gradients, as they ran: 3 of a, layer 0, forward and 5 of b, layer 0, forward."
    )


def test_a_layer_without_a_gradient_is_named() -> None:
    found = depth(stacked([[1.0, 2.0]], [[0.0, 0.0]]))
    assert found.caption == (
        "In clip off, seed 0 there is no gradient that is finite and above 0 of net, layer 1, forward to compare."
    )


def test_both_directions_of_one_layer_are_one_layer() -> None:
    frames = [timesteps_frame({schema.GRAD_H: [[1.0]]}, Selection("net", 0, way)) for way in ("forward", "reverse")]
    found = depth(Run.from_frames(manifest(), timesteps=pd.concat(frames, ignore_index=True)))
    assert found.caption.endswith("has one recurrent layer: there is no depth to cross.")


@pytest.mark.parametrize("bound", [2.0**-149, float(np.finfo(np.float32).max)])
def test_a_norm_that_float32_cannot_hold_makes_no_ratio(bound: float) -> None:
    found = depth(stacked([[bound, bound], [2.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]))
    assert found.layers[0].bounded.tolist() == [True, False]
    assert found.ratios[0].typical == 2.0
    alone = depth(stacked([[bound, bound]], [[1.0, 1.0]]))
    assert alone.caption == (
        "No step of clip off, seed 0 has the gradient within what float32 holds of two layers that lie one above the "
        "other."
    )


def test_one_layer_has_no_depth() -> None:
    found = depth(net(0.9, timesteps=5))
    assert (found.ratios, found.across, found.missing) == ((), None, None)
    assert found.caption == "clip off, seed 0 has one recurrent layer: there is no depth to cross."
