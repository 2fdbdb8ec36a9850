"""Half precision: gradients that underflow, updates that round to nothing or are skipped; and a part untrained."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import Diagnosis, diagnose
from tests.analysis.runs import CHANCE, FALLING, FLAT, event, run_of

S = len(FLAT)
HALF = {"dtype": "float32", "activations": "float16"}


def zeros(share: float) -> pd.DataFrame:
    """The rows of a recurrent matrix of whose gradient this share is exactly 0, at four steps."""
    names = [schema.STEP, schema.PARAMETER, schema.GRAD_NORM, schema.GRAD_NORM_CLIPPED, schema.ZEROS]
    return pd.DataFrame([(step, "rnn.weight_hh_l0", 1.0, 1.0, share) for step in range(4)], columns=names)


def judged(loss: Any, **settings: Any) -> Diagnosis:
    return diagnose(run_of(loss, **settings))


@pytest.mark.parametrize("scale", [None, 2.0**-10])
def test_entries_that_underflow_are_named_with_the_scale_as_the_advice(scale: float | None) -> None:
    columns = {} if scale is None else {"amp_scale": [scale] * S}
    found = judged(FLAT, config=CHANCE, environment=HALF, tables={"parameters": zeros(0.8)}, columns=columns)
    assert (found.cause, found.do_first.action) == ("no-gradient", "scale-loss")
    assert found.causes[0].title == "gradient underflows in float16"
    assert ("Raise the scale" in found.do_first.text) == (scale is not None)


@pytest.mark.parametrize("about", [{"activations": "bfloat16"}, {"dtype": "float32"}])
def test_zeros_in_a_type_of_wide_range_are_no_underflow(about: dict[str, str]) -> None:
    assert judged(FLAT, config=CHANCE, environment=about, tables={"parameters": zeros(0.8)}).cause is None


def test_in_a_training_that_learned_zeros_are_information() -> None:
    found = judged(FALLING, config=CHANCE, environment=HALF, tables={"parameters": zeros(0.8)})
    assert (found.outcome.name, found.cause) == ("learned", None)
    assert found.finding("no-gradient").severity == "info"


def test_without_any_gradient_a_loss_of_unknown_floor_is_stuck() -> None:
    found = judged(FLAT, norm=[0.0] * S)
    assert (found.outcome.name, found.outcome.detail) == ("stuck", "never-fell")
    assert judged(FLAT, norm=[1.0] * (S // 5) + [0.0] * (S - S // 5)).outcome.name == "unknown"


def test_a_small_gain_is_none_while_a_part_gets_no_gradient() -> None:
    slowly = np.array(FLAT) * np.linspace(1.0, 0.95, S)
    found = {"unreached": [1.0] * S, "whole": [0.0] * S}
    outcomes = {
        name: judged(slowly, config=CHANCE, columns={schema.UNREACHED_MODULES: counts}).outcome
        for name, counts in found.items()
    }
    assert (outcomes["unreached"].name, outcomes["unreached"].detail) == ("stuck", "barely")
    assert outcomes["whole"].fine


def test_updates_that_are_all_skipped_break_a_training() -> None:
    found = judged([], norm=[], tables={"events": event(schema.EVENT_UPDATE_SKIPPED, 0, "the GradScaler", 300.0)})
    assert (found.outcome.name, found.cause, found.do_first.action) == ("broken", "non-finite", "guard-operation")
    assert "300" in found.causes[0].sentence
    settles = event(schema.EVENT_UPDATE_SKIPPED, 0, "the GradScaler", 60.0)
    assert judged(FALLING, config=CHANCE, tables={"events": settles}).outcome.name == "learned"


def test_weights_of_half_precision_round_their_updates_away() -> None:
    names = [schema.STEP, schema.PARAMETER, schema.GRAD_NORM, schema.GRAD_NORM_CLIPPED, schema.WEIGHT_NORM]
    rows = [(step, "head.w", 1.0, 1.0, 2.0, 0.0) for step in range(4)]
    table = pd.DataFrame(rows, columns=[*names, schema.UPDATE_RATIO])
    columns = {schema.LR: [0.1] * S}
    for kind, action in (("bfloat16", "keep-float32-weights"), ("float32", "update-parameters")):
        found = judged(FLAT, config=CHANCE, columns=columns, environment={"dtype": kind}, tables={"parameters": table})
        assert (found.cause, found.do_first.action) == ("parameters-not-updated", action)
