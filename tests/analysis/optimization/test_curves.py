"""Scalars over steps."""

import numpy as np

from graddiag import schema
from graddiag.analysis import final_loss, logged_scalars, loss_curve
from graddiag.run import Run
from tests.analysis.runs import NAN, manifest, steps_frame

RUN = Run.from_frames(
    manifest(),
    steps=steps_frame([1.0, 2.0, 3.0], **{schema.LOSS: [4.0, None, 1.5], "ppl": [NAN, NAN, 9.0], "odd": [None] * 3}),
)


def test_the_loss_is_missing_where_it_was_not_logged() -> None:
    found = loss_curve(RUN)
    assert found.steps.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found.series[0].values, [4, np.nan, 1.5])
    assert found.caption == "Loss (clip off, seed 0): from 4 to 1.5; lowest 1.5 at step 2."


def test_logged_scalars_are_those_that_hold_anything() -> None:
    assert set(logged_scalars(RUN)) == {schema.LOSS, schema.GRAD_NORM, "ppl"}


def test_a_scalar_that_was_not_logged_is_said_to_be_missing() -> None:
    assert [line.name for line in loss_curve(RUN, ["ppl", "bleu"]).series] == ["ppl"]
    assert loss_curve(RUN, ["bleu"]).missing == "No bleu was logged: call recorder.log(bleu=...) in the loop."


def test_the_final_loss_is_the_mean_of_the_last_twentieth() -> None:
    loss = [9.0] * 38 + [1.0, 3.0]
    assert final_loss(Run.from_frames(manifest(), steps=steps_frame([1.0] * 40, **{schema.LOSS: loss}))) == 2.0
    assert final_loss(RUN) == 1.5
    assert final_loss(Run.from_frames(manifest())) is None
