"""The runs under the root: their list, the words that describe one, and the pickers that choose among them."""

from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from graddiag import schema
from graddiag.overview import list_runs
from graddiag.run import RunManifest
from ui.root import runs_root

Row = Mapping[str, Any]
_NUMBERS: Final = (schema.SEED, schema.STEPS, schema.FINAL_LOSS)


def all_runs() -> list[Row]:
    """RUN_LIST_COLUMNS of every run, at most a second old; None is not known, and a loss of NaN is NaN."""
    return _listed(str(runs_root()))


@st.cache_data(ttl=1, max_entries=1, show_spinner=False)
def _listed(root: str) -> list[Row]:
    return [_row(record) for record in list_runs(root).to_dict("records")]


def _row(record: Mapping[Any, Any]) -> Row:
    return {name: value if name in _NUMBERS or isinstance(value, str) else None for name, value in record.items()}


def links() -> list[str]:
    return [row[schema.RUN] for row in all_runs()]


def facts(manifest: RunManifest) -> str:
    """What the run is, on one line; what was not told is left out."""
    told = (
        f"arm: {manifest.arm}" if manifest.arm else None,
        f"{manifest.model} on {manifest.task}" if manifest.model and manifest.task else manifest.model or manifest.task,
        f"clip {manifest.clip}" if manifest.clip else None,
        f"seed {manifest.seed}" if manifest.seed is not None else None,
        f"loss: {manifest.loss_reduction}" if manifest.loss_reduction else None,
        f"timesteps recorded every {manifest.every} steps" if manifest.every > 1 else None,
    )
    return " · ".join(fact for fact in told if fact)


def choose_run() -> str | None:
    """The run that the address asks for, whether it is there or not, and a picker to ask for another."""
    asked, known = st.query_params.get("run"), links()
    st.selectbox(
        "Run",
        known,
        index=known.index(asked) if asked in known else None,
        placeholder="Choose a run",
        key="chosen_run",
        on_change=lambda: _ask("run", st.session_state.chosen_run),
    )
    return asked


def choose_runs() -> list[str]:
    """The runs that the address asks for, whether they are there or not, and a picker to ask for others."""
    asked, known = st.query_params.get_all("run"), links()
    st.multiselect(
        "Runs",
        known,
        default=[link for link in asked if link in known],
        placeholder="Choose two or more runs",
        key="chosen_runs",
        on_change=lambda: _ask("run", st.session_state.chosen_runs),
    )
    return asked


def _ask(name: str, value: str | list[str] | None) -> None:
    st.query_params[name] = value or []
