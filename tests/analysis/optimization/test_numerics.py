"""The arithmetic of runs typed by hand: NaN and inf, underflow, exact zeros, and what cannot be known."""

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import nonfinite_origin, numerics
from graddiag.run import Run
from tests.analysis.runs import INF, NAN, manifest, steps_frame, timesteps_frame

GRADS = np.array([[0.0, 3e-6, 1e-3, 1.0], [1e-2, 1e-2, 1e-2, 1.0], [0.0, 0.0, 1e-2, 1.0]])


def run_of(dtype: str | None, **tables: pd.DataFrame) -> Run:
    environment = {} if dtype is None else {"dtype": dtype}
    frames = {"timesteps": timesteps_frame({schema.GRAD_H: GRADS}), "steps": steps_frame([1.0] * 3)}
    return Run.from_frames(manifest(environment=environment), **{**frames, **tables})


@pytest.mark.parametrize(("dtype", "below", "gone"), [("float16", 1, 1), ("float32", 0, 0), ("bfloat16", 0, 0)])
def test_underflow_by_the_smallest_normal_number_of_the_type(dtype: str, below: int, gone: int) -> None:
    found = numerics(run_of(dtype))
    assert found.dtype == dtype
    assert found.underflow is not None
    (layer,) = found.underflow
    assert (layer.cells, layer.below, layer.gone) == (12, below, gone)


def test_float32_underflows_below_its_own() -> None:
    frame = timesteps_frame({schema.GRAD_H: [[1e-42, 1e-30, 1.0]]})
    found = numerics(run_of("float32", timesteps=frame))
    assert found.underflow is not None
    assert found.underflow[0].below == 1
    assert "1 of 3 gradients of single timesteps underflowed in float32." in found.caption


def test_norms_stored_as_float32_say_nothing_of_what_underflows_in_float64() -> None:
    found = numerics(run_of("float64"))
    assert (found.dtype, found.underflow) == ("float64", None)
    assert found.unknown[0] == "A run stores norms as float32: what underflows in float64 cannot be seen."
    assert "underflowed" not in found.caption


def test_what_the_layers_ran_in_counts_not_what_their_parameters_are() -> None:
    about = manifest(environment={"dtype": "float32", "activations": "float16, float32"})
    found = numerics(Run.from_frames(about, timesteps=timesteps_frame({schema.GRAD_H: GRADS})))
    assert (found.dtype, found.activations) == ("float32", "float16")
    assert found.underflow is not None
    assert (found.underflow[0].below, found.underflow[0].gone) == (1, 1)
    assert "2 of 12 gradients of single timesteps underflowed in float16." in found.caption


def test_a_loss_scale_lifts_gradients_out_of_underflow_at_its_own_steps() -> None:
    about = manifest(environment={"dtype": "float32", "activations": "float16"})
    steps = steps_frame([1.0] * 3, amp_scale=[1024.0, 1.0, 1.0])
    found = numerics(Run.from_frames(about, steps=steps, timesteps=timesteps_frame({schema.GRAD_H: GRADS})))
    assert found.underflow is not None
    assert found.underflow[0].below == 0  # 3e-6 x 1024 is a normal number of float16
    assert not any("loss scale" in said for said in found.unknown)


def test_of_several_types_the_narrowest_counts() -> None:
    assert numerics(run_of("float32, float16")).dtype == "float16"


def test_a_run_that_does_not_say_its_type_has_no_underflow_to_tell() -> None:
    found = numerics(run_of(None))
    assert (found.dtype, found.underflow) == (None, None)
    assert found.unknown == (
        "The run does not say of which type its parameters are: underflow cannot be judged.",
        "The share of exact zeros was not recorded (runs of schema 2 and later have it).",
        "No snapshot was taken: dead units are not known.",
    )


def test_zeros_by_parameter_the_most_first() -> None:
    rows = [
        (step, name, share)
        for name, column in (("w", [0.1, 0.1, 0.4]), ("e", [0.9, 0.8, 0.9]))
        for step, share in enumerate(column)
    ]
    table = pd.DataFrame(rows, columns=[schema.STEP, schema.PARAMETER, schema.ZEROS])
    found = numerics(run_of("float32", parameters=table))
    assert [(each.parameter, each.median, each.largest, each.largest_step) for each in found.zeros] == [
        ("e", 0.9, 0.9, 0),
        ("w", 0.1, 0.4, 2),
    ]
    assert found.caption.endswith("Most exact zeros are in the gradient of e: 90%.")


def test_a_loss_scale_is_told() -> None:
    steps = steps_frame([1.0, 1.0], amp_scale=[1024.0, 512.0])
    found = numerics(run_of("float32", steps=steps))
    assert found.loss_scale == (512.0, 1024.0)
    assert found.unknown[0].startswith("A loss scale was used: activations may be of float16")


def events(*rows: tuple[int, str, str, float, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[schema.STEP, schema.KIND, schema.WHERE, schema.VALUE, schema.MESSAGE])


def test_the_first_event_of_that_kind_tells_where() -> None:
    table = events(
        (1, schema.EVENT_SPIKE, "all", 9.0, "A spike."),
        (3, schema.EVENT_NONFINITE, "lstm layer 0 forward timestep 7", NAN, "It began here."),
        (4, schema.EVENT_NONFINITE, "elsewhere", INF, "Later."),
    )
    steps = steps_frame([1.0, 2.0, 3.0, NAN, NAN, 1.0], **{schema.NONFINITE: [0, 0, 0, 5, 5, 2]})
    found = nonfinite_origin(Run.from_frames(manifest(), events=table, steps=steps))
    assert (found.found, found.step, found.where) == (True, 3, "lstm layer 0 forward timestep 7")
    assert (found.events, found.steps, found.last_step) == (2, 3, 5)
    assert found.caption == (
        "The first NaN or inf (nan) came at step 3 at lstm layer 0 forward timestep 7. It began here. "
        "3 steps of clip off, seed 0 held NaN or inf."
    )


def test_without_an_event_the_steps_tell() -> None:
    steps = steps_frame([1.0, 2.0, 3.0], **{schema.LOSS: [1.0, INF, 2.0]})
    found = nonfinite_origin(Run.from_frames(manifest(), steps=steps))
    assert (found.found, found.step, found.where, found.steps) == (True, 1, None, 1)


def test_a_finite_run_has_no_origin() -> None:
    found = nonfinite_origin(Run.from_frames(manifest(), steps=steps_frame([1.0, None])))
    assert (found.found, found.step, found.missing) == (False, None, None)
    assert nonfinite_origin(Run.from_frames(manifest())).missing == "No step was recorded."
