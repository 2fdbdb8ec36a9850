"""Each rule on a run where it applies, and on the nearest one where it does not; what the causes say together."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import Thresholds, diagnose
from graddiag.errors import SettingError
from graddiag.run import Run
from tests.analysis.diagnosis.trainings import S, action, all_advice, broken, cut, fine, one_loss, only, stuck, updating
from tests.analysis.runs import (
    CHANCE,
    FALLING,
    FLAT,
    INF,
    NAN,
    NOISE,
    TURNED,
    gates_frame,
    manifest,
    net,
    run_of,
    saturation,
    steps_frame,
    timesteps_frame,
    travelled,
)

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
        ({"h": 0.0}, "change-initialization"),
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
    held: dict[str, Any] = {"norm": [50.0] * S, "after": [1.0] * S, "clip": "norm:1"}
    found = only(fine(1.25, **held), "exploding")
    assert found.severity == "info"
    assert [each.action for each in found.advice] == ["keep-clipping"]


def test_growth_that_clipping_holds_is_a_cause_where_the_training_is_stuck() -> None:
    """The updates have their usual size, and the direction of a gradient that explodes is arbitrary."""
    found = only(stuck(1.25, norm=[50.0] * S, after=[1.0] * S, clip="norm:1"), "exploding")
    assert (found.severity, found.strength) == ("severe", "strong")
    assert found.advice[0].action == "change-initialization"
    assert "Clipping caught every such step" in found.sentence
    assert "direction" in found.sentence
    assert "direction" not in only(fine(1.25, norm=[50.0] * S, after=[1.0] * S, clip="norm:1"), "exploding").sentence


def test_the_first_updates_throw_the_loss_up() -> None:
    """A climb of the norm within the first steps, from .59 to 17.7."""
    loss = [START, *(np.full(S - 1, 2.5) + NOISE[1:])]
    norms = [0.59, 2.0, 9.0, 17.7, 12.0, *([3.0] * (S - 5))]
    found = diagnose(run_of(loss, norms, config=CHANCE, columns={schema.UPDATE_RATIO: [0.5] * S}))
    assert found.outcome.failed
    assert found.cause == "learning-rate-high"
    assert action(run_of(loss, norms, config=CHANCE, columns={schema.UPDATE_RATIO: [0.5] * S})) == "lower-learning-rate"


# the learning rate


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


def test_a_learning_rate_that_rose_bit_by_bit_is_named_and_not_the_data() -> None:
    loss = [*FALLING[:200], *(2.5 + NOISE[200:])]
    found = diagnose(run_of(loss, config=CHANCE, columns={schema.LR: list(np.geomspace(1e-3, 1.0, S))}))
    assert (found.outcome.name, found.cause) == ("diverged", "changed-during-training")
    assert found.do_first.action == "lower-learning-rate"
    assert "rose from" in found.causes[0].sentence
    falls = diagnose(run_of(loss, config=CHANCE, columns={schema.LR: list(np.geomspace(1.0, 1e-3, S))}))
    assert falls.do_first.action == "check-data"


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


# one decision a run


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
