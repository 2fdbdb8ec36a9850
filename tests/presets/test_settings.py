"""Settings of presets: what no training could use is refused in one sentence, before anything is trained."""

import re

import pytest

from graddiag.errors import SettingError
from graddiag.presets import load
from graddiag.presets.preset import assigned, settings_label, settings_of


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("rnnlm", "tight=15", "tight 15: it is the cutoff itself, 15; give two that differ."),
        ("rnnlm", "cutoff=0.2000000001", "tight 0.2: it is the cutoff itself, 0.2; give two"),
        ("char-rnn", "temperatures=1,0", "temperatures.1 '0' cannot be used: input should be greater than 0."),
        ("char-rnn", "temperatures=-1", "temperatures.0 '-1' cannot be used: input should be greater than 0."),
        ("explode-vanish", "gains=0", "gains.0 '0' cannot be used: input should be greater than 0."),
        ("explode-vanish", "lengths=1", "lengths.0 '1' cannot be used: input should be greater than or equal to 2."),
        ("saturation", "bias=nan", "bias 'nan' cannot be used: input should be a finite number."),
        ("saturation", "z=inf", "z 'inf' cannot be used: input should be a finite number."),
        ("sum", "start=nan", "start 'nan' cannot be used: input should be a finite number."),
        ("sum", "start=1e39", "start 1e+39: it is beyond 3.4e+38, the largest that torch can hold."),
        ("tied", f"seed={2**64}", f"seed {2**64}: it is beyond 9.22e+18, the largest"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told(name: str, text: str, told: str) -> None:
    preset = load(name)
    with pytest.raises(SettingError, match=re.escape(told)):
        settings_of(preset, assigned(preset, [text]), quick=True)


def test_spaces_of_a_text_are_its_own() -> None:
    preset = load("char-rnn")
    found = settings_of(preset, assigned(preset, ["prime= Hello ", "model= gru ", "steps= 3 "])).model_dump()
    assert (found["prime"], found["model"], found["steps"]) == (" Hello ", "gru", 3)


def test_what_a_list_has_twice_counts_once() -> None:
    preset = load("explode-vanish")
    found = settings_of(preset, assigned(preset, ["gains=1.5,1,1.5"]))
    assert found.model_dump()["gains"] == (1.5, 1.0)


@pytest.mark.parametrize(
    ("texts", "label"),
    [
        ([], ""),
        (["steps=150"], ""),  # what the quick size has anyway
        (["steps=30", "start=-1"], "-start=minus1.0-steps=30"),
    ],
)
def test_settings_are_told_apart_from_the_presets_own(texts: list[str], label: str) -> None:
    preset = load("sum")
    assert settings_label(preset, settings_of(preset, assigned(preset, texts), quick=True), quick=True) == label


def test_paths_and_many_settings_are_told_apart_by_a_hash() -> None:
    preset = load("char-rnn")
    given = (
        ["text=a/b"],
        ["text=a-b/"],
        ["prime=a b"],
        ["steps=12345", "hidden=12345", "characters=123", "lr=0.12345"],
    )
    labels = {settings_label(preset, settings_of(preset, assigned(preset, texts)), quick=False) for texts in given}
    assert len(labels) == len(given)
    assert any(re.fullmatch("-[0-9a-f]{8}", label) for label in labels)
    chosen = settings_of(preset, {"steps": "3"})
    assert settings_label(preset, chosen, quick=False, swept={"steps"}) == ""
