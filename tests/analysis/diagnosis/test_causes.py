"""Each rule on a run where it applies, and on the nearest one where it does not; what the causes say together."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import graddiag
from graddiag import schema
from graddiag.analysis import Diagnosis, Finding, Selection, Thresholds, diagnose
from graddiag.analysis.flow.distance import DISTANCE_KEY as DISTANCE
from graddiag.errors import SettingError
from graddiag.run import Run
from tests.analysis.runs import (
    CHANCE,
    FALLING,
    FLAT,
    INF,
    LAYER,
    NAN,
    NOISE,
    TURNED,
    event,
    gates_frame,
    manifest,
    net,
    run_of,
    saturation,
    steps_frame,
    timesteps_frame,
    travelled,
)

S = len(FLAT)


def only(run: Run, name: str) -> Finding:
    found = diagnose(run).finding(name)
    assert found is not None, str(diagnose(run))
    return found


def stuck(gain: float = 1.0, **settings: Any) -> Run:
    """A run whose loss stays at chance, which it is told."""
    return run_of(FLAT, gain=gain, config={**CHANCE, **settings.pop("config", {})}, **settings)


def fine(gain: float = 1.0, **settings: Any) -> Run:
    """A run that learned, which is known."""
    return run_of(FALLING, gain=gain, config={**CHANCE, **settings.pop("config", {})}, **settings)


def action(run: Run) -> str:
    first = diagnose(run).do_first
    return "" if first is None else first.action


# the way back through time


@pytest.mark.parametrize(("gain", "cause"), [(0.7, "vanishing"), (1.0, None), (1.25, "exploding")])
def test_one_loss_at_the_end_of_100_timesteps(gain: float, cause: str | None) -> None:
    found = diagnose(stuck(gain))
    assert (found.outcome.name, found.cause) == ("stuck", cause)
    assert found.verdict == (cause or "plateau")


@pytest.mark.parametrize("gain", [0.7, 1.25])
def test_of_a_training_that_learned_neither_is_more_than_information(gain: float) -> None:
    found = diagnose(fine(gain))
    assert (found.outcome.fine, found.cause, found.verdict) == (True, None, "healthy")
    assert not any(each.alarming for each in found.findings)


@pytest.mark.parametrize("gain", [0.3, 0.6, 0.95])
def test_a_loss_at_each_timestep_feeds_every_state(gain: float) -> None:
    frame = net(gain, dense=True).timesteps
    assert diagnose(stuck(timesteps=frame)).finding("vanishing") is None


@pytest.mark.parametrize("gain", [0.02, 0.0])
def test_with_a_loss_at_each_timestep_a_cut_recurrence_is_found(gain: float) -> None:
    found = only(stuck(timesteps=net(gain, dense=True).timesteps), "vanishing")
    assert found.alarming
    assert "until step" not in found.sentence.lower(), "it was so from the first step on"
    assert not any("a loss at more timesteps" in each.text and "attention" not in each.text for each in found.advice)


def one_loss(gains: Any) -> pd.DataFrame:
    steps, timesteps = np.shape(gains)
    return timesteps_frame(travelled(gains, np.eye(1, timesteps, timesteps - 1).repeat(steps, axis=0)))


def test_a_saturated_net_that_passes_the_gradient_on_is_not_exploding() -> None:
    gains = np.full((4, 100), 1.0)
    gains[:, 90:] = 1.08
    assert diagnose(stuck(timesteps=one_loss(gains))).finding("exploding") is None


def test_growth_within_the_sequence_is_found_though_its_ends_are_alike() -> None:
    gains = np.ones((4, 100))
    gains[:, 60:70], gains[:, 20:30] = 2.0, 0.5
    found = only(stuck(timesteps=one_loss(gains)), "exploding")
    assert (found.severity, found.strength) == ("severe", "strong")
    assert any(each.value == pytest.approx(1024) for each in found.evidence)


def test_small_totals_at_early_timesteps_alone_are_not_vanishing() -> None:
    direct = np.geomspace(1e-4, 1.0, 50)[None].repeat(3, axis=0)
    frame = timesteps_frame(travelled(np.full((3, 50), 0.5), direct))
    assert diagnose(stuck(timesteps=frame)).finding("vanishing") is None


def test_a_start_that_training_overcomes_is_not_vanishing() -> None:
    gains = np.concatenate([np.full((4, 100), 0.7), np.full((6, 100), 0.99)])
    assert diagnose(stuck(timesteps=one_loss(gains))).finding("vanishing") is None


def test_a_gradient_that_was_lost_in_training_is_an_effect() -> None:
    gains = np.concatenate([np.full((4, 100), 0.99), np.full((4, 100), 0.7)])
    found = only(stuck(timesteps=one_loss(gains)), "vanishing")
    assert (found.onset, found.strength) == (4, "weak")
    assert diagnose(stuck(timesteps=one_loss(gains))).cause is None


def test_without_the_immediate_gradient_the_last_timestep_is_the_measure() -> None:
    frame = net(0.7).timesteps.drop(columns=schema.GRAD_H_DIRECT)
    assert diagnose(stuck(timesteps=frame)).cause == "vanishing"
    dense = net(0.7, dense=True).timesteps.drop(columns=schema.GRAD_H_DIRECT)
    assert diagnose(stuck(timesteps=dense)).finding("vanishing") is None


def test_one_recorded_step_is_enough_for_the_way_through_time() -> None:
    assert diagnose(stuck(timesteps=net(0.7, steps=1).timesteps)).cause == "vanishing"


def gates(**means: float) -> dict[str, pd.DataFrame]:
    """Gates of these means, in no way saturated."""
    block = np.full((4, 5), 0.5)
    shares = {schema.STD: block, schema.SATURATED_LOW: block * 0, schema.SATURATED_HIGH: block * 0}
    return {"gates": gates_frame({gate: {schema.MEAN: block * 2 * mean, **shares} for gate, mean in means.items()})}


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ({"h": 0.0}, "change-cell"),
        ({"i": 0.5, "f": 0.5, "g": 0.0, "o": 0.5}, "raise-forget-bias"),
        ({"r": 0.5, "z": 0.5, "n": 0.0}, "raise-forget-bias"),
        ({"i": 0.5, "f": 0.97, "g": 0.0, "o": 0.5}, "shorten-path"),
    ],
    ids=["rnn", "lstm", "gru", "lstm whose forget gate is open"],
)
@pytest.mark.parametrize("model", ["rnn", "LSTM", None])
def test_what_to_try_goes_by_the_gates_and_not_by_a_name(
    means: dict[str, float], expected: str, model: str | None
) -> None:
    """The module of ``net`` is called lstm, whatever it is."""
    assert action(stuck(0.7, tables=gates(**means), model=model)) == expected


def test_a_cell_of_unknown_kind_is_not_taken_for_one() -> None:
    first = diagnose(stuck(0.7, model="rnn")).do_first
    assert first is not None
    assert first.action == "change-cell"
    assert "if this is a plain RNN" in first.text


# jumps of the norm

START = 1.386
SPIKED = [1.0] * 100 + [40.0] + [1.0] * (S - 101)


def test_a_jump_of_the_norm_in_a_training_that_learned_is_no_explosion() -> None:
    """Leaving an initial plateau, for example."""
    found = diagnose(fine(norm=SPIKED))
    assert (found.verdict, found.cause) == ("healthy", None)
    assert found.finding("exploding") is None
    climbing = [0.1] * 30 + np.geomspace(0.1, 50, S - 30).tolist()
    assert diagnose(fine(norm=climbing)).verdict == "healthy"


def test_a_jump_of_the_norm_that_harmed_the_training_is_one() -> None:
    loss = [*FALLING[:101], *([5.0] * (S - 101) + NOISE[101:])]
    found = diagnose(run_of(loss, [*SPIKED[:100], 4e4, *SPIKED[101:]], config=CHANCE))
    assert (found.outcome.name, found.cause) == ("diverged", "exploding")
    assert found.finding("exploding").onset in range(99, 102)
    assert found.do_first.action in ("clip", "lower-learning-rate")
    assert only(run_of(loss, SPIKED, config=CHANCE), "exploding").alarming


def test_one_jump_that_clipping_caught_harmed_nothing() -> None:
    left = [1.0] * S
    found = diagnose(stuck(norm=SPIKED, after=left, clip="norm:1"))
    assert found.cause != "exploding"
    grown = only(stuck(1.25, norm=SPIKED, clip="norm:100"), "exploding")
    assert grown.alarming, "a threshold that never engaged held nothing"


def test_growth_that_clipping_holds_is_information() -> None:
    found = only(stuck(1.25, norm=[50.0] * S, after=[1.0] * S, clip="norm:1"), "exploding")
    assert found.severity == "info"
    assert [each.action for each in found.advice] == ["keep-clipping"]


def test_the_first_updates_throw_the_loss_up() -> None:
    """A climb of the norm within the first steps, from .59 to 17.7."""
    loss = [START, *(np.full(S - 1, 2.5) + NOISE[1:])]
    norms = [0.59, 2.0, 9.0, 17.7, 12.0, *([3.0] * (S - 5))]
    found = diagnose(run_of(loss, norms, config=CHANCE, columns={schema.UPDATE_RATIO: [0.5] * S}))
    assert found.outcome.failed
    assert found.cause == "learning-rate-high"
    assert action(run_of(loss, norms, config=CHANCE, columns={schema.UPDATE_RATIO: [0.5] * S})) == "lower-learning-rate"


# the learning rate


def updating(ratio: float, loss: Sequence[float] = FLAT, cosine: float = 0.0, **fields: Any) -> Run:
    columns = {schema.UPDATE_RATIO: [ratio] * S, schema.GRAD_COSINE: [cosine] * S, schema.LR: [0.1] * S}
    return run_of(loss, columns=columns, config=CHANCE, **fields)


def test_updates_that_are_far_too_small() -> None:
    found = diagnose(updating(1e-7, list(START + 1 - np.arange(S) / 1e4 + NOISE / 20), cosine=0.9))
    assert (found.outcome.failed, found.cause) == (True, "learning-rate-low")
    assert found.do_first.action == "raise-learning-rate"
    assert "0.1" in found.do_first.text, "it names the rate that is used"
    assert diagnose(updating(1e-3)).cause is None
    assert diagnose(updating(1e-7, FALLING)).cause is None


def test_a_loss_that_rises_for_good() -> None:
    run = updating(0.2, TURNED)
    found = diagnose(run)
    assert (found.outcome.name, found.cause) == ("diverged", "learning-rate-high")
    assert found.do_first.action == "lower-learning-rate"
    assert 130 <= found.outcome.since <= 260
    assert diagnose(updating(1e-3, TURNED)).outcome.name == "diverged"


def test_a_learning_rate_that_was_raised_is_named() -> None:
    loss = [*FALLING[:200], *(2.5 + NOISE[200:])]
    rates = [0.01] * 198 + [0.5] * (S - 198)
    found = diagnose(run_of(loss, config=CHANCE, columns={schema.LR: rates}))
    assert (found.outcome.name, found.cause) == ("diverged", "changed-during-training")
    assert found.do_first.action == "lower-learning-rate"
    assert found.causes[0].onset == 198
    assert "0.01" in found.do_first.text


def test_a_change_of_the_data_comes_before_what_follows_from_it() -> None:
    loss = [*FALLING[:200], *(2.5 + NOISE[200:])]
    norms = [1.0] * 200 + [5.0] * (S - 200)
    found = diagnose(run_of(loss, norms, config=CHANCE, columns={schema.LR: [0.01] * S}))
    assert (found.outcome.name, found.cause) == ("diverged", "changed-during-training")
    assert found.do_first.action == "check-data"
    assert 198 <= found.causes[0].onset <= 202


# clipping


def test_a_threshold_that_sets_every_step() -> None:
    hard = {"norm": [4.0] * S, "after": [0.01] * S, "clip": "norm:0.01"}
    found = diagnose(stuck(**hard))
    assert found.cause == "clipping-always"
    assert found.do_first.action == "raise-clip-threshold"
    assert not only(fine(**hard), "clipping-always").alarming
    adaptive = diagnose(stuck(**hard, optimizer={"class": "Adam"}))
    assert adaptive.cause is None, "under Adam the length hardly matters"
    soft = stuck(norm=[4.0] * S, after=[2.0] * S, clip="norm:2")
    assert not only(soft, "clipping-always").alarming


def test_the_norms_of_a_gradient_that_explodes_are_no_threshold() -> None:
    hard = {"norm": [4e7] * S, "after": [1.0] * S, "clip": "norm:1"}
    for run in (stuck(1.25, **hard), run_of(FLAT[:40], gain=1.25, norm=[4e7] * 40, after=[1.0] * 40, clip="norm:1")):
        assert not only(run, "clipping-always").alarming
        assert "raise-clip-threshold" not in all_advice(diagnose(run))
    few = diagnose(run)
    assert (few.outcome.detail, few.cause) == ("few-steps", "exploding")
    assert few.do_first.action == "change-initialization"


def test_clipping_at_most_steps_alone_is_not_always() -> None:
    norms, after = [2.0] * S, [1.0] * (S * 17 // 20) + [2.0] * (S - S * 17 // 20)
    assert diagnose(stuck(norm=norms, after=after, clip="norm:1")).finding("clipping-always") is None


@pytest.mark.parametrize("clip", ["norm:5", "norm:100", "value:100", "zclip", "auto:10"])
def test_clipping_that_was_never_needed_is_information(clip: str) -> None:
    found = diagnose(fine(norm=[1.0, 2.0] * (S // 2), clip=clip))
    assert found.verdict == "healthy"
    idle = [each for each in found.findings if each.name in ("clipping-never", "threshold-above-all")]
    assert [each.severity for each in idle] == ["info"]
    assert (idle[0].name == "threshold-above-all") is (clip == "norm:100")


@pytest.mark.parametrize("clip", ["none", None])
def test_without_a_policy_nothing_is_said_of_clipping(clip: str | None) -> None:
    found = diagnose(fine(norm=[1.0, 2.0] * (S // 2), clip=clip))
    assert not {each.name for each in found.findings} & {"clipping-never", "threshold-above-all", "clipping-always"}


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


def cut(k: int, *, gain: float = 1.0, steps: int = 4, layer: Selection = LAYER) -> Run:
    """Sequences of 20 timesteps with the loss at the last, whose gradient is exactly 0 before timestep ``k``."""
    signals = travelled(np.full((steps, 20), gain), np.eye(1, 20, 19).repeat(steps, axis=0))
    signals[schema.GRAD_H][:, :k] = 0.0
    if layer.reverse:
        signals = {name: values[:, ::-1] for name, values in signals.items()}
    return stuck(timesteps=timesteps_frame(signals, layer))


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


def broken(norms: list[float], loss: Sequence[float] = FLAT, **fields: Any) -> Run:
    bad = [NAN] * (S - len(norms))
    return run_of([*loss[: len(norms)], *bad], [*norms, *bad], config=CHANCE, **fields)


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


# one decision a run


def all_advice(found: Diagnosis) -> list[str]:
    return [each.text for finding in found.findings for each in finding.advice]


@pytest.mark.parametrize("clip", ["none", "norm:0.01", "norm:500"])
@pytest.mark.parametrize("gain", [0.7, 1.0, 1.25])
@pytest.mark.parametrize("kind", ["flat", "turned", "falling", "spiked", "broken"])
def test_what_is_said_of_one_run_never_contradicts_itself(clip: str, gain: float, kind: str) -> None:
    """One threshold and one learning rate at the most, in one direction, within the norms that were seen."""
    loss = {"flat": FLAT, "turned": TURNED, "falling": FALLING, "broken": FLAT}.get(kind, TURNED)
    norms = list(1 + 0.2 * np.abs(NOISE / 0.02))
    if kind in ("spiked", "broken"):
        norms[160:170] = [10.0**k for k in range(1, 11)]
    top = {"none": INF}.get(clip) or float(clip.removeprefix("norm:"))
    after = [min(norm, top) for norm in norms]
    if kind == "broken":
        norms[170:], after[170:], loss = [NAN] * (S - 170), [NAN] * (S - 170), [*FLAT[:170], *([NAN] * (S - 170))]
    columns = {schema.UPDATE_RATIO: [0.02] * S, schema.LR: [0.1] * S}
    found = diagnose(run_of(loss, norms, gain, after=after, clip=clip, columns=columns, config=CHANCE))
    given = {advice.action: advice.text for finding in found.findings for advice in finding.advice}
    assert not {"raise-learning-rate", "lower-learning-rate"} <= set(given)
    assert len({"clip", "raise-clip-threshold", "lower-clip-threshold"} & set(given)) <= 1
    texts = {text for text in all_advice(found) if "threshold to" in text or text.startswith("Clip the global norm")}
    assert len(texts) <= 1
    if found.do_first is not None:
        assert found.do_first.action
    assert found.outcome.fine is not found.outcome.failed or found.outcome.name in ("unknown", "overfits")
    assert not (found.outcome.failed and found.verdict == "healthy")


def test_a_threshold_is_one_at_which_the_run_was_learning() -> None:
    norms = [*(2.0 + NOISE[:150]), *np.geomspace(2, 1e9, 150)]
    found = diagnose(run_of(TURNED, norms, config=CHANCE))
    clips = [each.text for finding in found.findings for each in finding.advice if each.action == "clip"]
    assert clips
    thresholds = [float(text.split(" at ")[1].split(":")[0]) for text in clips]
    assert all(1 <= each <= 20 for each in thresholds)


# what it rests on


def runs() -> list[Run]:
    return [stuck(0.7), stuck(1.25), fine(), broken([1.0] * 200), updating(0.2, TURNED), cut(8), net(0.7)]


def test_every_finding_has_a_rule_and_advice_and_names_thresholds_that_are_there() -> None:
    for run in runs():
        for finding in diagnose(run).findings:
            assert finding.rule
            assert finding.advice
            assert all(each.action for each in finding.advice), finding
            assert set(finding.thresholds) <= set(vars(Thresholds()))


def test_thresholds_decide() -> None:
    assert diagnose(stuck(0.95), Thresholds(arriving=0.1, arriving_severe=0.05)).cause == "vanishing"
    assert diagnose(stuck(0.7), replace(Thresholds(), arriving=1e-30)).cause is None
    shares = {"gates": saturation(0.4, 0.2)}
    assert diagnose(stuck(tables=shares)).finding("saturated-gates") is None
    assert diagnose(stuck(tables=shares), Thresholds(saturated=0.5)).finding("saturated-gates") is not None
    assert diagnose(stuck(), Thresholds(loss_steps=1000)).outcome.detail == "few-steps"
    with pytest.raises(SettingError, match="threshold spike is -1: every threshold is a number above 0"):
        Thresholds(spike=-1)


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        ({}, "the run holds no step"),
        ({"steps": steps_frame([1.0])}, "the run holds no timestep of any recurrent layer"),
        ({"timesteps": net(1.0, timesteps=1).timesteps}, "have one timestep"),
        ({"timesteps": net(1.0).timesteps.assign(**{schema.GRAD_H: 0.0, schema.GRAD_H_DIRECT: 0.0})}, "at no step did"),
    ],
)
def test_what_cannot_be_known_is_said(tables: dict[str, Any], reason: str) -> None:
    found = diagnose(Run.from_frames(manifest(), **tables))
    assert (found.verdict, found.outcome.name, found.cause) == ("not-measured", "unknown", None)
    assert reason in found.lead.sentence
    assert found.lead.evidence[0].name == "steps"


@pytest.mark.parametrize("batch", [32, 512])
@pytest.mark.parametrize("gain", [0.7, 1.0, 1.25])
def test_the_unit_of_the_loss_does_not_matter(gain: float, batch: int) -> None:
    """The same training with loss and gradient times 1000 or .001, as sums or a larger batch have them."""
    told = []
    for scale in (1.0, 1e3, 1e-3):
        frame = net(gain).timesteps
        for name in (schema.GRAD_H, schema.GRAD_H_DIRECT):
            frame[name] *= scale
        norms = scale * (1 + 0.2 * np.abs(NOISE[:S]))
        columns = {schema.BATCH_SIZE: [float(batch)] * S, schema.UPDATE_RATIO: [1e-3] * S}
        loss = [scale * each for each in FLAT]
        config = {"chance_loss": float(scale * np.log(4))}
        found = diagnose(run_of(loss, list(norms), timesteps=frame, columns=columns, config=config))
        told.append((found.outcome.name, found.cause, None if found.do_first is None else found.do_first.action))
    assert len(set(told)) == 1, told
