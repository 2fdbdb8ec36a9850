"""The verdict on gradients whose truth is known, and what it says when it cannot know."""

from dataclasses import replace

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import Thresholds, diagnose
from graddiag.errors import SettingError
from graddiag.run import Run
from tests.analysis.runs import (
    INF,
    NAN,
    gates_frame,
    manifest,
    net,
    steps_frame,
    timesteps_frame,
    travelled,
)


def spiking(after: list[float] | None = None, coefficient: list[float] | None = None, **fields: object) -> Run:
    norms = [1.0] * 10 + [40.0] + [1.0] * 9
    columns = {schema.GRAD_NORM_CLIPPED: after or norms, schema.CLIP_COEFFICIENT: coefficient or [1.0] * 20}
    frames = {"timesteps": net(0.95).timesteps, "steps": steps_frame(norms, **columns)}
    return Run.from_frames(manifest(**fields), **frames)


@pytest.mark.parametrize(("gain", "verdict"), [(0.7, "vanishing"), (1.0, "healthy"), (1.25, "exploding")])
def test_one_loss_at_the_end_of_100_timesteps(gain: float, verdict: str) -> None:
    assert diagnose(net(gain)).verdict == verdict


@pytest.mark.parametrize("gain", [0.3, 0.6, 0.95])
def test_a_loss_at_each_timestep_feeds_every_state(gain: float) -> None:
    assert diagnose(net(gain, dense=True)).verdict == "healthy"


def test_with_a_loss_at_each_timestep_a_cut_recurrence_is_found() -> None:
    assert diagnose(net(0.02, dense=True)).verdict == "vanishing"
    assert diagnose(net(0.0, dense=True)).verdict == "vanishing"


def test_a_saturated_net_that_passes_the_gradient_on_is_not_exploding() -> None:
    gains = np.full((4, 100), 1.0)
    gains[:, 90:] = 1.08
    run = Run.from_frames(manifest(), timesteps=timesteps_frame(travelled(gains, np.eye(1, 100, 99).repeat(4, axis=0))))
    assert diagnose(run).verdict == "healthy"


def test_growth_within_the_sequence_is_found_though_its_ends_are_alike() -> None:
    gains = np.ones((4, 100))
    gains[:, 60:70], gains[:, 20:30] = 2.0, 0.5
    run = Run.from_frames(manifest(), timesteps=timesteps_frame(travelled(gains, np.eye(1, 100, 99).repeat(4, axis=0))))
    finding = diagnose(run).findings[0]
    assert (finding.name, finding.severity) == ("exploding", "severe")
    assert finding.evidence[0].value == pytest.approx(1024)


def test_small_totals_at_early_timesteps_alone_are_not_vanishing() -> None:
    direct = np.geomspace(1e-4, 1.0, 50)[None].repeat(3, axis=0)
    run = Run.from_frames(manifest(), timesteps=timesteps_frame(travelled(np.full((3, 50), 0.5), direct)))
    assert diagnose(run).verdict == "healthy"


def test_a_start_that_training_overcomes_is_not_vanishing() -> None:
    gains = np.concatenate([np.full((4, 100), 0.7), np.full((6, 100), 0.99)])
    direct = np.eye(1, 100, 99).repeat(10, axis=0)
    frame = timesteps_frame(travelled(gains, direct))
    assert diagnose(Run.from_frames(manifest(), timesteps=frame)).verdict == "healthy"


def test_jumps_of_the_norm_are_exploding() -> None:
    found = diagnose(spiking())
    assert found.verdict == "exploding"
    assert found.findings[0].sentence == (
        "The gradient norm jumps at 1 step of 20: to 40 at step 10, 40 times the usual 1."
    )
    assert "norm:1 say" in found.findings[0].advice[0].text


def test_jumps_that_clipping_caught_are_information() -> None:
    after, coefficient = [1.0] * 20, [1.0] * 10 + [1 / 40] + [1.0] * 9
    found = diagnose(spiking(after, coefficient, clip="norm:1.0"))
    assert found.verdict == "healthy"
    assert [(each.name, each.severity) for each in found.findings] == [("exploding", "info"), ("healthy", "info")]
    assert found.findings[0].sentence.endswith(
        "Clipping caught every such step, so the updates stayed of the usual size."
    )


