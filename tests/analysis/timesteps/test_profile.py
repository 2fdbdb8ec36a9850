"""Signals over timesteps: which step is taken, and what a mean over steps leaves out."""

import numpy as np

from graddiag import schema
from graddiag.analysis import CellState, profile
from graddiag.run import Run
from tests.analysis.runs import INF, LAYER, NAN, manifest, net, timesteps_frame

SIGNALS = {
    schema.GRAD_H: np.array([[1.0, 4.0, 0.0, NAN], [100.0, INF, 0.0, NAN]]),
    schema.GRAD_W_HH_COSINE: np.array([[0.5, -1.0, 0.0, NAN], [-0.1, 1.0, 0.0, 0.2]]),
}
RUN = Run.from_frames(manifest(), timesteps=timesteps_frame(SIGNALS, steps=[0, 10]))


def test_the_nearest_recorded_step_is_taken() -> None:
    assert profile(RUN, 4, LAYER).steps.tolist() == [0]
    found = profile(RUN, 7, LAYER)
    assert (found.asked, found.steps.tolist()) == (7, [10])
    np.testing.assert_array_equal(found.series[0].values, [100, np.nan, 0, np.nan])
    assert found.series[0].states.tolist() == [
        CellState.VALUE,
        CellState.INF,
        CellState.ZERO,
        CellState.NAN,
    ]


def test_a_range_is_averaged_on_a_log_scale() -> None:
    found = profile(RUN, (0, 10), LAYER)
    np.testing.assert_allclose(found.series[0].values, [10, 4, 0, np.nan])
    assert found.steps.tolist() == [0, 10]


def test_a_signed_signal_is_averaged_as_it_is() -> None:
    found = profile(RUN, (0, 10), LAYER, (schema.GRAD_W_HH_COSINE,))
    np.testing.assert_allclose(found.series[0].values, [0.2, 0.0, 0.0, 0.2], atol=1e-15)


def test_what_was_not_recorded_is_said() -> None:
    assert profile(RUN, (2, 5), LAYER).missing == "No timestep of lstm, layer 0, forward was recorded in steps 2 to 5."
    lacking = profile(net(0.5), 0, LAYER, (schema.GRAD_C,))
    assert lacking.missing == "Not recorded for lstm, layer 0, forward: Total gradient ‖dL/dc‖."


def test_the_caption_tells_both_ends() -> None:
    assert profile(net(0.5, timesteps=3), 2, LAYER).caption == (
        "Total gradient ‖dL/dh‖ at recorded step 2 (clip off, seed 0): 0.25 at timestep 0; 1 at timestep 2."
    )
