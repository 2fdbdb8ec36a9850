"""What people do to runs: give them tags and notes, put them in the trash, take them out again."""

from collections.abc import Callable, Sequence
from typing import Final

import streamlit as st

from graddiag.errors import GraddiagError
from graddiag.overview import RunEntry
from graddiag.store import Trashed, annotate, restore_run, trash_run, trashed_runs
from ui.root import run_folder, runs_root
from ui.runs import changed
from ui.runtable import tags_of
from ui.text import muted, refusal

_PROBLEM: Final = "problem"
_DONE: Final = "done"


def tags_and_notes(chosen: Sequence[RunEntry]) -> None:
    """A small form behind a button: of one run its tags and notes, of several the tags that they are to get."""
    with st.popover("Tags and notes", icon=":material/sell:"):
        one = chosen[0] if len(chosen) == 1 else None
        key = "-".join(entry.run for entry in chosen)
        with st.form(f"annotate-{key}", border=False):
            typed = st.text_input(  # a list of choices would fold out over the button
                "Tags" if one else f"Tags to add to {len(chosen)} runs",
                ", ".join(tags_of(one)) if one else "",
                placeholder="With commas between them: baseline, keep",
                key=f"tags-{key}",
            )
            notes = None
            if one:
                told = one.manifest.notes if one.manifest else ""
                notes = st.text_area(
                    "Notes", told, key=f"notes-{key}", placeholder="Why this run was made, what it shows"
                )
            if st.form_submit_button("Save", type="primary", icon=":material/check:"):
                tags = [tag.strip() for tag in typed.split(",") if tag.strip()]
                _do(lambda: _annotate(chosen, tags, notes), "Tags and notes saved.")


def delete(chosen: Sequence[RunEntry]) -> None:
    """A button that asks once more; the runs go to the trash, from which they can be taken back."""
    with st.popover("Delete", icon=":material/delete:"):
        names = ", ".join(entry.run for entry in chosen[:3]) + (
            f" and {len(chosen) - 3} more" if len(chosen) > 3 else ""
        )
        muted(f"Move to the trash: {names}. Nothing is lost; the trash is at the foot of this page.")
        running = any(entry.status == "running" for entry in chosen)
        killed = running and st.checkbox("It says running, but its process has ended", key="killed")
        if st.button("Move to the trash", type="primary", icon=":material/delete:", disabled=running and not killed):
            _do(lambda: [trash_run(runs_root(), entry.run, killed=killed) for entry in chosen], "Moved to the trash.")


def trash() -> None:
    """What lies in the trash, and the way out of it; nothing where it is empty."""
    inside = trashed_runs(runs_root())
    if not inside:
        return
    with st.expander(f"Trash: {len(inside)}"):
        muted("These runs lie in the folder .trash under the runs folder until you remove them there.")
        wanted = st.multiselect("Runs to restore", inside, format_func=_label, key="trash", placeholder="Choose runs")
        if st.button("Restore", icon=":material/undo:", disabled=not wanted):
            _do(lambda: [restore_run(runs_root(), each) for each in wanted], "Restored.")


def change_outcome() -> None:
    """What the last change came to, once: that it was made, or what went wrong."""
    done, found = st.session_state.pop(_DONE, None), st.session_state.pop(_PROBLEM, None)
    if done:
        st.toast(done, icon=":material/check:")
    if found:
        refusal("Not done", found)


def _do(work: Callable[[], object], done: str) -> None:
    """Does it, and draws the page again, which confirms it or reports what went wrong."""
    try:
        work()
        st.session_state[_DONE] = done
    except GraddiagError as error:
        st.session_state[_PROBLEM] = str(error)
    changed()
    st.rerun()


def _annotate(chosen: Sequence[RunEntry], tags: Sequence[str], notes: str | None) -> None:
    for entry in chosen:
        found = tags if notes is not None else [*tags_of(entry), *tags]
        annotate(run_folder(runs_root(), entry.run), tags=found, notes=notes)


def _label(each: Trashed) -> str:
    return f"{each.run}, {each.when:%Y-%m-%d %H:%M} UTC"
