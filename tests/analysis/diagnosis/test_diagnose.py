"""How a diagnosis is told: as a summary, as text, on a page, as JSON; of awkward and damaged runs too."""

import json

import pytest

from graddiag.analysis import Thresholds, diagnose
from graddiag.run import Run
from tests.analysis.damaged import damaged
from tests.analysis.runs import CHANCE, FALLING, FLAT, TURNED, awkward, manifest, run_of


def stuck(gain: float, **fields: object) -> Run:
    return run_of(FLAT, gain=gain, config=CHANCE, **fields)


@pytest.mark.parametrize("gain", [0.7, 1.0, 1.25])
def test_ten_lines_of_a_terminal_are_enough_to_act_on(gain: float) -> None:
    found = diagnose(stuck(gain, name="order-50", model="rnn"))
    lines = str(found).splitlines()
    assert lines[0].startswith("order-50 ")
    assert "STUCK AT CHANCE" in str(found)
    assert found.do_first is not None
    words = " ".join(str(found).split())
    assert words.count(found.do_first.text) == 1
    assert "Rule:" not in words
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 20
    named = [line.split("  ")[0] for line in lines if line and not line.startswith(" ")][1:]
    assert named[:3] == ["Outcome", "Cause", "Do first"]


@pytest.mark.parametrize("gain", [0.7, 1.0, 1.25])
def test_in_full_every_finding_has_its_evidence_and_rule(gain: float) -> None:
    found = diagnose(stuck(gain))
    text = found.full()
    assert text.startswith(str(found))
    for each in found.findings:
        assert f"{each.name} ({each.severity})" in text
    assert text.count("  Rule: ") == len([each for each in found.findings if each.rule])
    assert "What was not measured\n  - " in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("gain", [0.7, 1.0, 1.25])
def test_the_summary_is_outcome_cause_and_what_to_do(gain: float) -> None:
    for run in (stuck(gain), stuck(gain, clip="norm:5"), Run.from_frames(manifest())):
        found = diagnose(run)
        assert found.summary.startswith(found.outcome.sentence)
        if found.do_first is not None:
            assert found.summary.endswith(f"Do first: {found.do_first.text}")
        if found.causes:
            assert found.causes[0].sentence in found.summary
            assert found.account == f"{found.outcome.sentence} {found.causes[0].sentence}"
        assert "Do first" not in found.account


def test_a_training_that_learned_is_good_news() -> None:
    found = diagnose(run_of(FALLING, config=CHANCE))
    assert (found.verdict, found.tone, found.cause, found.lead.name) == ("healthy", "good", None, "healthy")
    assert found.do_first is not None
    assert found.do_first.action == "continue"
    assert diagnose(stuck(1.0)).tone == "bad"
    assert diagnose(Run.from_frames(manifest())).tone == "neutral"


def test_the_diagnosis_as_json_has_stable_keys() -> None:
    found = json.loads(diagnose(stuck(0.7)).to_json())
    assert set(found) >= {
        *("source", "outcome", "cause", "causes", "do_first", "verdict", "summary"),
        *("findings", "notes", "timeline", "thresholds"),
    }
    assert (found["verdict"], found["cause"], found["outcome"]["name"]) == ("vanishing", "vanishing", "stuck")
    assert found["outcome"]["detail"] == "at-chance"
    assert set(found["outcome"]) >= {"name", "detail", "since", "measure", "sentence", "start", "best", "last"}
    finding = found["causes"][0]
    assert set(finding) >= {
        *("name", "severity", "sentence", "evidence", "rule", "advice", "thresholds", "onset", "strength"),
    }
    assert list(finding["evidence"][0]) == ["name", "value", "unit", "where", "place"]
    assert finding["evidence"][0]["place"]["module"] == "lstm"
    assert set(finding["advice"][0]) == {"text", "source", "action", "see"}
    assert found["do_first"] == finding["advice"][0]
    assert set(finding["thresholds"]) <= set(found["thresholds"])


def test_the_old_names_of_outcomes_stay_readable() -> None:
    turned = run_of(TURNED, config=CHANCE)
    assert diagnose(turned).outcome.name == "diverged"
    assert diagnose(turned).finding("diverging") is not None
    assert diagnose(stuck(1.0)).finding("plateau") is not None
    assert diagnose(stuck(1.0)).verdict == "plateau"


@pytest.mark.parametrize("case", awkward())
def test_the_summary_of_an_awkward_run(case: str) -> None:
    check_summary(awkward()[case])


def test_the_summary_of_a_damaged_run() -> None:
    for case, run in damaged().items():
        try:
            check_summary(run)
        except AssertionError as error:
            error.add_note(f"case: {case}")
            raise


def check_summary(run: Run) -> None:
    """The outcome first, what to do last, each advice with its action; no basis of 0 steps."""
    found = diagnose(run)
    assert found.summary.startswith(found.outcome.sentence)
    assert found.do_first is None or found.summary.endswith(f"Do first: {found.do_first.text}")
    assert " 0 steps" not in found.summary
    assert found.outcome.sentence.endswith(".")
    assert "nan" not in found.outcome.sentence
    assert str(found)
    assert found.full()
    for finding in found.findings:
        assert finding.rule
        assert finding.advice
        assert all(each.action for each in finding.advice), finding
        assert set(finding.thresholds) <= set(vars(Thresholds()))


def test_without_a_table_of_steps_what_is_missing_is_said() -> None:
    found = diagnose(awkward()["no steps"])
    assert (found.outcome.name, found.outcome.detail) == ("unknown", "no-loss")
    assert "at 4 steps; losses and norms were not recorded." in found.summary
