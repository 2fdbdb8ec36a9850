"""The key figures by value on runs typed by hand, and what they say of what was not measured."""

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import KeyFigure, diagnose, key_figures
from graddiag.analysis.diagnosis.findings import MEASUREMENTS
from graddiag.analysis.diagnosis.key_figures import NOT_MEASURED
from graddiag.run import Run
from tests.analysis.runs import CHANCE, FALLING, FLAT, NAN, awkward, gates_frame, manifest, net, run_of, steps_frame

TITLES = (
    *("Reaches the far end", "Memory horizon", "Largest norm", "Clipped steps", "Saturated", "NaN or inf"),
)  # fmt: skip


def figures(run: Run) -> dict[str, KeyFigure]:
    return {each.title: each for each in key_figures(run).figures}


def test_the_share_and_the_horizon_are_those_of_the_gain() -> None:
    found = figures(net(0.5, timesteps=11))  # one loss at the end: 0.5^10 is left at timestep 0, 1/ln 2 to 1/e
    assert found["Reaches the far end"].value == "0.0977%"
    assert found["Memory horizon"].value == "1.44 of 11"
    assert figures(net(1.0))["Memory horizon"].value == "unlimited"


def test_of_several_layers_that_of_the_least() -> None:
    assert figures(net(0.9, dense=True, timesteps=20))["Reaches the far end"].detail == "every timestep has a loss"


def test_the_largest_and_the_typical_norm() -> None:
    found = figures(Run.from_frames(manifest(), steps=steps_frame([1.0, 2.0, 465.0, 2.0, 3.0])))
    assert (found["Largest norm"].value, found["Largest norm"].detail) == ("465", "step 2; typical 2")


@pytest.mark.parametrize(
    ("clip", "value", "detail"),
    [("none", "off", "no clip policy"), ("norm:1.0", "25%", "norm:1.0"), (None, "25%", "policy not given")],
)
def test_clipped_steps(clip: str | None, value: str, detail: str) -> None:
    coefficient = [1.0, 0.5, 1.0, 1.0] if clip != "none" else [1.0] * 4
    steps = steps_frame([1.0, 2.0, 1.0, 1.0], **{schema.CLIP_COEFFICIENT: coefficient})
    found = figures(Run.from_frames(manifest(clip=clip), steps=steps))["Clipped steps"]
    assert (found.value, found.detail) == (value, detail)


def test_the_most_saturated_gate_by_both_of_its_sides() -> None:
    def gate(low: float, high: float) -> dict[str, np.ndarray]:
        values = {schema.MEAN: 0.5, schema.STD: 0.1, schema.SATURATED_LOW: low, schema.SATURATED_HIGH: high}
        return {name: np.full((4, 5), value) for name, value in values.items()}

    timesteps = net(0.9, timesteps=5).read(schema.TABLE_TIMESTEPS)
    gates = gates_frame({"i": gate(0.1, 0.2), "f": gate(0.05, 0.95), "g": gate(0.2, 0.24), "o": gate(0.0, 0.0)})
    found = figures(Run.from_frames(manifest(), timesteps=timesteps, gates=gates, steps=steps_frame([1.0] * 4)))
    assert found["Saturated"].value == "44%"  # an open forget gate is how a cell remembers
    assert found["Saturated"].detail.startswith("of candidate")


def test_the_final_loss_against_chance_and_whether_it_is_alarming() -> None:
    stuck, learned = (key_figures(run_of(course, config=CHANCE)).figures[0] for course in (FLAT, FALLING))
    assert stuck.title == learned.title == "Final loss"
    assert "chance" in stuck.detail
    assert stuck.alarming
    assert not learned.alarming


def test_nan_is_counted_and_named() -> None:
    steps = steps_frame([1.0, NAN, NAN], **{schema.LOSS: [1.0, NAN, NAN], schema.NONFINITE: [0, 3, 3]})
    found = figures(Run.from_frames(manifest(), steps=steps))
    assert (found["NaN or inf"].value, found["NaN or inf"].detail) == ("2 steps", "first at step 1")
    assert found["NaN or inf"].alarming
    assert found["Final loss"].value == "NaN or inf"


def test_of_a_run_without_anything_nothing_is_measured_and_nothing_alarms() -> None:
    found = figures(Run.from_frames(manifest(clip=None)))
    assert {each.value for each in found.values()} == {NOT_MEASURED}
    assert not any(each.alarming for each in found.values())


@pytest.mark.parametrize("name", awkward())
def test_every_awkward_run_has_all_of_them_in_words(name: str) -> None:
    found = key_figures(awkward()[name])
    assert tuple(each.title for each in found.figures[1:]) == TITLES
    assert all(each.value and "nan" not in each.value for each in found.figures)
    assert found.to_dict()


def test_what_was_and_was_not_measured() -> None:
    nothing, whole = diagnose(Run.from_frames(manifest())), diagnose(net(0.9))
    assert not any(each.measured for each in nothing.measurements)
    assert all(each.sentence for each in nothing.measurements)
    assert {each.what for each in nothing.measurements} == {*MEASUREMENTS.values(), ""}
    measured = {each.what: each.measured for each in whole.measurements if each.what}
    assert measured["Loss"]
    assert measured["Gradient at each timestep"]
    assert measured["Immediate gradient"]
    assert not measured["Gates and activations"]
