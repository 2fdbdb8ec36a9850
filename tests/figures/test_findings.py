"""Numbers read back from the figures of findings: story, direction, truncation, dead units, the edge of stability."""

from dataclasses import replace

import numpy as np
import pytest

from graddiag import analysis, diagnose, figures, schema
from graddiag.analysis.diagnosis.findings import Evidence, Finding, Place
from graddiag.analysis.diagnosis.timeline import Timeline, TimelineEvent
from graddiag.run import Run
from tests.analysis.runs import LAYER, NAN, manifest, net, snapshots_frame, steps_frame, timesteps_frame


def diagnosed(**fields: object) -> analysis.Diagnosis:
    """By hand: an explosion from step 30 to 80, NaN from 90 on, the loss flat from 60 on, and one of no time."""
    found = (
        Finding("non-finite", "severe", "NaN <began>.", onset=90),
        Finding("exploding", "warning", "It grew.", (Evidence("a", 1.0, "", "", Place(40, 80)),), onset=30),
        Finding("clipping-never", "info", "It never clipped."),
    )
    plain = diagnose(Run.from_frames(manifest(**fields)))
    events = (TimelineEvent(30, "exploding", "it grows"), TimelineEvent(60, "loss", "the loss is flat at 1"))
    return replace(plain, findings=found, timeline=Timeline(plain.source, events))


def test_findings_stand_in_order_of_time_from_their_onset_to_their_last_evidence() -> None:
    figure = figures.timeline(diagnosed())
    assert [(list(trace.x), trace.y[0]) for trace in figure.data] == [
        ([30, 80], "exploding"),
        ([60, 60], "loss"),
        ([90, 90], "non-finite"),
    ]
    assert figure.layout.yaxis.categoryarray == ("non-finite", "loss", "exploding")
    assert [trace.marker.symbol[0] for trace in figure.data] == ["circle", "circle", "x"]
    assert figure.data[2].text[0] == "NaN &lt;began&gt;."


def test_of_several_runs_a_row_says_whose_it_is() -> None:
    figure = figures.timeline([diagnosed(), diagnosed(arm="clip on", clip="norm:1")])
    assert figure.data[0].y[0] == "clip off, seed 0: exploding"
    assert figure.data[3].y[0] == "clip on, seed 0: exploding"


def test_the_turning_of_the_gradient_at_clipped_steps_alone() -> None:
    columns = {schema.CLIP_COEFFICIENT: [1.0, 0.5, 0.8], schema.CLIP_COSINE: [1.0, 0.6, 0.9]}
    run = Run.from_frames(manifest(clip="value:1"), steps=steps_frame([1.0] * 3, **columns))
    (dots,) = figures.direction(analysis.direction_change(run)).data
    assert list(dots.x) == [1, 2]
    np.testing.assert_allclose(dots.y, [0.6, 0.9], rtol=1e-6)
    bound = Run.from_frames(manifest(clip="value:1"), steps=run.steps.drop(columns=schema.CLIP_COSINE))
    (dots,) = figures.direction(analysis.direction_change(bound)).data
    np.testing.assert_allclose(dots.y, [0.5, 0.8], rtol=1e-6)
    assert (dots.name, dots.marker.symbol) == ("clip off: at least", "circle-open")


def test_a_policy_that_turns_nothing_has_no_picture_but_a_sentence() -> None:
    columns = {schema.CLIP_COEFFICIENT: [1.0, 0.5]}
    run = Run.from_frames(manifest(clip="norm:1"), steps=steps_frame([1.0, 2.0], **columns))
    (note,) = figures.direction(analysis.direction_change(run)).layout.annotations
    assert "kept at every step" in note.text.replace("<br>", " ")


def test_a_cut_stands_where_the_gradient_ends() -> None:
    signals = {schema.GRAD_H: [[0.0, 0.0, 3.0, 4.0]] * 2, schema.TRANSPORT_GAIN: [[NAN, 1.0, 0.75, 0.75]] * 2}
    run = Run.from_frames(manifest(config={"distance": 9}), timesteps=timesteps_frame(signals))
    found, along = analysis.truncation(run, LAYER), analysis.profile(run, (0, 1), LAYER)
    figure = figures.truncation([found], [along])
    line, zeros, *_ = figure.data
    np.testing.assert_allclose(line.y, [np.nan, np.nan, 3.0, 4.0], rtol=1e-6)
    assert (zeros.name, list(zeros.x)) == ("exactly zero", [0, 1])
    assert [shape.x0 for shape in figure.layout.shapes] == [2, -1]
    assert [trace.name for trace in figure.data[2:]] == [
        "clip off: cut",
        "task looks back 9: beyond here",
    ]


def test_dead_units_are_marked_in_the_row_of_their_layer() -> None:
    columns = {
        schema.GRAD_H: [[[1.0, 0.0, 2.0], [1.0, 0.0, 2.0]]],
        schema.gate_column(schema.ACTIVATION, "h"): [[[0.1, 0.2, 0.0], [0.3, 0.1, 0.0]]],
    }
    run = Run.from_frames(manifest(), snapshots=snapshots_frame(columns))
    figure = figures.dead_units(analysis.dead_units(run, LAYER))
    silent, without_gradient = figure.data
    assert (list(silent.x), list(without_gradient.x)) == ([2], [1])
    assert figure.layout.yaxis.ticktext == ("lstm, layer 0, forward: 2 of 3",)


def test_sharpness_times_learning_rate_against_two() -> None:
    columns = {"sharpness": [10.0, 30.0, NAN, 0.0], schema.LR: [0.1] * 4}
    run = Run.from_frames(manifest(), steps=steps_frame([1.0] * 4, **columns))
    found = analysis.edge_of_stability(run)
    np.testing.assert_allclose(found.product.values, [1.0, 3.0, NAN, 0.0])
    assert found.caption.startswith(
        "Sharpness \N{MULTIPLICATION SIGN} learning rate (clip off, seed 0): 0 at the end; at or above 2 at 33.3%"
    )
    line, nan, zero, _ = figures.stability(found).data
    np.testing.assert_allclose(line.y, [1.0, 3.0, NAN, NAN])
    assert (nan.name, list(nan.x), zero.name, list(zero.x)) == ("NaN", [2], "exactly zero", [3])
    assert "no scalar 'sharpness'" in (analysis.edge_of_stability(net(0.9)).missing or "")


@pytest.mark.parametrize("clip", ["none", "norm:1"])
def test_an_effective_learning_rate_is_told_of_what_was_clipped(clip: str) -> None:
    columns = {schema.CLIP_COEFFICIENT: [1.0, 0.5], schema.LR: [0.1] * 2}
    run = Run.from_frames(manifest(clip=clip), steps=steps_frame([1.0, 2.0], **columns))
    told = analysis.effective_lr(run).caption
    assert told.endswith("75.0% of the 0.1 that was set.") == (clip != "none")
    assert told.endswith(": 0.1, as set.") == (clip == "none")
