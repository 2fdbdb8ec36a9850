"""Findings joined into a story: what is linked, in the order in which it began; and what could not be known."""

import numpy as np

from graddiag import schema
from graddiag.analysis import NOTE_NAMES, Source, TimelineEvent, diagnose
from graddiag.analysis.diagnosis.timeline import LINKS, timeline_of
from graddiag.run import Run
from tests.analysis.runs import (
    CHANCE,
    FALLING,
    FLAT,
    NAN,
    NOISE,
    manifest,
    net,
    run_of,
    snapshots_frame,
    steps_frame,
)

SOURCE = Source("run")


def names(*events: tuple[str, int]) -> list[str]:
    return [
        each.name for each in timeline_of(SOURCE, [TimelineEvent(step, name, name) for name, step in events]).events
    ]


def test_a_spike_then_saturated_gates_then_a_flat_loss() -> None:
    told = timeline_of(
        SOURCE,
        [
            TimelineEvent(80, "loss", "the loss is flat at 14.7"),
            TimelineEvent(40, "exploding", "the norm jumps"),
            TimelineEvent(60, "saturated-gates", "gates are saturated"),
        ],
    )
    assert told.caption == (
        "In order of time: the norm jumps (step 40), then gates are saturated (step 60), then the loss is flat at 14.7 "
        "(step 80)."
    )
    assert str(told).splitlines()[1] == "  - step 40: the norm jumps"


def test_an_effect_that_came_first_is_not_told_as_one() -> None:
    assert names(("exploding", 50), ("loss", 10)) == []
    assert (
        names(("exploding", 50), ("loss", 10), ("saturated-gates", 5)) == ["saturated-gates", "loss", "exploding"][:2]
    )


def test_what_is_linked_to_nothing_is_left_out() -> None:
    assert names(("vanishing", 0), ("exploding", 3), ("loss", 4)) == ["vanishing", "exploding", "loss"]
    assert names(("vanishing", 0), ("exploding", 3)) == []
    assert names(("non-finite", 0)) == []
    found = timeline_of(SOURCE, [])
    assert (found.events, found.missing) == ((), "No two findings of this run follow one another in time.")


def test_of_one_step_the_cause_is_told_first() -> None:
    assert names(("loss", 0), ("vanishing", 0)) == ["vanishing", "loss"]


def test_links_name_findings_or_the_loss() -> None:
    from graddiag.analysis import FINDING_NAMES

    assert {name for link in LINKS for name in link} <= {*FINDING_NAMES, "loss", "loss-jump", "loss-broken"}


def test_the_story_of_a_run_is_in_its_full_text() -> None:
    loss = [*FALLING[:101], *(5 + NOISE[101:])]
    found = diagnose(run_of(loss, [1.0] * 100 + [2e4] + [1.0] * 199, config=CHANCE))
    assert found.timeline.events[0].name == "exploding"
    assert "In order of time\n  - step 100" in found.full()
    assert "In order of time" not in str(found)


def test_a_spike_then_dead_units_then_a_loss_that_rises() -> None:
    loss = [*np.linspace(3, 1, 50), *(1 + NOISE[:100]), *np.linspace(5, 6, 150)]
    norms = [1.0] * 149 + [200.0] + [1.0] * 150
    h = np.random.default_rng(0).random((30, 4, 3))
    h[15:, :, :2] = 0.0
    frame = snapshots_frame({schema.GRAD_H: np.ones((30, 4, 3)), schema.gate_column(schema.ACTIVATION, "h"): h})
    frame[schema.STEP] *= 10
    run = run_of(loss, norms)
    found = diagnose(
        Run.from_frames(manifest(config=CHANCE), timesteps=run.timesteps, steps=run.steps, snapshots=frame)
    )
    assert [(each.name, each.step) for each in found.timeline.events] == [
        ("exploding", 149),
        ("loss-jump", 150),
        ("dead-units", 150),
        ("loss", 150),
    ]
    assert "the loss rises to" in found.timeline.caption


def test_a_loss_that_ends_in_nan_after_it_rose() -> None:
    loss = [2.0] * 150 + np.geomspace(2, 1e6, 100).tolist() + [NAN] * 50
    norms = [1.0] * 150 + np.geomspace(1, 1e5, 100).tolist() + [NAN] * 50
    told = diagnose(run_of(loss, norms)).timeline
    assert [each.name for each in told.events if each.name != "loss-jump"] == ["exploding", "loss", "non-finite"]


def test_nan_in_the_gradient_before_one_in_the_loss() -> None:
    found = diagnose(run_of([2.0] * 151 + [NAN] * 49, [1.0] * 150 + [NAN] * 50))
    assert [(each.name, each.step) for each in found.timeline.events] == [("non-finite", 150), ("loss-broken", 151)]


def note_names(run: Run) -> list[str]:
    return [note.name for note in diagnose(run).notes]


def test_what_cannot_be_known_is_told_by_name() -> None:
    assert note_names(Run.from_frames(manifest(clip=None, status="running"))) == [
        "still-running",
        "one-seed",
        "no-timesteps",
        "no-gates",
        "no-snapshots",
        "no-norms",
        "no-loss",
        "no-clip-policy",
    ]
    assert set(note_names(net(0.9))) <= set(NOTE_NAMES)


def test_notes_on_settings() -> None:
    steps = steps_frame([1.0] * 4, **{schema.LR: [None] * 4})
    assert note_names(Run.from_frames(manifest(clip="norm:1"), steps=steps))[-2:] == [
        "no-optimizer",
        "no-loss-reduction",
    ]
    steps = steps_frame([1.0] * 4, **{schema.LR: [0.1] * 4})
    told = note_names(Run.from_frames(manifest(clip="norm:1", loss_reduction="mean over batch"), steps=steps))
    assert not {"no-optimizer", "no-loss-reduction"} & set(told)


def test_a_run_with_few_steps_says_so() -> None:
    (note,) = [note for note in diagnose(net(0.9)).notes if note.name == "few-steps"]
    assert note.sentence == (
        "The run has 4 steps: whether the loss falls is judged from 100 on, and jumps of the norm from 6 on."
    )
    assert "few-steps" not in note_names(run_of(FLAT))
