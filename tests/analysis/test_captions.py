"""Captions of several runs: what is shown is named once, each run has its value."""

import pytest

from graddiag.analysis import Selection, Source, captions, horizon_captions, loss_curve, reach
from graddiag.analysis.captioning import MOST_RUNS, Caption, joint_captions, labels_of
from graddiag.run import Run
from tests.analysis.runs import LAYER, manifest, net, steps_frame

OFF, ON = Source("a", arm="clip off", seed=0), Source("b", arm="clip on", seed=0)


def test_one_run_is_told_by_itself() -> None:
    told = Caption("Loss", {"": "falls", "{} NaN": "1 step", "lowest": "2"}, "As logged.")
    assert told.caption(OFF) == "Loss (clip off, seed 0): falls; 1 step NaN; lowest 2. As logged."


def test_each_run_has_its_value_and_what_is_alike_is_told_once() -> None:
    first = Caption("Norm", {"median": "1", "largest": "3"}, "Before clipping.")
    second = Caption("Norm", {"median": "1", "largest": "2", "above {} at 2 steps": "0.5"}, "Before clipping.")
    assert joint_captions([OFF, ON], [first, second]) == (
        "Norm (clip off / clip on): median 1; largest 3 / 2; above 0.5 at 2 steps (clip on). Before clipping.",
    )


def test_what_is_told_of_different_things_has_a_sentence_each() -> None:
    told = [Caption("Norm of a", {"": "1"}), Caption("Norm of b", {"": "2"})]
    assert joint_captions([OFF, OFF], told) == ("Norm of a (clip off, seed 0): 1.", "Norm of b (clip off, seed 0): 2.")


def test_of_many_runs_the_first_are_told() -> None:
    sources = [Source(f"run-{n}", arm=f"arm {n}") for n in range(MOST_RUNS + 3)]
    (told,) = joint_captions(sources, [Caption("Norm", {"": str(n)}) for n in range(len(sources))])
    assert "; 3 more are left out): 0 / 1 / 2 / 3 / 4 / 5." in told


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ([OFF], ["clip off, seed 0"]),
        ([OFF, ON], ["clip off", "clip on"]),
        ([OFF, Source("c", arm="clip off", seed=1)], ["clip off, seed 0", "clip off, seed 1"]),
        ([OFF, Source("c", arm="clip off", seed=0)], ["clip off, seed 0, a", "clip off, seed 0, c"]),
        (
            [Source("a", "text", "clip off", 0), Source("a", "order", "clip off", 0)],
            ["clip off, seed 0, text/a", "clip off, seed 0, order/a"],
        ),
    ],
)
def test_labels_are_as_short_as_they_tell_runs_apart(sources: list[Source], expected: list[str]) -> None:
    assert labels_of(sources) == expected


def test_what_is_missing_is_said_once() -> None:
    loss = loss_curve(Run.from_frames(manifest(), steps=steps_frame([1.0], loss=[2.0])))
    without = loss_curve(Run.from_frames(manifest(seed=1), steps=steps_frame([1.0], loss=[None])))
    assert captions([loss, without, without]) == (loss.caption, without.missing)


def test_the_horizons_of_two_runs_are_told_apart() -> None:
    short, long = (reach(net(gain, timesteps=11, seed=seed), LAYER) for seed, gain in enumerate((0.5, 0.99)))
    (told,) = horizon_captions([short, long])
    assert told.startswith("Memory horizon (to 1/e) against the 10 timesteps back to the first timestep (")
    assert "does not cover them / 99.5 timesteps" in told


def test_a_layer_is_called_by_its_short_name() -> None:
    assert Selection("lstm", 0, "forward").short == "lstm layer 0"
    assert Selection("lstm", 1, "reverse", 2).short == "lstm layer 1, reverse, call 2"
