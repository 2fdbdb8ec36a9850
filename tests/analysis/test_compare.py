"""Arms against arms: pairs by seed, effects with intervals, settings, and where pairs part."""

import pytest

from graddiag import schema
from graddiag.analysis import Comparison, compare
from graddiag.run import Run
from tests.analysis.runs import NAN, manifest, steps_frame


def run_of(name: str, arm: str, clip: str, seed: int | None, loss: list[float], **fields: object) -> Run:
    norms = [1.0, 3.0, 2.0]
    on = clip != "none"
    columns = {
        schema.LOSS: loss,
        schema.GRAD_NORM_CLIPPED: [1.0, 2.0, 2.0] if on else norms,
        schema.CLIP_COEFFICIENT: [1.0, 2 / 3, 1.0] if on else [1.0] * 3,
    }
    return Run.from_frames(manifest(name, arm=arm, clip=clip, seed=seed, **fields), steps=steps_frame(norms, **columns))


def pairs(seeds: int, gain: float = 0.5) -> list[Run]:
    runs = []
    for seed in range(seeds):
        runs.append(run_of(f"on-{seed}", "clip on", "norm:2.0", seed, [4.0, 3.0, 2.0 + seed - gain - 0.1 * seed]))
        runs.append(run_of(f"off-{seed}", "clip off", "none", seed, [4.0, 3.0, 2.0 + seed]))
    return runs


def effect(found: Comparison, metric: str = "final_loss") -> object:
    return next(each for each in found.effects if each.metric == metric)


def test_the_arm_without_clipping_is_the_baseline() -> None:
    found = compare(pairs(1))
    assert [arm.arm for arm in found.arms] == ["clip off", "clip on"]
    assert [(pair.seed, pair.baseline, pair.treated) for pair in found.pairs] == [(0, "off-0", "on-0")]


def test_effects_are_paired_by_seed() -> None:
    found = effect(compare(pairs(3)))
    assert found.baseline_values == (2.0, 3.0, 4.0)
    assert found.values == pytest.approx((1.5, 2.4, 3.3))
    assert found.difference == pytest.approx(-0.6)
    assert found.n == 3
    half = 4.303 * 0.1 / 3**0.5
    assert found.interval == pytest.approx((-0.6 - half, -0.6 + half))
    assert found.note == "Student's t of 3 pairs"


def test_one_seed_gives_no_interval_and_says_so() -> None:
    found = effect(compare(pairs(1)))
    assert (found.interval, found.note) == (None, "one seed: no interval")
    assert found.difference == pytest.approx(-0.5)


def test_of_two_seeds_the_caption_says_how_the_interval_came_about() -> None:
    assert compare(pairs(2)).caption.endswith(
        "clip on shows no difference in the final loss: -0.55 on average over 2 pairs "
        "(95% interval -1.19 to 0.0853, Student's t of 2 pairs)."
    )


def test_five_seeds_need_no_such_words() -> None:
    found = effect(compare(pairs(5)))
    assert (found.n, found.note) == (5, "")
    low, high = found.interval
    assert -0.91 < low < -0.7 < high < -0.49


def test_runs_that_do_not_share_a_seed_are_no_pair() -> None:
    a, b = run_of("a", "clip off", "none", 0, [1.0] * 3), run_of("b", "clip on", "norm:2.0", 1, [1.0] * 3)
    found = effect(compare([a, b]))
    assert (found.difference, found.note, found.n) == (None, "no seed that both arms have", 0)


def test_without_seeds_the_only_run_of_each_arm_makes_a_pair() -> None:
    a, b = run_of("a", "clip off", "none", None, [1.0] * 3), run_of("b", "clip on", "norm:2.0", None, [0.5] * 3)
    assert effect(compare([a, b])).difference == pytest.approx(-0.5)


def test_a_pair_that_is_not_finite_is_left_out_and_said() -> None:
    runs = [*pairs(2), run_of("n", "clip off", "none", 2, [NAN] * 3), run_of("m", "clip on", "norm:2.0", 2, [1.0] * 3)]
    found = effect(compare(runs))
    assert (found.n, found.note) == (2, "Student's t of 2 pairs; 1 of 3 pairs not finite")


def test_a_pair_parts_at_the_first_clipped_step() -> None:
    (found,) = compare(pairs(1)).parting
    assert (found.first_different_step, found.first_clipped_step, found.compared_steps) == (1, 1, 3)


