"""The rules of a diagnosis as a list that a user's own rule can join."""

from typing import get_args

import pytest

import graddiag
from graddiag.analysis import FINDING_NAMES, RULES, DiagnosticContext, Evidence, Finding, Thresholds, diagnose
from graddiag.analysis.diagnosis.findings import FindingName
from graddiag.analysis.diagnosis.rules import Rule
from graddiag.errors import SettingError
from tests.analysis.runs import FALLING, FLAT, run_of


def test_every_rule_has_a_name_of_its_own_and_the_names_are_in_kebab_case() -> None:
    assert {each.name for each in RULES} == set(FINDING_NAMES) - {
        *("healthy", "not-measured", "not-judged", "overfitting", "diverging", "plateau")
    }
    assert all(name == name.lower() and " " not in name for name in get_args(FindingName))


@graddiag.rule("loss-above-two")
def loss_above_two(measured: DiagnosticContext) -> Finding | None:
    """The loss ends above 2."""
    end = measured.loss.end
    if end is None or end <= 2:
        return None
    return Finding("loss-above-two", "warning", f"The loss ends at {end:g}.", (Evidence("loss", end, "", "the end"),))


HIGH = [2.0 + each for each in FALLING]
KNOWN = {"chance_loss": 4.0}


def test_a_rule_of_ones_own_takes_part_in_the_verdict() -> None:
    run = run_of(HIGH, config=KNOWN)
    assert diagnose(run).verdict == "healthy"
    found = diagnose(run, rules=[loss_above_two])
    assert (found.verdict, found.outcome.name, found.cause) == ("loss-above-two", "learned", None)
    assert found.findings[0].name == "loss-above-two"
    assert diagnose(run).verdict == "healthy", "a diagnosis leaves nothing behind"
    assert diagnose(run_of(FALLING, config=KNOWN), rules=[loss_above_two]).verdict == "healthy"
    assert loss_above_two(DiagnosticContext(run, Thresholds())) == found.findings[0]


def test_graddiags_findings_come_before_ones_own_of_the_same_severity() -> None:
    run = run_of([2.0 + each for each in FLAT], config={"chance_loss": "3.386"})
    found = diagnose(run, rules=[loss_above_two])
    assert [each.name for each in found.findings if each.alarming] == ["plateau", "loss-above-two"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Loss Too High", "write its name in lower case with hyphens, 'loss-too-high' for example"),
        ("", "write its name in lower case"),
        ("vanishing", "graddiag has a finding of that name; choose another one"),
    ],
)
def test_names_that_a_rule_cannot_have(name: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        graddiag.rule(name)


def test_rules_that_cannot_be_used() -> None:
    misnamed = Rule("mine", lambda measured: Finding("yours", "info", "It is."))
    with pytest.raises(SettingError, match="rule 'mine': its finding is named 'yours'; give it the rule's own name"):
        diagnose(run_of(), rules=[misnamed])
    with pytest.raises(SettingError, match=r"this is no rule; put @graddiag\.rule"):
        diagnose(run_of(), rules=[lambda measured: None])  # type: ignore[list-item]
    with pytest.raises(SettingError, match="two of them are named 'loss-above-two'; a name is of one rule"):
        diagnose(run_of(), rules=[loss_above_two, loss_above_two])
