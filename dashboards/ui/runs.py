"""The runs under the root: their list, the words that describe one, and the pickers that choose among them."""

from collections.abc import Collection, Sequence
from typing import Final

import streamlit as st

from graddiag.overview import RunEntry, current, overview
from graddiag.run import RunManifest
from graddiag.store import root_fingerprint
from ui.root import named_root, renew_root, runs_root
from ui.shell import link
from ui.text import muted

JUDGING_SECONDS: Final = 1.0  # a listing never waits longer for verdicts; the rest come with the next ones


def all_runs() -> list[RunEntry]:
    """Every run in the order of creation, as they are; verdicts that wait to be made are at most a second behind."""
    return [current(entry) for entry in _listed(str(runs_root()), root_state())]


def root_state() -> str:
    """Changes whenever a run under the root appears, goes, grows or is given tags or notes."""
    return f"{renew_root()} {root_fingerprint(runs_root())}"


def statuses(entries: Sequence[RunEntry]) -> list[str]:
    """The present status of these runs: a process that is killed changes no file, and so not ``root_state``."""
    return [current(entry).status for entry in entries]


def changed() -> None:
    """Call it when a run was edited, moved or made here: the next listing is read anew."""
    _listed.clear()


@st.cache_resource(ttl=1, max_entries=2, show_spinner=False)
def _listed(root: str, state: str) -> list[RunEntry]:
    """``state`` is a part of the key: the same root in another state is listed anew."""
    return overview(root, seconds=JUDGING_SECONDS)


def links() -> list[str]:
    return [entry.run for entry in all_runs()]


def facts(manifest: RunManifest, but: Collection[str] = ()) -> str:
    """What the run is, on one line; what is not known is left out, and so is ``but``."""
    return " · ".join(fact for fact in facts_of(manifest) if fact not in but)


def common_facts(manifests: Sequence[RunManifest]) -> list[str]:
    """The facts that hold of all of them."""
    first, *rest = (facts_of(each) for each in manifests)
    return [fact for fact in first if all(fact in other for other in rest)]


def facts_of(manifest: RunManifest) -> list[str]:
    told = (
        f"arm: {manifest.arm}" if manifest.arm else None,
        f"{manifest.model} on {manifest.task}" if manifest.model and manifest.task else manifest.model or manifest.task,
        f"clip {manifest.clip}" if manifest.clip else None,
        f"seed {manifest.seed}" if manifest.seed is not None else None,
        f"loss: {manifest.loss_reduction}" if manifest.loss_reduction else None,
        f"timesteps recorded every {manifest.every} steps" if manifest.every > 1 else None,
    )
    return [fact for fact in told if fact]


def title_of(manifest: RunManifest) -> str:
    """The run's name behind that of its experiment, where it belongs to one."""
    return f"{manifest.experiment} / {manifest.name}" if manifest.experiment else manifest.name


def choose_run() -> str | None:
    """The run that the address asks for, whether it is there or not, and a picker to ask for another."""
    asked, known = st.query_params.get("run"), links()
    st.selectbox(
        "Run",
        known,
        index=known.index(asked) if asked in known else None,
        placeholder="Choose a run",
        label_visibility="visible" if asked is None else "collapsed",
        key="chosen_run",
        on_change=lambda: _ask("run", st.session_state.chosen_run),
    )
    return asked


def choose_runs(placeholder: str = "Choose two or more runs") -> list[str]:
    """The runs that the address asks for, whether they are there or not, and a picker to ask for others."""
    asked, known = st.query_params.get_all("run"), links()
    st.multiselect(
        "Runs",
        known,
        default=[link for link in asked if link in known],
        placeholder=placeholder,
        key="chosen_runs",
        on_change=lambda: _ask("run", st.session_state.chosen_runs),
    )
    return asked


def to_choose(words: str) -> None:
    """What is to be chosen; where there is no run, that there is none, and where to get one."""
    if links():
        muted(words)
        return
    muted(f"No runs yet under {named_root()}: there is nothing to choose.")
    link("runs", "How to record some", ":material/arrow_forward:")


def _ask(name: str, value: str | list[str] | None) -> None:
    st.query_params[name] = value or []
