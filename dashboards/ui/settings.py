"""How runs were made: their configuration and versions, as tables of plain cells."""

import json
from typing import Any

import streamlit as st

from graddiag.analysis import Comparison
from graddiag.run import Run, RunManifest
from ui.results import OpenRun, of


def show_settings(manifest: RunManifest) -> None:
    with st.expander("Configuration and versions"):
        rows = [("run", key, value) for key, value in _about(manifest).items() if value]
        for group in ("config", "versions", "environment"):
            rows += [(group, key, _plain(value)) for key, value in sorted(getattr(manifest, group).items())]
        _table(
            [{"of": group, "setting": key, "value": value} for group, key, value in rows], "Configuration and versions"
        )


def show_events(run: OpenRun) -> None:
    """What happened in the run, step by step; nothing where nothing did."""
    events = of(run, _events)
    if len(events):
        with st.expander("Events"):
            st.dataframe(events, hide_index=True, width="stretch", alt="Events of the run")


def _events(run: Run) -> Any:
    return run.events


def show_differences(comparison: Comparison) -> None:
    with st.expander("What differs in their configurations"):
        found = comparison.differences_table()
        _table(found if len(found) else [{"setting": "nothing"}], "What differs in the configurations")


def _about(manifest: RunManifest) -> dict[str, str | None]:
    return {
        "id": manifest.id,
        "created": manifest.created.isoformat(sep=" ", timespec="seconds"),
        "finished": manifest.finished.isoformat(sep=" ", timespec="seconds") if manifest.finished else None,
        "tags": ", ".join(manifest.tags),
        "notes": manifest.notes,
        "graddiag": manifest.graddiag_version,
    }


def _table(rows: Any, alt: str) -> None:
    st.dataframe(rows, hide_index=True, width="stretch", height="content", alt=alt)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
