"""How a diagnosis is told: as a summary, as text, on a page, as JSON; of awkward and damaged runs too."""

import json
import re

import pytest

from graddiag.analysis import Thresholds, diagnose
from graddiag.run import Run
from tests.analysis.damaged import damaged
from tests.analysis.runs import awkward, manifest, net


def test_it_reads_in_a_terminal() -> None:
    text = str(diagnose(net(0.7, name="order-50", model="rnn")))
    assert text.startswith("order-50: vanishing\n\nIn lstm, layer 0, forward a share of 4.6e-16 of the loss's gradient")
    assert "\n\nvanishing (severe)\n  - share of the loss's gradient at the worst-served timestep" in text
    assert "\n\nWhat could not be known\n  - The run is still being written" in text
    assert "- memory horizon: 2.8 of 100 timesteps (lstm, layer 0, forward, steps 0 to 3)" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("gain", [0.7, 1.0, 1.25])
def test_the_summary_has_three_to_five_sentences_and_ends_with_what_to_do(gain: float) -> None:
    for run in (net(gain), net(gain, clip="norm:5"), Run.from_frames(manifest())):
        sentences = re.split(r"(?<=[.])\s+(?=[A-Z])", diagnose(run).summary)
        assert 3 <= len(sentences) <= 5, sentences
        assert sentences[-1].startswith("First thing to do: ")


@pytest.mark.parametrize("gain", [0.7, 1.0, 1.25])
def test_the_text_tells_each_sentence_once(gain: float) -> None:
    found = diagnose(net(gain))
    words = " ".join(str(found).split())
    sentences = [sentence for each in found.findings for sentence in re.split(r"(?<=[.])\s+(?=[A-Z])", each.sentence)]
    advice = [str(each) for finding in found.findings for each in finding.advice]
    assert {each: words.count(each) for each in sentences + advice} == dict.fromkeys(sentences + advice, 1)
    assert "First thing to do" not in words


def test_a_page_tells_each_sentence_once() -> None:
    """The account begins with the first sentence of the verdict; its finding has the others and what to try."""
    found = diagnose(net(1.0))
    assert found.account.startswith(f"{found.lead.first_sentence} This rests on")
    assert "First thing to do" not in found.account
    assert found.lead.detail.startswith("In lstm layer 0, where least arrives, a share of 1 of the gradient")
    assert f"{found.lead.first_sentence} {found.lead.detail}" == found.lead.sentence
    assert found.lead.rule == "no other rule gave a warning or worse."
    assert str(found.lead.advice[0]).endswith("[practical advice]")


def test_the_diagnosis_as_json_has_stable_keys() -> None:
    found = json.loads(diagnose(net(0.7)).to_json())
    assert list(found) == ["source", "verdict", "summary", "findings", "notes", "story", "thresholds"]
    finding = found["findings"][0]
    assert list(finding) == ["name", "severity", "sentence", "evidence", "rule", "advice", "thresholds", "onset"]
    assert list(finding["evidence"][0]) == ["name", "value", "unit", "where", "place"]
    assert finding["evidence"][0]["place"]["module"] == "lstm"
    assert finding["advice"][0] == {
        "text": "an LSTM or GRU if this is a plain RNN, a larger bias of the gate that keeps the state if it is not: "
        "the gates were not recorded.",
        "source": "Hochreiter & Schmidhuber 1997; Jozefowicz et al. 2015",
    }
    assert set(finding["thresholds"]) <= set(found["thresholds"])


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
    """Three to five sentences, the last of them what to do; each advice with its source; no basis of 0 steps."""
    found = diagnose(run)
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z])", found.summary)
    assert 3 <= len(sentences) <= 5, sentences
    assert sentences[-1].startswith("First thing to do: ")
    assert " 0 steps" not in found.summary
    assert found.lead.sentence.startswith(sentences[0])
    for finding in found.findings:
        assert finding.evidence
        assert finding.rule
        assert finding.advice
        assert all(each.source for each in finding.advice), finding
        assert set(finding.thresholds) <= set(vars(Thresholds()))


def test_without_a_table_of_steps_what_is_missing_is_said() -> None:
    summary = diagnose(awkward()["no steps"]).summary
    assert "This rests on timesteps of 1 layer at 4 steps, whose losses and norms were not recorded." in summary
