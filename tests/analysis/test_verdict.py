"""The verdict on gradients whose truth is known, and what it says when it cannot know."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import Thresholds, diagnose
from graddiag.errors import SettingError
from graddiag.run import Run
from tests.analysis.runs import INF, NAN, manifest, net, steps_frame, timesteps_frame, travelled


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
        ({}, "The run holds no step."),
        ({"steps": steps_frame([1.0])}, "The run holds no timestep of any recurrent layer."),
        ({"timesteps": net(1.0, timesteps=1).timesteps}, "have one timestep: there is no way back through time"),
        ({"timesteps": net(1.0).timesteps.assign(**{schema.GRAD_H: 0.0, schema.GRAD_H_DIRECT: 0.0})}, "At no step did"),
    ],
)
def test_what_cannot_be_known_is_said(tables: dict[str, object], reason: str) -> None:
    found = diagnose(Run.from_frames(manifest(), **tables))
    assert found.verdict == "not-measured"
    assert reason in found.findings[0].sentence


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


def test_it_reads_in_a_terminal() -> None:
    text = str(diagnose(net(0.7, name="order-50", model="rnn")))
    assert text.startswith("order-50: vanishing\n\nIn lstm, layer 0, forward a share of 4.6e-16 of the loss's gradient")
    assert "\n\nvanishing (severe)\n  In lstm, layer 0, forward a share of 4.6e-16 of" in text
    assert "\n\nWhat could not be known\n  - The run is still being written" in text
    assert "- memory horizon: 2.8 of 100 timesteps (lstm, layer 0, forward, steps 0 to 3)" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("gain", [0.7, 1.0, 1.25])
def test_the_summary_has_three_to_five_sentences_and_ends_with_what_to_do(gain: float) -> None:
    for run in (net(gain), net(gain, clip="norm:5"), Run.from_frames(manifest())):
        sentences = re.split(r"(?<=[.])\s+(?=[A-Z])", diagnose(run).summary)
        assert 3 <= len(sentences) <= 5, sentences
        assert sentences[-1].startswith("First thing to do: ")


def test_the_diagnosis_as_json_has_stable_keys() -> None:
    found = json.loads(diagnose(net(0.7)).to_json())
    assert list(found) == ["source", "verdict", "summary", "findings", "notes", "story", "thresholds"]
    finding = found["findings"][0]
    assert list(finding) == ["name", "severity", "sentence", "evidence", "rule", "advice", "thresholds", "onset"]
    assert list(finding["evidence"][0]) == ["name", "value", "unit", "where", "place"]
    assert finding["evidence"][0]["place"]["module"] == "lstm"
    assert finding["advice"][0] == {
        "text": "a forget-gate bias of 1 or more (the sum of torch's two biases).",
        "source": "Jozefowicz et al. 2015",
    }
    assert set(finding["thresholds"]) <= set(found["thresholds"])


def test_every_threshold_that_a_finding_names_is_one() -> None:
    for run in (net(0.7), net(1.25), spiking(), spiking(clip="norm:100")):
        for finding in diagnose(run).findings:
            assert set(finding.thresholds) <= set(vars(Thresholds()))


def test_the_summary_names_the_first_thing_to_try() -> None:
    summary = diagnose(net(0.7, name="x", model="rnn")).summary
    assert "First thing to do: a forget-gate bias of 1 or more" in summary
