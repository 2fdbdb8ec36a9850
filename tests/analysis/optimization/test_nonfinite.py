"""Where NaN and inf began."""

import pandas as pd

from graddiag import schema
from graddiag.analysis import nonfinite_origin
from graddiag.run import Run
from tests.analysis.runs import INF, NAN, manifest, steps_frame


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