def test_a_pair_that_never_parts() -> None:
    a, b = run_of("a", "x", "none", 0, [NAN, 1, 1]), run_of("b", "y", "none", 0, [NAN, 1, 1])
    assert compare([a, b]).parting[0].first_different_step is None


def test_settings_that_differ_are_told_by_arm() -> None:
    a = run_of("a", "clip off", "none", 0, [1.0] * 3, config={"lr": 1.0, "seed": 0, "net": {"hidden": 8}})
    b = run_of("b", "clip on", "norm:2.0", 0, [1.0] * 3, config={"lr": 0.5, "seed": 1, "net": {"hidden": 8}, "wd": 0})
    found = {each.key: each.values for each in compare([a, b]).differences}
    assert found == {
        "clip": {"clip off": "none", "clip on": "norm:2.0"},
        "config.lr": {"clip off": "1.0", "clip on": "0.5"},
        "config.wd": {"clip off": "not set", "clip on": "0"},
    }


def test_tables_hold_numbers() -> None:
    found = compare(pairs(2))
    row = found.table().iloc[0]
    assert (row["quantity"], row["baseline"], row["arm"], row["pairs"]) == ("Final loss", "clip off", "clip on", 2)
    assert row["difference"] == pytest.approx(-0.55)
    assert found.runs_table()["run"].tolist() == ["off-0", "off-1", "on-0", "on-1"]


def test_nothing_to_compare_is_said() -> None:
    assert compare([]).missing == "There is no run to compare."
    assert "of one arm (clip off)" in (compare(pairs(1)[1:]).missing or "")


def test_the_caption_tells_the_effect_on_the_loss() -> None:
    assert compare(pairs(1)).caption == (
        "Against clip off, clip on lowers the final loss by 0.5 over 1 pair (one seed: no interval)."
    )


def of_length(length: int, arm: str, seed: int, loss: float, **fields: object) -> Run:
    clip = "none" if arm == "clip off" else "norm:2.0"
    name = f"{arm}-{length}-{seed}"
    return run_of(name, arm, clip, seed, [4.0, 3.0, loss], config={"length": length}, **fields)


def test_runs_of_a_seed_and_a_length_make_a_pair() -> None:
    losses = {("clip off", 3): 2.0, ("clip off", 6): 8.0, ("clip on", 3): 1.0, ("clip on", 6): 5.0}
    found = compare([of_length(length, arm, seed, loss) for (arm, length), loss in losses.items() for seed in (0, 1)])
    assert [(pair.length, pair.seed) for pair in found.pairs] == [(3, 0), (3, 1), (6, 0), (6, 1)]
    loss = effect(found)
    assert (loss.baseline_values, loss.values) == ((2.0, 2.0, 8.0, 8.0), (1.0, 1.0, 5.0, 5.0))
    assert (loss.lengths, loss.seeds) == ((3, 3, 6, 6), (0, 1, 0, 1))
    assert loss.difference == -2.0
    assert loss.note == "Student's t of 4 pairs; lengths 3 and 6 together"
    assert "over 4 pairs of lengths 3 and 6 together (95% interval" in found.caption
    assert found.left_out == ()


def test_of_repeated_runs_of_an_arm_the_finished_one_is_compared_and_the_others_are_named() -> None:
    killed = run_of("killed", "clip on", "norm:2.0", 0, [4.0, 3.9, 3.8], status="interrupted")
    again = run_of("again", "clip on", "norm:2.0", 0, [4.0, 3.0, 1.0], status="finished")
    later = run_of("later", "clip on", "norm:2.0", 0, [4.0, 3.0, 0.5], status="finished")
    found = compare([run_of("off", "clip off", "none", 0, [4.0, 3.0, 2.0]), killed, again, later])
    assert [(pair.baseline, pair.treated) for pair in found.pairs] == [("off", "again")]
    assert effect(found).difference == -1.0
    assert [run.source.run for run in found.arms[1].runs] == ["again"]
    assert found.left_out == ("killed", "later")
    assert found.caption.endswith("Left out, as their arm has another run of the same seed: killed, later.")


def test_runs_without_a_seed_are_all_kept() -> None:
    runs = [run_of(name, "mine", "none", None, [4.0, 3.0, 2.0]) for name in ("one", "two")]
    found = compare([*runs, run_of("other", "other", "norm:2.0", None, [4.0, 3.0, 1.0])])
    assert [len(arm.runs) for arm in found.arms] == [2, 1]
    assert (len(found.pairs), found.left_out) == (1, ())


def test_no_runs_are_no_comparison() -> None:
    assert compare([]).caption == "There is no run to compare."
