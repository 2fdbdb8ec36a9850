"""The suite: what its cases are, what it keeps of a training, how answers are counted, and a few trainings of it."""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks.verdicts.__main__ import BEGIN, END, tables, write
from benchmarks.verdicts.case import Case, Expected, Label
from benchmarks.verdicts.everyday import (
    addends,
    alarms,
    copying,
    demand,
    masked,
    ordered,
    pages,
    returns,
    reviews,
    tags,
)
from benchmarks.verdicts.judge import OUTCOMES, Answer, answer, judge, shortened
from benchmarks.verdicts.labels import AT_CHANCE, FADES, HEALTHY
from benchmarks.verdicts.nets import Net, keep
from benchmarks.verdicts.optimizers import cosine, optimizer
from benchmarks.verdicts.practice_data import (
    PAD,
    activity,
    agree,
    intents,
    lexicon,
    mislabelled,
    noisy_floor,
    parity,
    peaks,
    rare,
    sales,
    translated,
)
from benchmarks.verdicts.rules import accused, falsely_healthy, global_norm, outcome_right, tuned
from benchmarks.verdicts.sequences import leaky, rare_key, sinks, stream, sums
from benchmarks.verdicts.suite import SPLITS, Judged, cases, judged, record, recorded
from benchmarks.verdicts.tables import report, shown
from benchmarks.verdicts.tasks import autoregression, echo, markov, mse
from benchmarks.verdicts.training import Numbers, Training, radius
from benchmarks.verdicts.truth import contradictions, final
from graddiag import load_run

