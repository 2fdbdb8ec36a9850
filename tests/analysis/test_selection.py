"""Which layers, steps and signals a run has."""

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import Selection, common_selections, recorded_steps, selections, signals
from graddiag.errors import SettingError
from graddiag.run import Run
from tests.analysis.runs import LAYER, manifest, net, timesteps_frame

BOTTOM, TOP = Selection("b", 0, "forward"), Selection("b", 1, "forward")
BACK, OTHER = Selection("b", 0, "reverse"), Selection("a", 0, "forward", 1)


def run_of(*layers: Selection) -> Run:
    frames = [timesteps_frame({schema.GRAD_H: np.ones((2, 3))}, layer, steps=[0, 10]) for layer in layers]
    frame = pd.concat(frames).sort_values(schema.STEP, kind="stable")
    return Run.from_frames(manifest(), timesteps=frame)


def test_layers_stand_in_the_order_in_which_modules_ran() -> None:
    assert selections(run_of(TOP, BACK, BOTTOM, OTHER)) == (BOTTOM, BACK, TOP, OTHER)


def test_common_layers_are_those_of_all_runs() -> None:
    assert common_selections([run_of(BOTTOM, TOP), run_of(TOP, OTHER)]) == (TOP,)
    assert common_selections([]) == ()


def test_recorded_steps_are_each_given_once() -> None:
    run = run_of(BOTTOM, TOP)
    assert recorded_steps(run).tolist() == [0, 10]
    assert recorded_steps(run, Selection("no", 0, "forward")).tolist() == []


def test_signals_are_the_columns_that_hold_anything() -> None:
    assert signals(net(0.5), LAYER) == (schema.GRAD_H, schema.GRAD_H_DIRECT, schema.TRANSPORT_GAIN)
    nothing = timesteps_frame({schema.GRAD_H: np.full((1, 2), None), schema.H_RMS: np.full((1, 2), np.nan)})
    assert signals(Run.from_frames(manifest(), timesteps=nothing), LAYER) == (schema.H_RMS,)


def test_a_key_is_read_back() -> None:
    for layer in (LAYER, Selection("a/b", 3, "reverse", 2), Selection("", 0, "forward")):
        assert Selection.from_key(layer.key) == layer
    assert Selection("", 0, "forward").label == "(model), layer 0, forward"


@pytest.mark.parametrize("key", ["", "lstm", "lstm/x/forward/0", "lstm/0/forward", "lstm/0/forward/-1", "a/0/up/0"])
def test_a_crooked_key_is_refused(key: str) -> None:
    with pytest.raises(SettingError, match="is not a layer; write module/layer/direction/call"):
        Selection.from_key(key)
