"""Each rule beyond exploding and vanishing: on a run where it applies, and on the nearest one where it does not."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

import graddiag
from graddiag import schema
from graddiag.analysis import Finding, Selection, Thresholds, diagnose
from graddiag.analysis.distance import DISTANCE_KEY as DISTANCE
from graddiag.run import Run
from tests.analysis.runs import INF, LAYER, NAN, gates_frame, manifest, net, steps_frame, timesteps_frame, travelled

NOISE = np.random.default_rng(0).normal(0, 0.02, 300)
FLAT = list(1.4 + NOISE)


def run_of(
    loss: Sequence[float | None] = (),
    norm: Sequence[float] = (),
    gain: float = 1.0,
    gates: pd.DataFrame | None = None,
    events: pd.DataFrame | None = None,
    after: Sequence[float] = (),
    **fields: Any,
) -> Run:
    """A net of ``gain`` with these losses and norms; ``after`` are the norms after clipping."""
    count = max(len(loss), len(norm), 12)
    norms = list(norm) or [1.0] * count
    left = list(after) or norms
    columns = {
        schema.LOSS: list(loss) or [None] * count,
        schema.GRAD_NORM_CLIPPED: left,
        schema.CLIP_COEFFICIENT: [b / a for a, b in zip(norms, left, strict=True)],
    }
    tables = {
        "timesteps": net(gain).timesteps,
        "steps": steps_frame(norms, **columns),
        "gates": gates,
        "events": events,
    }
    return Run.from_frames(manifest(**fields), **{name: table for name, table in tables.items() if table is not None})


def saturation(low: float, high: float | None, gate: str = "o", steps: int = 4) -> pd.DataFrame:
    block = np.full((steps, 5), 0.5)
    shares = np.full((steps, 5), high, dtype=object if high is None else float)
    return gates_frame(
        {
            gate: {
                schema.MEAN: block,
                schema.STD: block,
                schema.SATURATED_LOW: block * 2 * low,
                schema.SATURATED_HIGH: shares,
            }
        }
    )


def only(run: Run, name: str) -> Finding:
    found = diagnose(run).finding(name)
    assert found is not None, str(diagnose(run))
    return found


# plateau


def test_a_loss_that_does_not_fall_though_the_gradient_is_healthy() -> None:
    found = diagnose(run_of(FLAT, config={"chance_loss": "ln 4"}))
    assert found.verdict == "plateau"
    finding = found.findings[0]
    assert finding.severity == "warning"
    assert finding.sentence.startswith(
        "The loss does not fall, though the gradient is healthy: it began at a level of 1.4"
    )
    assert "which is the loss of guessing 1.39" in finding.sentence
    assert [each.place.step for each in finding.evidence[:2]] == [0, 285]
    assert finding.onset == 0


def test_where_the_gradient_vanishes_the_flat_loss_is_part_of_the_story_and_no_plateau() -> None:
    found = diagnose(run_of(FLAT, gain=0.7))
    assert [each.name for each in found.findings if each.alarming] == ["vanishing"]
    assert [moment.name for moment in found.story.moments] == ["vanishing", "loss"]


def test_a_converged_loss_is_no_plateau() -> None:
    assert diagnose(run_of(list(3 * np.exp(-np.arange(300) / 20) + 1 + NOISE))).verdict == "healthy"


def test_what_to_try_against_a_plateau_depends_on_what_was_seen() -> None:
    rough = [*FLAT[:150], 4.0, *FLAT[151:]]
    first = only(run_of(rough), "plateau").advice[0].text
    assert first == "clip by global norm, norm:1.1 say (the usual norm; half to ten times it will do)."
    assert "smaller learning rate" in only(run_of(rough, clip="norm:5"), "plateau").advice[0].text
    slow = Run.from_frames(
        manifest(),
        timesteps=net(1.0).timesteps,
        steps=steps_frame([1.0] * 300, **{schema.LOSS: FLAT, schema.UPDATE_RATIO: [1e-6] * 300}),
    )
    assert only(slow, "plateau").advice[0].text.startswith("a larger learning rate (an update is 1.0e-6 of the weights")


def updating(ratio: float | None, **fields: Any) -> Run:
    """A flat loss without a jump, at chance where the configuration says so."""
    columns = {schema.LOSS: FLAT, **({} if ratio is None else {schema.UPDATE_RATIO: [ratio] * 300})}
    return Run.from_frames(manifest(**fields), timesteps=net(1.0).timesteps, steps=steps_frame([1.0] * 300, **columns))


@pytest.mark.parametrize(
    ("ratio", "config", "first"),
    [
        (1e-3, {"chance_loss": "ln 4"}, "train longer"),
        (1e-3, {}, "see whether the model can learn a single batch by heart"),
        (None, {"chance_loss": "ln 4"}, "train longer"),
        (0.1, {"chance_loss": "ln 4"}, "a smaller learning rate (an update is 0.1 of the weights"),
        (1e-6, {"chance_loss": "ln 4"}, "a larger learning rate"),
    ],
)
def test_a_flat_loss_without_jumps_asks_for_smaller_steps_only_if_they_are_large(
    ratio: float | None, config: dict[str, str], first: str
) -> None:
    advice = only(updating(ratio, config=config), "plateau").advice
    assert advice[0].text.startswith(first)
    assert any("was not recorded" in each.text for each in advice) is (ratio is None)


# diverging


TURNED = [*np.linspace(3, 1, 150), *np.linspace(1, 2.5, 150)]


def test_a_loss_that_falls_and_rises_again_is_no_healthy_run() -> None:
    found = diagnose(run_of(TURNED))
    assert (found.verdict, found.lead.severity) == ("diverging", "warning")
    assert found.lead.sentence.startswith("The loss fell to 1.0")
    assert 150 <= (found.lead.onset or 0) <= 180
    assert found.lead.evidence[1].place.step in range(130, 160)
    assert diagnose(run_of(TURNED), Thresholds(loss_rise=0.9)).verdict == "healthy"
    assert only(run_of(TURNED, gates=saturation(0.6, 0.35)), "saturated-gates").severity == "warning"


def test_a_loss_above_where_it_began_is_diverging_and_no_plateau() -> None:
    found = diagnose(run_of(list(np.linspace(1, 4, 300))))
    assert (found.verdict, found.finding("plateau")) == ("diverging", None)


def diverged(norms: Sequence[float] = (), **columns: Sequence[float]) -> str:
    steps = steps_frame(list(norms) or [1.0] * 300, **{schema.LOSS: TURNED, **columns})
    run = Run.from_frames(manifest(), timesteps=net(1.0).timesteps, steps=steps)
    return only(run, "diverging").advice[0].text


def test_what_to_try_against_a_rising_loss_depends_on_what_was_seen() -> None:
    assert diverged().startswith("a smaller learning rate (how large")
    assert diverged([1.0] * 150 + [40.0] + [1.0] * 149).startswith("clip by global norm")
    assert diverged(**{schema.UPDATE_RATIO: [1e-6] * 300}).startswith("see whether the data changed")
    rising = [0.01] * 160 + [0.1] * 140
    assert diverged(**{schema.LR: rising}).startswith("a smaller peak of the learning rate: it was still being raised")


# clipping


def test_clipping_that_is_always_on_is_information_while_the_loss_falls() -> None:
    falling = list(np.linspace(3, 1, 300) + NOISE)
    found = diagnose(run_of(falling, [4.0] * 300, after=[1.0] * 300, clip="norm:1"))
    assert found.verdict == "healthy"
    finding = only(run_of(falling, [4.0] * 300, after=[1.0] * 300, clip="norm:1"), "clipping-always")
    assert finding.severity == "info"
    assert "engages at 100% of the steps and leaves 25% of the gradient's length" in finding.sentence
    assert finding.onset == 0


@pytest.mark.parametrize(("loss", "after"), [(FLAT, 1.0), (list(np.linspace(3, 1, 300)), 0.1)])
def test_it_is_a_warning_if_the_loss_stands_still_or_little_is_left(loss: list[float], after: float) -> None:
    finding = only(run_of(loss, [4.0] * 300, after=[after] * 300, clip="norm:1"), "clipping-always")
    assert finding.severity == "warning"


def test_clipping_at_most_steps_alone_is_not_always() -> None:
    after = [1.0] * 85 + [2.0] * 15
    assert diagnose(run_of([], [2.0] * 100, after=after, clip="norm:1")).finding("clipping-always") is None


def test_clipping_that_was_never_needed_is_information() -> None:
    found = diagnose(run_of([], [1.0, 2.0] * 20, clip="norm:5"))
    assert found.verdict == "healthy"
    finding = only(run_of([], [1.0, 2.0] * 20, clip="norm:5"), "clipping-never")
    assert (finding.severity, finding.sentence) == (
        "info",
        "Clipping (norm:5) is set and engaged at none of 40 steps. A safety net that was not needed so far is no "
        "fault.",
    )
    assert diagnose(run_of([], [1.0, 2.0] * 20, clip="none")).finding("clipping-never") is None
    assert diagnose(run_of([], [1.0, 2.0] * 20, clip=None)).finding("clipping-never") is None


def test_clipping_at_the_wrong_place_is_a_warning() -> None:
    names = [schema.STEP, schema.KIND, schema.WHERE, schema.VALUE, schema.MESSAGE]
    row = (3, schema.EVENT_CLIP_MISPLACED, "all parameters", 9.0, "The gradient was changed after the update.")
    run = run_of([], [1.0] * 40, clip="norm:5", events=pd.DataFrame([row], columns=names))
    found = only(run, "clipping-never")
    assert found.severity == "warning"
    assert found.sentence.endswith("The gradient was changed after the update.")


def test_a_threshold_far_above_every_norm() -> None:
    run = run_of([], [1.0, 2.0] * 20, clip="norm:100")
    found = diagnose(run)
    assert (found.verdict, found.finding("clipping-never")) == ("healthy", None)
    finding = only(run, "threshold-above-all")
    assert finding.severity == "info"
    assert finding.evidence[0].value == 50.0
    assert finding.evidence[1].place.step == 1
    assert finding.advice[0].text.startswith("lower the clip threshold, to norm:")


def test_a_threshold_above_jumps_is_a_warning() -> None:
    norms = [1.0] * 20 + [50.0] + [1.0] * 20
    finding = only(run_of([], norms, clip="norm:60"), "threshold-above-all")
    assert (finding.severity, finding.onset) == ("warning", 20)
    assert finding.sentence.endswith("1 jump of the norm passed below it.")


@pytest.mark.parametrize("policy", ["value:100", "zclip", "auto:10"])
def test_other_policies_have_no_threshold_to_compare(policy: str) -> None:
    assert only(run_of([], [1.0] * 20, clip=policy), "clipping-never").severity == "info"


# saturated gates


def test_saturated_gates_are_a_warning_where_the_training_shows_harm() -> None:
    finding = only(run_of(FLAT, gates=saturation(0.6, 0.35)), "saturated-gates")
    assert finding.severity == "warning"
    assert finding.sentence.startswith(
        "In lstm, layer 0, forward 95% of the output gate o is saturated, seen from step 0"
    )
    assert (finding.evidence[0].place.gate, finding.evidence[0].place.module) == ("o", "lstm")


def test_they_are_information_in_a_healthy_run() -> None:
    found = diagnose(run_of(gates=saturation(0.6, 0.35)))
    assert (found.verdict, only(run_of(gates=saturation(0.6, 0.35)), "saturated-gates").severity) == ("healthy", "info")


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
    assert (diagnose(run_of(FLAT, gates=saturation(low, high, gate))).finding("saturated-gates") is not None) is found


def test_saturation_tells_since_when() -> None:
    early, late = saturation(0.1, 0.1, steps=10), saturation(0.5, 0.5, steps=10)
    late[schema.STEP] += 10
    frame = timesteps_frame(travelled(np.ones((20, 5)), np.eye(1, 5, 4).repeat(20, axis=0)))
    gates = pd.concat([early, late], ignore_index=True)
    run = Run.from_frames(manifest(), timesteps=frame, steps=steps_frame([1.0] * 20), gates=gates)
    assert only(run, "saturated-gates").onset == 10


# truncated reach


def cut(k: int, *, gain: float = 1.0, steps: int = 4, layer: Selection = LAYER) -> Run:
    """Sequences of 20 timesteps with the loss at the last, whose gradient is exactly 0 before timestep ``k``."""
    gains, direct = np.full((steps, 20), gain), np.eye(1, 20, 19).repeat(steps, axis=0)
    signals = travelled(gains, direct)
    signals[schema.GRAD_H][:, :k] = 0.0
    if layer.reverse:
        signals = {name: values[:, ::-1] for name, values in signals.items()}
    return Run.from_frames(manifest(), timesteps=timesteps_frame(signals, layer), steps=steps_frame([1.0] * steps))


def test_a_detach_is_a_truncated_reach_and_not_a_vanishing_gradient() -> None:
    found = diagnose(cut(8))
    assert [(each.name, each.severity) for each in found.findings] == [("truncated-reach", "warning")]
    assert found.findings[0].sentence == (
        "In lstm, layer 0, forward back-propagation stops at timestep 8: the 8 timesteps beyond it get no gradient at "
        "all, of 20 timesteps in the sequence."
    )


def test_a_detach_in_a_reverse_direction() -> None:
    finding = only(cut(8, layer=Selection("lstm", 0, "reverse")), "truncated-reach")
    assert "stops at timestep 11: the 8 timesteps beyond it" in finding.sentence


def test_a_gradient_that_fades_into_zeros_is_vanishing() -> None:
    assert diagnose(cut(8, gain=0.01)).verdict == "vanishing"


def test_a_window_that_is_shorter_than_the_task_looks_back() -> None:
    run = net(1.0, timesteps=10, task="temporal-order", config={DISTANCE: 40})
    finding = only(run, "truncated-reach")
    assert finding.severity == "warning"
    assert "has 10 timesteps and the task looks back 40" in finding.sentence
    assert diagnose(net(1.0, timesteps=60, config={DISTANCE: 40})).finding("truncated-reach") is None


def test_a_state_that_was_carried_over_is_information() -> None:
    signals = travelled(np.ones((3, 10)), np.eye(1, 10, 9).repeat(3, axis=0)) | {schema.GRAD_W_HH: np.ones((3, 10))}
    run = Run.from_frames(manifest(), timesteps=timesteps_frame(signals), steps=steps_frame([1.0] * 3))
    assert diagnose(run).verdict == "healthy"
    finding = only(run, "truncated-reach")
    assert finding.severity == "info"
    assert "each of 10 timesteps is learned by itself" in finding.sentence
    signals[schema.GRAD_W_HH][:, 0] = 0
    begun = Run.from_frames(manifest(), timesteps=timesteps_frame(signals), steps=steps_frame([1.0] * 3))
    assert diagnose(begun).finding("truncated-reach") is None


# where NaN began


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


def test_thresholds_decide() -> None:
    gates = saturation(0.4, 0.2)
    assert diagnose(run_of(FLAT, gates=gates)).finding("saturated-gates") is None
    assert diagnose(run_of(FLAT, gates=gates), Thresholds(saturated=0.5)).finding("saturated-gates") is not None
    assert diagnose(run_of(FLAT), Thresholds(loss_steps=1000)).verdict == "healthy"


def test_chance_is_where_the_loss_of_the_sentence_is() -> None:
    assert math.isclose(only(run_of(FLAT, config={"chance_loss": "ln 4"}), "plateau").evidence[2].value, math.log(4))