def test_jumps_that_clipping_did_not_meet_stay_exploding() -> None:
    assert diagnose(spiking(clip="norm:100")).verdict == "exploding"


def test_a_few_jumps_in_a_very_long_run_are_none() -> None:
    norms = np.ones(20_000)
    norms[[5000, 9000]] = 12.0
    frames = {"timesteps": net(0.95).timesteps, "steps": steps_frame(norms.tolist())}
    assert diagnose(Run.from_frames(manifest(), **frames)).verdict == "healthy"


def test_nan_comes_before_everything() -> None:
    run = net(0.7)
    norms = steps_frame([1.0, NAN, 2.0, NAN], **{schema.LOSS: [1.0, 1.0, INF, 1.0]})
    found = diagnose(Run.from_frames(manifest(), timesteps=run.timesteps, steps=norms))
    assert [(each.name, each.severity) for each in found.findings] == [
        ("non-finite", "severe"),
        ("vanishing", "severe"),
    ]
    assert found.findings[0].sentence == "NaN or inf began at step 1. 3 steps of 4 held such values."


def test_a_rare_nan_that_passes_is_a_warning() -> None:
    norms = [1.0] * 300
    norms[100] = INF
    found = diagnose(Run.from_frames(manifest(), timesteps=net(1.0).timesteps, steps=steps_frame(norms)))
    assert (found.verdict, found.findings[0].severity) == ("non-finite", "warning")


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        ({}, "the run holds no step."),
        ({"steps": steps_frame([1.0])}, "the run holds no timestep of any recurrent layer."),
        ({"timesteps": net(1.0, timesteps=1).timesteps}, "have one timestep: there is no way back through time"),
        ({"timesteps": net(1.0).timesteps.assign(**{schema.GRAD_H: 0.0, schema.GRAD_H_DIRECT: 0.0})}, "at no step did"),
    ],
)
def test_what_cannot_be_known_is_said(tables: dict[str, object], reason: str) -> None:
    found = diagnose(Run.from_frames(manifest(), **tables))
    assert found.verdict == "not-measured"
    assert reason in found.findings[0].sentence
    assert reason in found.summary
    assert found.lead.rule
    assert found.lead.evidence[0].name == "steps"
    if "have one timestep" in reason:
        assert "hand the layer sequences of at least two timesteps" in found.summary
        assert "record a few steps" not in found.summary


def test_one_step_is_enough_for_the_way_through_time() -> None:
    assert diagnose(net(0.7, steps=1)).verdict == "vanishing"


def test_without_the_immediate_gradient_the_last_timestep_is_the_measure() -> None:
    frame = net(0.7).timesteps.drop(columns=schema.GRAD_H_DIRECT)
    assert diagnose(Run.from_frames(manifest(), timesteps=frame)).verdict == "vanishing"
    dense = net(0.7, dense=True).timesteps.drop(columns=schema.GRAD_H_DIRECT)
    assert diagnose(Run.from_frames(manifest(), timesteps=dense)).verdict == "healthy"


def test_thresholds_can_be_changed() -> None:
    assert diagnose(net(0.95), Thresholds(arriving=0.1, arriving_severe=0.05)).verdict == "vanishing"
    assert diagnose(net(0.7), replace(Thresholds(), arriving=1e-30)).verdict == "healthy"
    with pytest.raises(SettingError, match="threshold spike is -1: every threshold is a number above 0"):
        Thresholds(spike=-1)


def test_every_finding_has_evidence_a_rule_and_advice() -> None:
    for run in (net(0.7), net(1.25), spiking(), net(0.01, dense=True)):
        finding = diagnose(run).findings[0]
        assert finding.evidence
        assert finding.rule
        assert finding.advice


def test_every_threshold_that_a_finding_names_is_one() -> None:
    for run in (net(0.7), net(1.25), spiking(), spiking(clip="norm:100")):
        for finding in diagnose(run).findings:
            assert set(finding.thresholds) <= set(vars(Thresholds()))


