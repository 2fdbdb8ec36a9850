"""What the rules answer, and how their answers are counted."""

import dataclasses
import re
from itertools import combinations
from pathlib import Path

import pytest

from benchmarks.verdicts import rules
from benchmarks.verdicts.cases import Case, drawn, grid, reduced
from benchmarks.verdicts.rules import NORMS, PART, confusion, graddiag_says, label, right, tuned
from benchmarks.verdicts.tables import report
from benchmarks.verdicts.training import ALARMS, Outcome, Seen, radius
from benchmarks.verdicts.truth import Truth
from graddiag.analysis import diagnose
from tests.analysis.runs import net

HEALTHY = Truth(False, False, False, 1.0, 1.0, 1.0)
VANISHING = Truth(False, False, True, 1.0, 1.0, 0.0)
EXPLODING = Truth(False, True, False, 100.0, 1.0, 1.0)
BOTH = Truth(False, True, True, 100.0, 1.0, 0.0)
BAND = Truth(False, None, False, 10.0, 1.0, 1.0)


def made(truth: Truth, *alarms: str, norm: float = 1.0, radius: float = 1.0) -> Outcome:
    seen = Seen((norm,) * 3, (norm / 2,) * 3, (radius,) * 3)
    return Outcome(Case("tanh", 20), truth, frozenset(alarms), diagnose(net(1.0)), seen)


def test_an_answer_is_right_when_every_clear_question_is_answered_so() -> None:
    assert right(made(HEALTHY), frozenset())
    assert not right(made(HEALTHY), frozenset({"exploding"}))
    assert right(made(VANISHING), frozenset({"vanishing"}))
    assert not right(made(VANISHING), frozenset({"vanishing", "exploding"}))
    assert not right(made(VANISHING), frozenset())
    assert right(made(BAND), frozenset({"exploding"}))
    assert right(made(BAND), frozenset())


def test_a_wrong_answer_is_counted_under_what_it_says_wrongly() -> None:
    assert label(made(VANISHING), frozenset({"vanishing", "exploding"})) == "exploding"
    assert label(made(VANISHING), frozenset()) == "healthy"
    assert label(made(EXPLODING), frozenset({"exploding"})) == "exploding"


def test_a_second_alarm_that_was_missed_is_no_right_answer() -> None:
    assert label(made(BOTH), frozenset({"exploding", "vanishing"})) == "exploding"
    assert label(made(BOTH), frozenset({"exploding"})) == PART
    assert label(made(BOTH), frozenset({"vanishing"})) == "vanishing"
    assert label(made(BOTH), frozenset()) == "healthy"
    assert label(made(BOTH), frozenset({"exploding", "non-finite"})) == "non-finite"


@pytest.mark.parametrize("truth", [HEALTHY, VANISHING, EXPLODING, BOTH], ids=lambda truth: truth.label)
def test_the_label_is_the_true_one_if_and_only_if_the_answer_is_right(truth: Truth) -> None:
    for count in range(4):
        for given in combinations(ALARMS, count):
            answer = frozenset(given)
            assert (label(made(truth), answer) == truth.label) == right(made(truth), answer), given


def test_the_page_agrees_with_itself() -> None:
    text = report([made(HEALTHY), made(BOTH, "exploding"), made(EXPLODING, "exploding")])
    assert "| graddiag | 2 of 3 (66.7%) | 0 of 1 |" in text
    assert "| exploding | 0 | 1 | 0 | 0 | 1 |" in text
    assert "- tanh T=20 recall, default: exploding, vanishing, said exploding" in text


def test_on_the_page_what_is_right_is_what_lies_on_the_diagonals() -> None:
    page = (Path(__file__).parents[2] / "docs" / "verdict-suite.md").read_text()
    scores = dict(re.findall(r"^\| (.+?) \| (\d+) of \d+ \(", page, re.MULTILINE))
    tables = re.findall(r"^\| (.+): truth \|.*\n\|-.*\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert [name for name, _ in tables] == list(scores)
    for name, rows in tables:
        counts = [row.split("|")[2:-1] for row in rows.splitlines()]
        assert sum(int(row[place]) for place, row in enumerate(counts)) == int(scores[name])
    wrong = (
        page.partition("Where graddiag is wrong:")[2].partition("In a band")[0].replace("- nowhere", "").count("\n- ")
    )
    assert wrong == int(re.findall(r"(\d+) judged:", page)[0]) - int(scores["graddiag"])


def test_the_table_counts_truth_by_answer_and_leaves_the_band_out() -> None:
    found = [made(HEALTHY), made(HEALTHY, "vanishing"), made(VANISHING, "vanishing"), made(BAND, "exploding")]
    table = confusion(found, graddiag_says)
    assert table["healthy"] == {"healthy": 1, "exploding": 0, "vanishing": 1, "non-finite": 0, PART: 0}
    assert table["vanishing"]["vanishing"] == 1
    assert sum(sum(row.values()) for row in table.values()) == 3


def test_a_rival_is_tuned_to_the_best_that_the_suite_has_for_it() -> None:
    found = [made(HEALTHY), made(VANISHING, norm=1e-7), made(EXPLODING, norm=1e3)]
    rule = tuned("norm", rules.global_norm, NORMS, found)
    assert [rule(one) for one in found] == [frozenset(), {"vanishing"}, {"exploding"}]
    assert 1e-7 < rule.low <= 1 <= rule.high < 1e3


def test_what_is_not_finite_is_called_so_by_any_rule() -> None:
    rule = tuned("radius", rules.spectral_radius, (0.5, 2.0), [made(HEALTHY)])
    assert rule(made(HEALTHY, radius=float("nan"))) == {"non-finite", "exploding"}


def test_the_report_says_what_was_right_what_was_wrong_and_what_was_left_out() -> None:
    text = report([made(HEALTHY), made(VANISHING), made(BAND, "exploding")])
    assert "3 trainings, 1 of them in a band and not judged; 2 judged: 1 healthy, 0 exploding, 1 vanishing" in text
    assert "| graddiag | 1 of 2 (50.0%) | 0 of 1 |" in text
    assert "- tanh T=20 recall, default: vanishing, said healthy" in text
    assert "graddiag says exploding" in text


def test_the_spectral_radius_is_of_the_largest_eigenvalue() -> None:
    import torch

    assert radius(torch.tensor([[0.9, 5.0], [0.0, -0.95]])) == pytest.approx(0.95)
    assert radius(torch.full((2, 2), float("nan"))) != radius(torch.zeros(2, 2))


def test_no_training_is_there_twice() -> None:
    plain = [dataclasses.replace(case, seed=0) for case in grid()]
    assert len(set(plain)) == len(plain) >= 150
    assert len(reduced()) == 16
    assert drawn(5, seed=1) == drawn(5, seed=1) != drawn(5, seed=2)


def test_a_case_reads_in_words() -> None:
    assert Case("lstm", 50, keep_bias=3.0).name == "lstm T=50 recall, default, keep_bias 3.0"
    assert Case("tanh", 20, "orthogonal", 1.25, "echo").name == "tanh T=20 echo, 1.25 x orthogonal"
