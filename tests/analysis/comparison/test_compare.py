"""Arms against arms: pairs by seed, effects with intervals, settings, and where pairs part."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import Comparison, compare
from graddiag.run import Run
from tests.analysis.runs import INF, NAN, manifest, steps_frame


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
    assert found.differences == pytest.approx((-0.5, -0.6, -0.7))
    assert found.n == 3


@pytest.mark.parametrize(
    ("pairs_of", "note"),
    [
        (1, "1 pair: no interval"),
        (2, "2 pairs: no interval (their range holds the median in 50% of cases)"),
        (4, "4 pairs: no interval (their range holds the median in 88% of cases)"),
    ],
)
def test_fewer_than_five_pairs_give_no_interval_and_say_why(pairs_of: int, note: str) -> None:
    found = effect(compare(pairs(pairs_of)))
    assert (found.interval, found.level, found.note) == (None, None, note)


def test_without_an_interval_the_caption_counts_the_pairs() -> None:
    assert compare(pairs(2)).caption == (
        "Against clip off, clip on lowers the final loss in both pairs: median difference -0.55, 2 pairs: no interval "
        "(their range holds the median in 50% of cases)."
    )


def test_five_pairs_have_the_range_of_their_differences_at_its_own_level() -> None:
    found = effect(compare(pairs(5)))
    assert (found.n, found.note, found.level) == (5, "", 0.9375)
    assert found.interval == pytest.approx((-0.9, -0.5))
    assert found.estimate == found.estimate_text == "-0.7 [-0.9, -0.5] (94%, n=5)"
    shares = replace(found, metric="clipped_share")
    assert shares.estimate_text == "-70 points [-90, -50] (94%, n=5)"
    assert [shares.text(value) for value in (0.215, None, 0.0)] == ["21.5%", "not known", "0%"]
    assert found.text(0.215) == "0.215"
    assert compare(pairs(5)).caption == (
        "Against clip off, clip on lowers the final loss: median difference -0.7 [-0.9, -0.5] (94%, n=5)."
    )


def losses(off: list[float], on: list[float], **config: object) -> list[Run]:
    return [
        run_of(f"{arm[5:]}-{seed}", arm, clip, seed, [4.0, 3.0, loss], config=config)
        for arm, clip, each in (("clip off", "none", off), ("clip on", "norm:2.0", on))
        for seed, loss in enumerate(each)
    ]


def test_an_interval_that_holds_0_is_not_significantly_different_from_it() -> None:
    found = compare(losses([1.0, 1.1, 1.2, 1.3, 1.4], [0.9, 1.2, 1.0, 1.5, 1.1]))
    assert found.caption == (
        "clip on against clip off: the difference in the final loss is not significantly different from 0, "
        "median difference -0.1 [-0.3, 0.2] (94%, n=5)."
    )


def test_an_arm_that_ends_in_nan_is_in_the_caption_and_worse_than_every_number() -> None:
    found = compare(losses([NAN, 1.0, NAN, INF, NAN], [1.0, 1.0, 1.1, 1.2, 1.3]))
    loss = effect(found)
    assert (loss.n, loss.broken, loss.differences) == (5, (4, 0), (-INF, 0.0, -INF, -INF, -INF))
    assert (loss.difference, loss.interval) == (None, (-INF, 0.0))
    assert loss.note == "NaN or inf, counted as the highest loss, in 4 of 5 baseline runs and 0 of 5 of the arm"
    assert found.caption.startswith(
        "Runs that ended in NaN or inf: 4 of 5 of clip off (off-0, off-2, off-3, off-4), 0 of 5 of clip on. "
        "clip on against clip off: the difference in the final loss is not significantly different from 0, "
        "median difference not finite [-inf, 0] (94%, n=5), NaN or inf counted as the highest loss."
    )
    worse = compare(losses([NAN, 1.2, NAN, INF, NAN], [1.0, 1.0, 1.1, 1.2, 1.3])).caption
    assert "clip on lowers the final loss: median difference not finite [-inf, -0.2] (94%, n=5)" in worse


def test_an_arm_of_nan_alone_is_no_equality_of_the_survivors() -> None:
    found = compare(losses([1.0, 1.0, 1.0], [NAN, NAN, 1.0]))
    assert "Against clip off, clip on raises the final loss in 2 of 3 pairs: " in found.caption
    assert "Runs that ended in NaN or inf: 0 of 3 of clip off, 2 of 3 of clip on (on-0, on-1)." in found.caption
    both = compare(losses([NAN] * 5, [NAN] * 5)).caption
    assert both.endswith("Every run of clip off and clip on ended in NaN or inf: no final loss to compare.")


def test_every_arm_is_in_the_caption() -> None:
    other = run_of("third", "third", "norm:9.0", 0, [4.0, 3.0, 2.5])
    said = compare([*pairs(1), other]).caption
    assert "clip on lowers the final loss in 1 pair" in said
    assert "third raises the final loss in 1 pair" in said


GOAL = {"goal": "loss", "better": "lower", "chance": 1.4}


def test_where_the_configuration_names_goal_and_chance_success_rates_are_compared() -> None:
    found = compare(losses([1.4, 1.39, 1.41, 1.4, 1.38], [0.01, 0.02, 0.01, 0.03, 0.01], **GOAL))
    assert found.caption == (
        "Success rate (loss at most 0.7 over the last 5% of the steps): "
        "clip on 5 of 5, 100% [47.8%, 100%], clip off 0 of 5, 0% [0%, 52.2%]; "
        "difference 100 [26.2, 100] points (95%, n=5). "
        "The outcomes have two modes, so success rates are compared, not mean losses."
    )
    rate = effect(found, "success")
    assert (rate.difference, rate.n, rate.level, rate.note) == (1.0, 5, 0.95, "")
    assert (rate.baseline_center, rate.center) == (0.0, 1.0)


def test_a_run_of_nan_is_no_success() -> None:
    found = compare(losses([NAN, 1.4, INF], [0.01, 0.02, NAN], **GOAL))
    (rates,) = found.success
    assert (rates.baseline, rates.treated, rates.pairs) == (0, 2, 3)
    assert "not significantly different from 0" in found.caption
    assert "Runs that ended in NaN or inf: 2 of 3 of clip off" in found.caption


def test_where_all_succeed_the_losses_are_compared() -> None:
    said = compare(losses([0.2, 0.3], [0.1, 0.1], **GOAL)).caption
    assert said.startswith(
        "All 4 runs of clip off and clip on succeed (loss at most 0.7 over the last 5% of the steps). "
    )
    assert "Against clip off, clip on lowers the final loss in both pairs" in said


def test_two_modes_that_are_found_have_counts_and_a_test_and_no_interval() -> None:
    found = compare(losses([1.4, 1.39, 1.41, 1.4, 0.02], [0.01, 0.02, 0.01, 0.03, 1.4]))
    assert found.criterion is not None
    assert found.criterion.by_modes
    assert found.caption == (
        "Success rate (final loss below 0.71, between its two modes): clip on 4 of 5, clip off 1 of 5; "
        "difference 60 points (n=5, Fisher's exact test p=0.206; no interval, as the modes were found in these runs), "
        "not significantly different from 0. "
        "The outcomes have two modes, so success rates are compared, not mean losses."
    )
    assert effect(found, "success").interval is None


def test_runs_that_do_not_share_a_seed_are_no_pair() -> None:
    a, b = run_of("a", "clip off", "none", 0, [1.0] * 3), run_of("b", "clip on", "norm:2.0", 1, [1.0] * 3)
    found = effect(compare([a, b]))
    assert (found.difference, found.note, found.n) == (None, "no seed that both arms have", 0)


def test_without_seeds_the_only_run_of_each_arm_makes_a_pair() -> None:
    a, b = run_of("a", "clip off", "none", None, [1.0] * 3), run_of("b", "clip on", "norm:2.0", None, [0.5] * 3)
    assert effect(compare([a, b])).difference == pytest.approx(-0.5)


def test_a_pair_parts_at_the_first_clipped_step() -> None:
    (found,) = compare(pairs(1)).first_divergence
    assert (found.first_different_step, found.first_clipped_step, found.compared_steps) == (1, 1, 3)


def test_a_pair_that_never_parts() -> None:
    a, b = run_of("a", "x", "none", 0, [NAN, 1, 1]), run_of("b", "y", "none", 0, [NAN, 1, 1])
    assert compare([a, b]).first_divergence[0].first_different_step is None


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
    assert found.differences_table().columns.tolist() == ["setting", "clip off", "clip on"]
    assert len(found.differences_table()) == len(found.differences) > 0


def test_a_table_of_runs_keeps_nan_apart_from_what_is_not_known() -> None:
    row = compare([run_of("lost", "clip on", "norm:1", 0, [1.0, 1.0, NAN])]).runs_table().iloc[0]
    assert row["Final loss"] is not pd.NA
    assert math.isnan(row["Final loss"])
    assert row["Memory horizon"] is pd.NA


def test_nothing_to_compare_is_said() -> None:
    assert compare([]).missing == "There is no run to compare."
    assert "of one arm (clip off)" in (compare(pairs(1)[1:]).missing or "")


def test_the_caption_tells_the_effect_on_the_loss() -> None:
    assert compare(pairs(1)).caption == (
        "Against clip off, clip on lowers the final loss in 1 pair: difference -0.5, 1 pair: no interval."
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
    assert loss.note.endswith("; lengths 3 and 6 together")
    assert found.caption.endswith(", lengths 3 and 6 together.")
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