def gated(run: Run, **means: float) -> Run:
    """``run`` with gates of these means, in no way saturated."""
    block = np.full((len(run.steps), 5), 0.5)
    shares = {schema.STD: block, schema.SATURATED_LOW: block * 0, schema.SATURATED_HIGH: block * 0}
    gates = gates_frame({gate: {schema.MEAN: block * 2 * mean, **shares} for gate, mean in means.items()})
    return Run.from_frames(run.manifest, timesteps=run.timesteps, steps=run.steps, gates=gates)


@pytest.mark.parametrize(
    ("gates", "first"),
    [
        ({"h": 0.0}, "an LSTM or GRU, whose state is carried on by a sum."),
        (
            {"i": 0.5, "f": 0.5, "g": 0.0, "o": 0.5},
            "a forget-gate bias of 2.1 or more (the sum of torch's two biases), which is 0.5 in the mean now.",
        ),
        (
            {"r": 0.5, "z": 0.5, "n": 0.0},
            "a bias of the update gate z of 2.1 or more, which is 0.5 in the mean now: so the state is copied longer.",
        ),
        ({"i": 0.5, "f": 0.97, "g": 0.0, "o": 0.5}, "shorter sequences, or a loss at more timesteps; clipping cannot"),
    ],
    ids=["rnn", "lstm", "gru", "lstm whose forget gate is open"],
)
@pytest.mark.parametrize("model", ["rnn", "LSTM", None])
def test_what_to_try_goes_by_the_gates_and_not_by_a_name(
    gates: dict[str, float], first: str, model: str | None
) -> None:
    """The module of ``net`` is called lstm, whatever it is."""
    assert f"First thing to do: {first}" in diagnose(gated(net(0.7, model=model), **gates)).summary


def test_a_cell_of_unknown_kind_is_not_taken_for_one() -> None:
    summary = diagnose(net(0.7, name="x", model="rnn")).summary
    assert "First thing to do: an LSTM or GRU if this is a plain RNN" in summary
    assert "the gates were not recorded" in summary


def test_a_training_that_lost_its_gradient_is_to_be_slowed() -> None:
    gains = np.concatenate([np.full((4, 100), 0.99), np.full((4, 100), 0.7)])
    frame = timesteps_frame(travelled(gains, np.eye(1, 100, 99).repeat(8, axis=0)))
    found = diagnose(Run.from_frames(manifest(), timesteps=frame, steps=steps_frame([1.0] * 8)))
    assert (found.verdict, found.lead.onset) == ("vanishing", 4)
    assert found.lead.advice[0].text.startswith(
        "a smaller learning rate, or clipping while the norm is large: until step 4"
    )


def test_saturated_units_are_to_be_freed_first() -> None:
    run = net(0.7)
    block = np.full((4, 5), 0.5)
    gates = gates_frame(
        {"h": {schema.MEAN: block, schema.STD: block, schema.SATURATED_LOW: block, schema.SATURATED_HIGH: block}}
    )
    found = diagnose(Run.from_frames(run.manifest, timesteps=run.timesteps, steps=run.steps, gates=gates))
    assert found.lead.advice[0].text.startswith("smaller inputs or a smaller start of the weights: 100% of the units")


def test_with_a_loss_at_each_timestep_no_loss_at_more_is_advised() -> None:
    texts = [each.text for each in diagnose(net(0.02, dense=True)).lead.advice]
    assert not any("a loss at more timesteps" in text for text in texts)


def climbing(loss: list[float], top: float = 50.0, **fields: object) -> Run:
    norms = [0.1] * 30 + np.geomspace(0.1, top, 270).tolist()
    return Run.from_frames(manifest(**fields), timesteps=net(1.0).timesteps, steps=steps_frame(norms, loss=loss))


