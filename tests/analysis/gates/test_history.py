"""Gate statistics over training and over timesteps."""

import numpy as np

from graddiag import schema
from graddiag.analysis import CellState, gate_history, gate_profile
from graddiag.run import Run
from tests.analysis.runs import LAYER, NAN, gates_frame, manifest


def gate(mean: object, low: object, high: object) -> dict[str, object]:
    columns = (schema.MEAN, schema.STD, schema.SATURATED_LOW, schema.SATURATED_HIGH)
    return dict(zip(columns, (mean, np.zeros((2, 2)), low, high), strict=True))


FRAME = gates_frame(
    {
        "f": gate([[0.2, 0.4], [0.9, NAN]], [[0.5, 0.1], [0.0, 0.0]], [[0.0, 0.2], [1.0, 0.5]]),
        "i": gate([[0.5, None], [None, None]], [[0.0, 0.0], [0.0, 0.0]], [[None, None], [None, None]]),
    }
)
RUN = Run.from_frames(manifest(), gates=FRAME)


def test_gates_stand_in_the_order_of_torchs_rows() -> None:
    assert [each.gate for each in gate_history(RUN, LAYER).gates] == ["i", "f"]


def test_history_is_the_mean_over_timesteps() -> None:
    i, f = gate_history(RUN, LAYER).gates
    np.testing.assert_allclose(f.mean.values, [0.3, np.nan])
    assert f.mean.states.tolist() == [CellState.VALUE, CellState.NAN]
    np.testing.assert_allclose(f.low.values, [0.3, 0.0])
    np.testing.assert_allclose(f.high.values, [0.1, 0.75])
    np.testing.assert_allclose(i.mean.values, [0.5, np.nan])
    assert i.mean.states.tolist() == [CellState.VALUE, CellState.MISSING]
    assert not i.high.measured


def test_profile_is_that_of_a_step_or_the_mean_of_a_range() -> None:
    f = gate_profile(RUN, 0, LAYER).gates[1]
    np.testing.assert_allclose(f.mean.values, [0.2, 0.4])
    both = gate_profile(RUN, (0, 9), LAYER)
    np.testing.assert_allclose(both.gates[1].mean.values, [0.55, 0.4])
    assert both.steps.tolist() == [0, 1]


def test_the_caption_names_the_gate_that_is_saturated_most() -> None:
    assert gate_profile(RUN, 0, LAYER).caption.endswith("most saturated forget gate, 30% of its activations.")


def test_without_gates_it_says_so() -> None:
    run = Run.from_frames(manifest())
    assert gate_history(run, LAYER).missing == "No gate was recorded for lstm, layer 0, forward."
    assert gate_profile(run, 3, LAYER).gates == ()
