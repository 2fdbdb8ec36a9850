"""The Lab's form for a preset: which one, how large, its settings; checked before anything is started."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from graddiag.jobs.values import JobRequest
from graddiag.presets import entry, load, names
from graddiag.presets.preset import Preset, assigned, settings_of
from ui.root import named_root
from ui.text import muted, sentence

COLUMNS: Final = 3
LONGEST: Final = 200  # characters of a setting


@dataclass(frozen=True)
class Chosen:
    """A preset, whether it is to be quick, and the settings that differ from its own, as texts."""

    name: str
    quick: bool
    changed: Mapping[str, str]


def choose_preset() -> Chosen:
    """Draws the form; gives what is chosen. All of it is in the address."""
    first = st.columns([2, 1], vertical_alignment="bottom")
    name = first[0].selectbox("Preset", names(), key="preset", bind="query-params")
    quick = first[1].toggle(
        "Quick: a small size, in seconds",
        value=True,
        key="quick",
        bind="query-params",
        help="Off: one to five minutes.",
    )
    about, preset = entry(name), load(name)
    sentence(about.about)
    muted(f"Source: {about.source}")
    own = _texts(preset, quick=quick)
    with st.expander("Settings"):
        places = st.columns(COLUMNS)
        found = {
            field: places[number % COLUMNS].text_input(
                field.replace("_", " "),
                value,
                max_chars=LONGEST,
                key=f"{name}-{quick}-{field}",
                bind="query-params",
                help=preset.settings.model_fields[field].description,
            )
            for number, (field, value) in enumerate(own.items())
        }
    return Chosen(name, quick, {field: text for field, text in found.items() if text != own[field]})


def preset_request(chosen: Chosen) -> JobRequest:
    """What is to be started for what was chosen.

    Raises:
        SettingError: a setting that cannot be meant; the message names it.
    """
    preset = load(chosen.name)
    texts = [f"{field}={text}" for field, text in chosen.changed.items()]
    settings_of(preset, assigned(preset, texts), quick=chosen.quick)
    size = ("--quick",) if chosen.quick else ()
    changed = tuple(part for text in texts for part in ("--set", text))
    return JobRequest(
        title=f"{chosen.name}, quick" if chosen.quick else chosen.name,
        arguments=("lab", chosen.name, *size, *changed, "--root", named_root()),
        experiment=f"lab-{chosen.name}{'-quick' if chosen.quick else ''}",
        parts=True,
        reports=True,
        settings={"preset": chosen.name, "quick": str(chosen.quick), **chosen.changed},
    )


def _texts(preset: Preset[Any], *, quick: bool) -> dict[str, str]:
    """Its settings as a person writes them: lists with commas, nothing for None."""
    values = settings_of(preset, {}, quick=quick).model_dump(mode="json")
    return {field: _text(value) for field, value in values.items()}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
