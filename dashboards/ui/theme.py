"""Light and dark: the browser says which it is, and a page that is open when it changes is drawn anew."""

from typing import Final, Literal

import streamlit as st
from streamlit.components.v2 import component

BAD: Final = {"light": "#a3260f", "dark": "#ff9d87"}  # of words about what went wrong

_KEY: Final = "follow_theme"
# Streamlit changes its own colours at once, but the program hears of it only when it next runs
_WATCH: Final = """
export default function ({ data, parentElement, setTriggerValue }) {
  const found = getComputedStyle(parentElement).colorScheme.includes("dark") ? "dark" : "light";
  const reported = parentElement.dataset.reported;
  parentElement.dataset.reported = found === data ? "" : found;
  if (found !== data && found !== reported) setTriggerValue("changed", found);
}
"""
_watch: Final = component("graddiag_theme", js=_WATCH, isolate_styles=False)


def theme() -> Literal["light", "dark"]:
    """The theme the browser shows; light while it has not said."""
    return "dark" if st.context.theme.type == "dark" else "light"


def follow() -> None:
    """From now on this page is drawn anew when the browser goes from light to dark, or back."""
    st.html(f"<style>.st-key-{_KEY} {{ display: none }}</style>")
    _watch(key=_KEY, data=theme(), on_changed_change=lambda: None)
