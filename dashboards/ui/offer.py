"""The offer to record a small pair, where there is nothing to look at yet or one wants another."""

import shlex
from collections.abc import Mapping
from itertools import count
from typing import Final

import streamlit as st

from graddiag.errors import GraddiagError
from graddiag.jobs import control
from graddiag.jobs.values import JobRequest
from graddiag.kinds import MODELS
from graddiag.store import slug
from ui.root import named_root, runs_root
from ui.runs import links
from ui.text import muted, refusal, sentence

ARMS: Final = 2


def first_steps() -> None:
    """With no runs: why the page is empty, and how to fill it."""
    root = named_root()
    sentence(f"No runs yet under {root}. Record a pair below, on the command line, or from your own model:")
    pair = f"graddiag pair --task text --model rnn --clip norm:0.5 --root {shlex.quote(root)}"
    watch = (
        f'with graddiag.watch(model, optimizer, run="my-run", root={root!r}):\n    ...  # your training loop, as it is'
    )
    for code in (pair, watch):  # in one colour: Streamlit's own for code are too faint to be read by all
        st.code(code, language=None, wrap_lines=True)


def offer_pair() -> None:
    """A small form. The pair is two trainings from the same start on the same batches: clipping off, clipping on."""
    with st.form("pair", border=False):
        muted(
            "Two trainings from the same weights on the same batches, one with clipping off and one with clipping on."
        )
        cells = st.columns(4, vertical_alignment="bottom")
        task = cells[0].selectbox("Task", ["text", "temporal-order"])
        model = cells[1].selectbox("Model", MODELS)
        clip = cells[2].selectbox("Clip policy", ["norm:0.5", "norm:1.0", "norm:5.0", "value:1.0"])
        steps = cells[3].number_input("Steps", min_value=10, max_value=5000, value=150, step=10)
        if st.form_submit_button("Record the pair", type="primary", icon=":material/play_arrow:"):
            _record(pair({"task": task, "model": model, "clip": clip, "steps": str(steps)}))


def pair(settings: Mapping[str, str]) -> JobRequest:
    """The job that records the pair, in a separate experiment; it continues if the page is closed."""
    taken = {link.partition("/")[0] for link in links()}
    base = slug(f"{settings['task']}-{settings['model']}-{settings['clip']}")
    names = (base if number == 1 else f"{base}-{number}" for number in count(1))
    experiment = next(name for name in names if name not in taken)
    arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return JobRequest(
        title=experiment,
        arguments=("pair", *arguments, "--experiment", experiment, "--root", named_root()),
        experiment=experiment,
        steps=ARMS * int(settings["steps"]),
        settings=settings,
    )


def _record(request: JobRequest) -> None:
    """Starts it and draws the page again, which shows it at work; a refusal is told where it was asked for."""
    try:
        control.start(runs_root(), request)
    except GraddiagError as error:
        refusal("Not started", str(error))
        return
    st.rerun()