def test_a_norm_that_climbs_without_a_jump_is_information_while_the_loss_falls() -> None:
    found = diagnose(climbing(np.linspace(3, 1, 300).tolist()))
    assert (found.verdict, found.finding("exploding").severity) == ("healthy", "info")
    assert found.finding("exploding").sentence.startswith("The gradient norm climbs from step ")
    assert found.finding("exploding").sentence.endswith(" before, without a jump.")
    assert "First thing to do: nothing about the gradient" in found.summary


@pytest.mark.parametrize(("top", "severity"), [(10.0, "warning"), (1e6, "severe")])
def test_it_is_a_warning_where_the_loss_rises(top: float, severity: str) -> None:
    found = diagnose(climbing([2.0] * 31 + np.geomspace(2, 1e5, 269).tolist(), top))
    assert (found.verdict, found.lead.severity) == ("exploding", severity)
    assert found.lead.advice[0].text.startswith("a smaller learning rate (how large an update is")
    assert [each.name for each in found.story.moments if each.name != "loss-jump"] == ["exploding", "loss"]


def test_a_jump_to_a_level_that_stays_is_one() -> None:
    norms = [1.0] * 150 + [50.0] * 150
    frames = {"timesteps": net(1.0).timesteps, "steps": steps_frame(norms)}
    found = diagnose(Run.from_frames(manifest(), **frames))
    assert (found.lead.name, found.lead.severity, found.lead.onset) == ("exploding", "severe", 150)
    assert "jumps at 25 steps of 300: to 50 at step 150" in found.lead.sentence


def test_a_run_that_clips_is_told_to_lower_its_threshold() -> None:
    first = diagnose(spiking(clip="norm:100")).findings[0].advice[0].text
    assert first == "a lower clip threshold, norm:1 say: at 100 clipping did not prevent this."
    assert diagnose(spiking()).findings[0].advice[0].text.startswith("clip by global norm, norm:1 say")


def test_growth_from_the_first_step_asks_for_another_start() -> None:
    assert diagnose(net(1.25)).lead.advice[0].text.startswith("a start with a smaller recurrent weight")


def test_nan_after_a_norm_that_grew_asks_for_smaller_steps() -> None:
    def advice(norms: list[float], **fields: object) -> list[str]:
        run = Run.from_frames(manifest(**fields), timesteps=net(1.0).timesteps, steps=steps_frame(norms))
        return [each.text for each in diagnose(run).lead.advice]

    calm, grown = [1.0] * 30 + [NAN] * 5, [1.0] * 30 + [100.0, NAN, NAN]
    assert advice(calm)[0].startswith("stop at the first such step")
    assert not any(text.startswith(("clip", "a lower clip", "a smaller")) for text in advice(calm))
    assert advice(grown)[0].startswith("clip by global norm")
    assert advice(grown, clip="norm:500")[0].startswith("a smaller learning rate")
    assert advice(grown, clip="norm:500")[1].startswith("a lower clip threshold")


def test_of_a_rare_inf_under_a_loss_scaler_nothing_is_asked() -> None:
    norms = [1.0] * 300
    norms[100] = INF
    steps = steps_frame(norms, amp_scale=[65536.0] * 100 + [32768.0] * 200)
    found = diagnose(Run.from_frames(manifest(), timesteps=net(1.0).timesteps, steps=steps))
    assert found.lead.advice[0].text.startswith("leave it: a loss scaler")


def test_information_does_not_set_what_to_do_first() -> None:
    idle = {schema.GRAD_NORM_CLIPPED: [1.0] * 20, schema.CLIP_COEFFICIENT: [0.25] * 20}
    run = Run.from_frames(manifest(clip="norm:1"), steps=steps_frame([4.0] * 20, **idle))
    found = diagnose(run)
    assert [(each.name, each.severity) for each in found.findings] == [
        ("clipping-always", "info"),
        ("not-measured", "info"),
    ]
    assert "First thing to do: see that the model has a layer that graddiag follows" in found.summary
    far = Run.from_frames(
        manifest(clip="norm:100"),
        timesteps=net(1.0).timesteps,
        steps=spiking().steps[:9].assign(**{schema.CLIP_COEFFICIENT: 1.0}),
    )
    assert "First thing to do: lower the clip threshold" in diagnose(far).summary
