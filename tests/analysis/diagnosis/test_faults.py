"""The rules on faults of the loop, saturated and dead units, truncated reach, NaN and inf."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

import graddiag
from graddiag import schema
from graddiag.analysis import Diagnosis, Selection, diagnose
from graddiag.analysis.flow.distance import DISTANCE_KEY as DISTANCE
from graddiag.run import Run
from tests.analysis.diagnosis.trainings import S, action, broken, cut, fine, one_loss, only, stuck
from tests.analysis.runs import (
    CHANCE,
    FLAT,
    INF,
    NAN,
    event,
    manifest,
    net,
    run_of,
    saturation,
    steps_frame,
    timesteps_frame,
    travelled,
)

# faults of the loop


@pytest.mark.parametrize(
    ("kind", "name", "do"),
    [
        (schema.EVENT_CLIP_MISPLACED, "clip-misplaced", "move-clipping"),
        (schema.EVENT_CLIP_BEFORE_UNSCALE, "clip-before-unscale", "unscale-before-clipping"),
    ],
)
@pytest.mark.parametrize("clip", ["norm:5", "none", None])
def test_clipping_in_the_wrong_place(kind: str, name: str, do: str, clip: str | None) -> None:
    """Declared or not, and whatever the loss does; it comes before what it may lead to."""
    for make in (stuck, fine):
        found = diagnose(make(0.7, clip=clip, tables={"events": event(kind)}))
        assert found.cause == name
        assert found.do_first.action == do
        assert found.causes[0].onset == 3


def test_gradients_that_are_not_zeroed() -> None:
    run = stuck(columns={schema.GRADIENTS_NOT_ZEROED: [0.0] + [4.0] * (S - 1)})
    found = diagnose(run)
    assert (found.cause, found.do_first.action) == ("gradients-not-zeroed", "zero-gradients")
    once = stuck(columns={schema.GRADIENTS_NOT_ZEROED: [0.0, 4.0] + [0.0] * (S - 2)})
    assert diagnose(once).cause is None


def test_no_gradient_reaches_the_layer() -> None:
    run = stuck(
        columns={schema.UNREACHED_MODULES: [1.0] * S}, tables={"events": event(schema.EVENT_NO_GRADIENT, 0, "rnn")}
    )
    found = diagnose(run)
    assert (found.cause, found.do_first.action) == ("no-gradient", "connect-loss")
    assert "rnn" in found.causes[0].sentence
    some = stuck(columns={schema.UNREACHED_MODULES: [1.0, 1.0] + [0.0] * (S - 2)})
    assert diagnose(some).cause is None


def test_without_any_gradient_a_loss_of_unknown_floor_is_stuck() -> None:
    """As where the loss was made anew of a number: no parameter has a gradient, and the loss has but its noise."""
    fields = {"norm": [None] * S, "columns": {schema.UNREACHED_MODULES: [1.0] * S, schema.CLIP_COEFFICIENT: [None] * S}}
    for count, name in ((S, "stuck"), (S // 2, "unknown")):
        told = {"events": event(schema.EVENT_NO_GRADIENT, S - 1, "all parameters", float(count))}
        found = diagnose(run_of(FLAT, tables=told, **fields))
        assert (found.outcome.name, found.cause) == (name, "no-gradient")


def parameters(ratios: Sequence[float], grads: Sequence[float] = (1.0,) * 4, weights: Any = 2.0) -> pd.DataFrame:
    """The rows of a parameter that is updated as it should be, and of one with these."""
    rows = []
    for name, ratio, grad, weight in (("rnn.w", [1e-3] * 4, [1.0] * 4, 2.0), ("head.w", ratios, grads, weights)):
        for step in range(4):
            rows.append((step, name, grad[step], grad[step], np.broadcast_to(weight, 4)[step], ratio[step]))
    names = [
        *(schema.STEP, schema.PARAMETER, schema.GRAD_NORM, schema.GRAD_NORM_CLIPPED),
        *(schema.WEIGHT_NORM, schema.UPDATE_RATIO),
    ]
    return pd.DataFrame(rows, columns=names)


def test_parameters_that_are_never_updated() -> None:
    def diagnosed(table: pd.DataFrame, **fields: Any) -> Diagnosis:
        rates = {schema.LR: [0.1] * S}
        return diagnose(stuck(columns=rates, tables={"parameters": table}, **fields))

    found = diagnosed(parameters([0.0] * 4), not_in_optimizer=("head.w",))
    assert (found.cause, found.do_first.action) == ("parameters-not-updated", "update-parameters")
    assert "head.w" in found.causes[0].sentence
    assert "rnn.w" not in found.causes[0].sentence
    assert diagnosed(parameters([0.0] * 4)).cause == "parameters-not-updated"
    assert diagnosed(parameters([0.0, 0, 1e-4, 0])).cause is None, "it was updated once"
    assert diagnosed(parameters([0.0] * 4, grads=[0.0] * 4)).cause is None, "no gradient, no update"
    assert diagnosed(parameters([0.0] * 4, weights=[1, 2, 3, 4.0])).cause is None, "another optimizer updates it"
    assert diagnosed(parameters([0.0] * 4, grads=[1e-9] * 4)).cause is None, "the update rounds to nothing"
    adam = {"class": "Adam", "eps": 1e-8}
    assert diagnosed(parameters([0.0] * 4), optimizer=adam).cause == "parameters-not-updated"
    small = parameters([0.0] * 4, grads=[1e-11] * 4)
    assert diagnosed(small, optimizer=adam).cause is None, "far below Adam's eps it rounds to nothing too"
    assert diagnosed(small, optimizer=adam | {"eps": 1e-30}).cause == "parameters-not-updated"


def test_a_recurrence_that_is_frozen_is_named_where_the_training_is_stuck() -> None:
    frozen = ("rnn.weight_ih_l0", "rnn.weight_hh_l0")
    table = parameters([1e-3] * 4)
    found = diagnose(stuck(tables={"parameters": table}, frozen=frozen))
    assert (found.cause, found.do_first.action) == ("parameters-not-updated", "update-parameters")
    assert "rnn.weight_hh_l0" in found.causes[0].sentence
    assert diagnose(fine(tables={"parameters": table}, frozen=frozen)).cause is None, "it learned all the same"
    assert diagnose(stuck(tables={"parameters": table}, frozen=("embedding.weight",))).cause is None
    other = table.replace({schema.PARAMETER: {"rnn.w": "decoder.weight_hh_l0"}})
    assert diagnose(stuck(tables={"parameters": other}, frozen=frozen)).cause is None, "another recurrence is trained"


# saturated activations and dead units


def test_saturation_is_a_cause_where_the_training_failed_and_it_was_so_from_the_start() -> None:
    run = stuck(tables={"gates": saturation(0.6, 0.39)})
    found = diagnose(run)
    assert (found.cause, found.do_first.action) == ("saturated-gates", "scale-inputs")
    finding = only(run, "saturated-gates")
    assert (finding.evidence[0].place.gate, finding.evidence[0].place.module) == ("o", "lstm")
    healthy = diagnose(fine(tables={"gates": saturation(0.6, 0.39)}))
    assert (healthy.verdict, healthy.cause) == ("healthy", None)


def test_a_tanh_rnn_has_activations_and_no_gates() -> None:
    finding = only(stuck(tables={"gates": saturation(0.5, 0.5, "h")}), "saturated-gates")
    assert "gate" not in finding.title
    assert "gate" not in finding.sentence


@pytest.mark.parametrize(
    ("gate", "low", "high", "found"),
    [
        ("o", 0.5, 0.3, False),
        ("f", 0.0, 1.0, False),
        ("f", 1.0, 0.0, True),
        ("z", 0.0, 1.0, False),
        ("h", 1.0, None, False),
    ],
    ids=["not enough", "open forget gate", "shut forget gate", "copying z", "relu"],
)
def test_what_counts_as_saturated(gate: str, low: float, high: float | None, found: bool) -> None:
    run = stuck(tables={"gates": saturation(low, high, gate)})
    assert (diagnose(run).finding("saturated-gates") is not None) is found


def test_saturation_that_came_in_training_tells_since_when_and_is_no_first_cause() -> None:
    early, late = saturation(0.1, 0.1, steps=10), saturation(0.5, 0.5, steps=10)
    late[schema.STEP] += 10
    frame = one_loss(np.ones((20, 5)))
    run = stuck(timesteps=frame, tables={"gates": pd.concat([early, late], ignore_index=True)})
    assert only(run, "saturated-gates").onset == 10
    assert diagnose(run).cause is None


# truncated reach


def test_a_detach_is_a_truncated_reach_and_not_a_vanishing_gradient() -> None:
    found = diagnose(cut(8))
    assert (found.cause, found.do_first.action) == ("truncated-reach", "remove-detach")
    assert found.finding("vanishing") is None
    assert "timestep 8" in found.causes[0].sentence
    assert "20 timesteps" in found.causes[0].sentence


def test_a_detach_in_a_reverse_direction() -> None:
    finding = only(cut(8, layer=Selection("lstm", 0, "reverse")), "truncated-reach")
    assert "timestep 11" in finding.sentence
    assert finding.evidence[0].value == 8


def test_a_gradient_that_fades_into_zeros_is_vanishing() -> None:
    assert diagnose(cut(8, gain=0.01)).cause == "vanishing"


def test_a_state_cut_between_the_calls_of_a_step_comes_before_a_single_batch() -> None:
    run = stuck(tables={"events": event(schema.EVENT_STATE_DETACHED, 0, "cell", 5)})
    found = diagnose(run)
    assert (found.cause, found.do_first.action) == ("truncated-reach", "remove-detach")


def test_a_window_that_is_shorter_than_the_task_looks_back() -> None:
    run = stuck(timesteps=net(1.0, timesteps=10).timesteps, config={DISTANCE: 40})
    found = diagnose(run)
    assert (found.cause, found.do_first.action) == ("truncated-reach", "lengthen-window")
    assert "10 timesteps" in found.causes[0].sentence
    assert "40" in found.causes[0].sentence
    longer = stuck(timesteps=net(1.0, timesteps=60).timesteps, config={DISTANCE: 40})
    assert diagnose(longer).finding("truncated-reach") is None


def test_a_state_that_was_carried_over_is_information() -> None:
    signals = travelled(np.ones((3, 10)), np.eye(1, 10, 9).repeat(3, axis=0)) | {schema.GRAD_W_HH: np.ones((3, 10))}
    run = fine(timesteps=timesteps_frame(signals))
    assert diagnose(run).verdict == "healthy"
    assert only(run, "truncated-reach").severity == "info"
    signals[schema.GRAD_W_HH][:, 0] = 0
    assert diagnose(fine(timesteps=timesteps_frame(signals))).finding("truncated-reach") is None


# NaN and inf


def test_a_nan_is_placed_in_the_pass_the_layer_and_the_timestep() -> None:
    signals = travelled(np.ones((3, 5)), np.eye(1, 5, 4).repeat(3, axis=0)) | {schema.H_RMS: np.ones((3, 5))}
    signals[schema.GRAD_H][2, :3] = NAN
    norms = steps_frame([1.0, 1.0, NAN], **{schema.NONFINITE: [0, 0, 4]})
    run = Run.from_frames(manifest(), timesteps=timesteps_frame(signals), steps=norms)
    place = only(run, "non-finite").evidence[0].place
    assert (place.step, place.module, place.layer, place.direction, place.timestep) == (2, "lstm", 0, "forward", 2)
    assert graddiag.analysis.nonfinite_origin(run).during == "backward"
    signals[schema.H_RMS][2, 3:] = INF
    forward = graddiag.analysis.nonfinite_origin(
        Run.from_frames(manifest(), timesteps=timesteps_frame(signals), steps=norms)
    )
    assert (forward.during, forward.timestep) == ("forward", 3)


def test_nan_comes_before_everything_in_the_gradient() -> None:
    found = diagnose(run_of([*FLAT[:200], *([NAN] * 100)], [1.0] * 200 + [NAN] * 100, gain=0.7, config=CHANCE))
    assert (found.outcome.name, found.cause, found.verdict) == ("broken", "non-finite", "non-finite")
    assert (found.lead.severity, found.lead.onset) == ("severe", 200)


def test_a_rare_nan_that_passes_breaks_nothing() -> None:
    norms = [1.0] * S
    norms[100] = INF
    found = diagnose(fine(norm=norms))
    assert (found.verdict, found.cause) == ("healthy", None)
    assert only(fine(norm=norms), "non-finite").severity == "info"


def test_nan_after_a_norm_that_grew_asks_for_smaller_steps_and_else_for_the_operation() -> None:
    calm, grown = [1.0] * 200, [1.0] * 197 + [100.0, 1e4, 1e6]
    assert action(broken(calm)) in ("guard-operation", "check-batch")
    told = [each.action for each in diagnose(broken(calm)).causes[0].advice]
    assert not {"clip", "lower-learning-rate"} & set(told)
    assert action(broken(grown)) in ("clip", "lower-learning-rate")


def test_a_loss_that_is_inf_and_one_that_is_finite_are_told_apart() -> None:
    def first(loss: float) -> str:
        run = run_of([*FLAT[:200], loss], [1.0] * 200 + [NAN], config=CHANCE)
        finding = only(run, "non-finite")
        return next(each.text for each in finding.advice if each.action == "guard-operation")

    assert "loss finite" in first(INF)
    assert "the loss is finite" in first(1.4)
