"""What the Learn pages share: their frame, sliders that are part of the address, examples to try, the ways on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui.shell import LESSONS, enter, frame, link
from ui.text import heading, muted

TEXT: Final = 920  # pixels: a line of text that can be read


@dataclass(frozen=True)
class Example:
    """Settings worth trying: what to press, and the values it gives to the page's widgets."""

    label: str
    settings: Mapping[str, Any]


def lesson(name: str, body: Callable[[], None], *, shows: str, settings: Mapping[str, str]) -> None:
    """The page ``name``: its title and its place among the lessons, its body, then the ways on.

    Args:
        shows: what a training of the Lab shows of it; settings: those of the Lab's form for it.
    """
    enter()
    with frame(name):
        heading(dict(LESSONS)[name])
        muted(f"Learn, lesson {list(dict(LESSONS)).index(name) + 1} of {len(LESSONS)}")
        body()
        st.divider()
        muted(f"The Lab trains real networks on the subject of this lesson: {shows}.")
        with st.container(horizontal=True):
            link("lab", "See it in the Lab", ":material/science:", settings)
            following, label = _following(name)
            link(following, label, ":material/east:")


def prose(text: str) -> None:
    """Markdown in lines that can be read."""
    st.markdown(text, width=TEXT)


def formula(text: str) -> None:
    """A line of LaTeX under such text."""
    st.latex(text, width=TEXT)


def bench() -> tuple[DeltaGenerator, DeltaGenerator]:
    """The place of the controls, and the pictures they move: beside them at a desk, below them on a phone."""
    controls, pictures = st.columns([1, 3], gap="medium")
    return controls, pictures


def slider(
    label: str,
    low: float,
    high: float,
    value: float,
    *,
    key: str,
    step: float,
    help: str | None = None,
) -> Any:
    """A slider whose value is in the address under ``key``; whole numbers where all of them are."""
    return st.slider(label, low, high, value=value, step=step, key=key, help=help, bind="query-params")


def choice(label: str, options: Sequence[str], default: str, *, key: str) -> Any:
    """One of a few words, in the address under ``key``; in more than one row where one is too narrow."""
    return st.segmented_control(label, options, default=default, required=True, key=key, wrap=True, bind="query-params")


def examples(several: Sequence[Example]) -> None:
    """One press sets the widgets of the page."""
    with st.container(horizontal=True, vertical_alignment="center"):
        muted("Try", width="content")
        for example in several:
            st.button(example.label, on_click=_set, args=(example.settings,), type="secondary")


def _set(settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        st.session_state[key] = value


def _following(name: str) -> tuple[str, str]:
    """The lesson after ``name``, and how the link to it says so; after the last comes the first again."""
    place = list(dict(LESSONS)).index(name) + 1
    following, title = LESSONS[place % len(LESSONS)]
    return following, f"Next: {title}" if place < len(LESSONS) else f"Back to lesson 1: {title}"