CAUSES = {
    *["non-finite", "exploding", "vanishing", "truncated-reach", "dead-units", "saturated-gates", "clipping-always"],
    *["learning-rate-high", "learning-rate-low", "parameters-not-updated", "gradients-not-zeroed", "no-gradient"],
    *["clip-before-unscale", "clip-misplaced", "changed-during-training"],
    None,
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def case(label: Label, name: str = "a case", **more: object) -> Case:
    def build() -> Training:
        net = Net("gru", 1, 4, 1, last=False)
        return Training(net, autoregression(5, 2).batch, optimizer("adam:0.01", net), mse, steps=40)

    return Case(name, "family", "kind", "tune", label, build, **more)


def one(label: Label, said: str, cause: str | None = None, norm: float = 1.0, name: str = "a case") -> Judged:
    numbers = Numbers(losses=[1.0] * 20, norms=[norm] * 20, recurrent_norms=[norm] * 20, radii=[1.0])
    return Judged(case(label, name), Answer(said, cause, "continue"), numbers)


def test_no_case_is_there_twice_and_both_parts_are_large() -> None:
    found = cases(("tune", "held-out"))
    assert max(Counter(each.name for each in found).values()) == 1
    assert len({each.key for each in found}) >= 300
    assert sum(each.label.healthy for each in found) >= 80
    assert len({each.training for each in found if each.at == 0.1}) >= 20


def test_no_family_is_in_two_parts() -> None:
    sources = [{each.source for each in cases((split,))} for split in SPLITS]
    names = [{each.family for each in cases((split,))} for split in SPLITS]
    for one, other in combinations(range(len(SPLITS)), 2):
        assert not sources[one] & sources[other]
    assert not names[0] & (names[1] | names[2] | names[3])
    assert not names[3] & (names[1] | names[2])
    assert not names[4] & (names[0] | names[1] | names[2] | names[3])
    assert not names[5] & (names[0] | names[1] | names[2] | names[3] | names[4])
    assert not names[6] & (names[0] | names[1] | names[2] | names[3] | names[4] | names[5])


def test_the_fresh_part_has_healthy_and_failed_trainings() -> None:
    found = cases(("fresh",))
    assert len({each.key for each in found}) >= 60
    assert min(sum(each.label.healthy for each in found), sum(each.label.failed for each in found)) >= 25


def test_the_fresh_part_has_long_trainings_that_learn_and_that_fail() -> None:
    found = [each for each in cases(("fresh",)) if each.training]
    assert {each.at for each in found} == {0.1, 0.5, 1.0}
    ends = [each.label for each in found if each.at == 1.0]
    assert len(ends) == len(found) / 3 >= 20
    assert min(sum(label.failed for label in ends), sum(label.healthy for label in ends)) >= 10


def test_the_unseen_part_has_short_and_long_trainings_that_learn_and_that_fail() -> None:
    found = cases(("unseen",))
    long = [each for each in found if each.training]
    assert Counter(each.at for each in long) == {0.1: len(long) / 3, 0.5: len(long) / 3, 1.0: len(long) / 3}
    assert len(long) / 3 >= 24
    assert len(found) - len(long) >= 24
    assert sum(each.label.healthy for each in found) >= 24
    assert min(sum(each.label.failed for each in part) for part in (long, found)) >= 20


def test_chance_of_the_tasks_of_the_unseen_part_is_what_it_is_said_to_be() -> None:
    x, y = sums(6, 4000, 1)(0)
    assert float(y[1:].mean()) == pytest.approx(0.5, abs=0.05)
    digits = (x > 0).long()
    weights = 2 ** torch.arange(6)[:, None]
    whole = (digits.sum(-1) * weights).sum(0)
    assert torch.equal(whole % 64, (y[..., 0].long() * weights).sum(0))
    x, y = leaky(30, 2000, 1, noise=0.5)(0)
    assert float((y[1:] - 0.8 * y[:-1] - x[1:]).var()) == pytest.approx(0.25 * (1 + 0.8**2), rel=0.05)
    assert float(sinks(8, 4000, 1)(0)[1].mean()) == pytest.approx(0.5, abs=0.08)
    _, labels = rare_key(10, 20000, 0.06, 1)(0)
    assert float(labels.mean()) == pytest.approx(0.06, abs=0.01)
    batch = stream(8, 5, 4, 3, 1)
    inputs, targets = zip(*(batch(step) for step in range(4)), strict=True)
    assert torch.equal(torch.cat(inputs)[:-8], torch.cat(targets)[8:])


def test_the_blind_part_has_short_and_long_trainings_that_learn_and_that_fail() -> None:
    found = cases(("blind",))
    long = [each for each in found if each.training]
    short = [each for each in found if not each.training]
    assert Counter(each.at for each in long) == {0.1: len(long) / 3, 0.5: len(long) / 3, 1.0: len(long) / 3}
    assert len(long) / 3 >= 26
    assert len(short) >= 40
    assert sum(each.label.healthy for each in found) >= max(100, len(found) / 2)
    assert min(sum(each.label.failed for each in part) for part in (long, short)) >= 20
    assert min(sum(each.label.healthy for each in part) for part in (long, short)) >= 20


def test_targets_of_the_blind_part_follow_from_its_inputs() -> None:
    x, y = reviews(9, 200, 1)(0)
    for text, label in zip(x.t().tolist(), y.tolist(), strict=True):
        signs = [-1 if before == 0 else 1 for before in [23, *text[:-1]]]
        values = [1 if 1 <= word <= 6 else -1 if 7 <= word <= 12 else 0 for word in text]
        assert label == (sum(sign * value for sign, value in zip(signs, values, strict=True)) >= 0)
    x, y = tags(6, 50, 1)(0)
    assert torch.equal(y[1:], torch.where(x[1:] < 5, (x[1:] + x[:-1]) % 5, x[1:] % 5))
    x, y = copying(3, 2, 20, 4, 1)(0)
    assert torch.equal(y[5:], x[:3])
    assert bool((x[5] == 5).all() and (y[:5] == 0).all())
    x, y = ordered(4, 20, 6, 1)(0)
    assert x.t().sort().values.tolist() == y.t().tolist()
    x, y = masked(tags(6, 50, 1), 20, 0.3, 2)(0)
    assert torch.equal(y >= 0, x == 20)
    batch = pages(5, 3)
    assert torch.equal(batch(0)[1][-1], batch(1)[0][0])


def test_chance_of_the_tasks_of_the_blind_part_is_what_it_is_said_to_be() -> None:
    assert float(addends(10, 20000, 1)(0)[1].var()) == pytest.approx(1 / 6, rel=0.05)
    assert float(demand(8, 20000, 0.3, 1)(0)[1].var()) == pytest.approx(1 + 0.5 + 0.09, rel=0.05)
    assert float(reviews(10, 20000, 1)(0)[1].float().mean()) == pytest.approx(0.56, abs=0.06)
    assert float(alarms(12, 20000, 0.06, 1)(0)[1].mean()) == pytest.approx(0.06, abs=0.01)
    x, y = returns(8, 20000, 0.1, 1)(0)
    known = x[-3:, :, 0].sum(0) / 3**0.5
    assert float(torch.corrcoef(torch.stack([known, y[:, 0]]))[0, 1] ** 2) == pytest.approx(0.1, abs=0.02)


def test_the_sealed_part_has_short_and_long_trainings_that_learn_and_that_fail() -> None:
    found = cases(("sealed",))
    long = [each for each in found if each.training]
    short = [each for each in found if not each.training]
    assert Counter(each.at for each in long) == {0.1: len(long) / 3, 0.5: len(long) / 3, 1.0: len(long) / 3}
    assert len(long) / 3 >= 30
    assert len(short) >= 50
    assert sum(each.label.healthy for each in found) >= len(found) / 2
    assert min(sum(each.label.failed for each in part) for part in (long, short)) >= 20
    assert min(sum(each.label.healthy for each in part) for part in (long, short)) >= 20


def test_targets_of_the_sealed_part_follow_from_its_inputs() -> None:
    x, y = peaks(10, 100, 1)(0)
    for row, labels in zip(x.t().tolist(), y.t().tolist(), strict=True):
        for t, label in enumerate(labels):
            if t in (0, 9) or row[t + 1] == 0:
                assert label == PAD
            else:
                assert label == (row[t] > max(row[t - 1], row[t + 1]))
    x, y = agree(6, 4000, 5, 1)(0)
    assert torch.equal(y, (x[0] == x[-1]).long())
    assert float(y.float().mean()) == pytest.approx(0.5, abs=0.05)
    x, y = intents(8, 300, 12, 1)(0)
    assert torch.equal((x < 12).sum(0), torch.ones(300, dtype=torch.long))
    assert torch.equal(x.amin(0), y)
    x, y = translated(5, 50, 6, 1)(0)
    assert y.unique().tolist() == [1, 2, 3, 4, 5, 6]
    words = {each: set() for each in range(1, 7)}
    for before, after in zip(x[[1, 0, 3, 2, 4]].flatten().tolist(), y.flatten().tolist(), strict=True):
        words[before].add(after)
    assert [len(each) for each in words.values()] == [1] * 6
    x, y = parity(7, 100, 4, 1)(0)
    assert torch.equal(y, (x[:4, :, 0] > 0).sum(0) % 2)


def test_chance_and_floor_of_the_sealed_part_are_what_they_are_said_to_be() -> None:
    task = lexicon(400, 64, 1)
    letters = torch.bincount(task.batch(0)[1].flatten()) / (400 * 64)
    assert float(-(letters * letters.log()).sum()) == pytest.approx(task.chance, abs=0.02)
    assert task.floor < task.chance - 1
    assert float(sales(14, 20000, 1)(0)[1][-1].var()) == pytest.approx(1.79, rel=0.05)
    assert float(rare(20, 20000, 0.05, 1)(0)[1].mean()) == pytest.approx(0.05, abs=0.01)
    assert noisy_floor(2, 0.0001) < 0.001
    assert noisy_floor(4, 1.0) == pytest.approx(math.log(4))
    data = mislabelled(activity(5, 20000, 4, 1), 0.4, 4, 2)
    assert float((data(0)[1] == activity(5, 20000, 4, 1)(0)[1]).float().mean()) == pytest.approx(0.7, abs=0.02)


def test_labels_use_the_identifiers_of_the_diagnosis() -> None:
    for each in cases(SPLITS):
        assert set(each.label.outcomes) <= set(OUTCOMES), each.name
        assert set(each.label.causes) <= CAUSES, each.name
        assert not (each.label.failed and each.label.healthy), each.name
        assert not (each.label.failed and {"learned", "learning"} & set(each.label.outcomes)), each.name


def test_a_training_is_kept_and_judged_and_its_first_part_too(tmp_path: Path) -> None:
    wanted = case(HEALTHY)
    assert not recorded(wanted, tmp_path)
    numbers = record(wanted, tmp_path)
    assert recorded(wanted, tmp_path)
    assert len(numbers.losses) == len(numbers.norms) == 40
    assert numbers.probed == [0, 4, 20, 30, 39]
    assert all(each > 0 for each in numbers.kept)
    assert judged(wanted, tmp_path).numbers == Numbers.read(tmp_path / wanted.key / "numbers.json")
    path = tmp_path / wanted.key / numbers.run
    part = shortened(load_run(path), 0.5)
    assert list(part.steps["step"]) == list(range(20))
    assert part.timesteps["step"].max() == 10
    assert judge(path, 0.5).outcome in OUTCOMES


def test_a_diagnosis_is_read_by_its_outcome_or_else_by_its_verdict() -> None:
    new = SimpleNamespace(
        outcome=SimpleNamespace(name="stuck", sentence="It is stuck."),
        cause="vanishing",
        do_first=SimpleNamespace(action="change-cell"),
    )
    assert answer(new) == Answer("stuck", "vanishing", "change-cell", "It is stuck.")
    old = SimpleNamespace(verdict="vanishing", lead=SimpleNamespace(sentence="It vanishes."))
    assert answer(old) == Answer("stuck", "vanishing", None, "It vanishes.")


def test_what_happened_can_contradict_a_label() -> None:
    numbers = Numbers(losses=[1.0] * 100, probed=[0, 50], growth=[2.0, 4.0], kept=[1e-9, 1e-7])
    right = Expected(final=(0.9, 1.1), growth=(1, 10), kept=(0, 1e-6))
    wrong = Expected(final=(0, 0.5), growth=(10, 100), kept=(0.1, 1), nonfinite=True)
    assert contradictions(case(HEALTHY, expected=right), numbers) == []
    assert len(contradictions(case(HEALTHY, expected=wrong), numbers)) == 4
    assert math.isnan(final(numbers, "reward", 100))


def test_answers_are_counted() -> None:
    assert outcome_right(HEALTHY, Answer("learning", None, None))
    assert accused(HEALTHY, Answer("learned", "exploding", None))
    assert accused(HEALTHY, Answer("stuck", None, None))
    assert not accused(AT_CHANCE, Answer("diverged", None, None))
    assert falsely_healthy(AT_CHANCE, Answer("learned", None, None))


def test_a_rival_is_tuned_to_the_best_that_the_suite_has_for_it() -> None:
    found = [one(HEALTHY, "learned"), one(FADES, "stuck", norm=1e-7)]
    rule = tuned("norm", global_norm, (1e-9, 1e-3, 1e3), found)
    assert [rule(each).cause for each in found] == [None, "vanishing"]


def test_the_tables_name_no_case() -> None:
    found = [one(HEALTHY, "learned"), one(AT_CHANCE, "learned", name="secret"), one(FADES, "stuck", "vanishing")]
    text = tables(found)
    assert "| graddiag | 2 of 3 (66.7%) | 3 of 3 (100.0%) | 1 of 3 (33.3%) | 1 of 2 (50.0%) | 0 of 1 (0.0%) |" in text
    assert "| stuck | 1 | 1 |" in text
    assert "secret" not in text
    assert "secret" in shown(found)


def test_long_trainings_have_a_table_by_the_share_that_was_judged() -> None:
    more = {"training": "a training", "at": 0.1}
    early = Judged(case(HEALTHY, **more), Answer("stuck", None, None), Numbers(losses=[1.0] * 20, norms=[1.0] * 20))
    late = Judged(case(HEALTHY, training="a training"), Answer("learned", None, "continue"), early.numbers)
    text = report([early, late, one(HEALTHY, "learned")], (), "A part")
    assert "| 1 long trainings, judged at |" in text
    assert "| 10% of their steps | 0 of 1 (0.0%) | 1 of 1 (100.0%) |" in text
    assert "| all | 1 of 2 (50.0%) | 2 of 2 (100.0%) |" in text
    assert "long trainings" not in report([one(HEALTHY, "learned")], (), "A part")


def test_the_tables_go_between_the_markers_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n")
    write(page, "new")
    assert page.read_text() == f"Before.\n{BEGIN}\n\nnew\n\n{END}\nAfter.\n"


def test_chance_and_floor_of_the_tasks_are_what_they_are_said_to_be() -> None:
    x, y = autoregression(400, 64).batch(0)
    assert float(y.var()) == pytest.approx(autoregression(400).chance, rel=0.1)
    residual = y[2:] - 1.6 * x[2:] + 0.8 * x[1:-1]
    assert float(residual.var()) == pytest.approx(0.09, rel=0.05)
    chain = markov(200, 64)
    share = torch.bincount(chain.batch(0)[1].flatten(), minlength=12) / (200 * 64)
    assert float(-(share * share.log()).sum()) == pytest.approx(chain.chance, abs=0.02)
    assert chain.floor < chain.chance - 0.5
    x, y = echo(10, lag=3).batch(0)
    assert torch.equal(y[3:], x[:-3])


def test_the_parts_of_a_training() -> None:
    assert radius(torch.tensor([[0.9, 5.0], [0.0, -0.95]])) == pytest.approx(0.95)
    net = keep(Net("lstm", 2, 3, 1), 2.0)
    assert net.recurrent.bias_hh_l0[3:6].tolist() == [2.0] * 3
    opt = optimizer("sgd:1", net)
    cosine(0.5, 100)(100, net, opt)
    assert opt.param_groups[0]["lr"] == pytest.approx(0.0)


@pytest.mark.slow
def test_labels_of_some_trainings_are_what_happened(tmp_path: Path) -> None:
    chosen = [*cases(("tune",), "sigmoid-tapped T=30"), *cases(("tune",), "at-each-timestep tanh")]
    assert len(chosen) >= 2
    for each in chosen:
        record(each, tmp_path)
        found = judged(each, tmp_path)
        assert found.wrong == ()
        assert not falsely_healthy(each.label, found.answer), found.answer
