"""The offer to record a small pair, where there is nothing to look at yet or one wants another."""

import shlex

import streamlit as st

from ui import recording
from ui.root import runs_root
from ui.text import muted, sentence


def first_steps() -> None:
    """With no runs: why the page is empty, and how to fill it."""
    root = str(runs_root())
    sentence(f"No runs yet under {root}. Record a pair below, on the command line, or from a model of your own:")
    pair = f"graddiag pair --task text --model rnn --clip norm:0.5 --root {shlex.quote(root)}"
    watch = (
        f'with graddiag.watch(model, optimizer, run="my-run", root={root!r}):\n    ...  # your training loop, as it is'
    )
    st.code(pair, language="bash", wrap_lines=True)
    st.code(watch, language="python", wrap_lines=True)


def offer_pair() -> None:
    """A small form. The pair is two trainings from the same start on the same batches: clipping off, clipping on."""
    with st.form("pair", border=False):
        muted("A pair: two trainings from the same start on the same batches, with clipping off and with clipping on.")
        cells = st.columns(4, vertical_alignment="bottom")
        task = cells[0].selectbox("Task", ["text", "temporal-order"])
        model = cells[1].selectbox("Model", ["rnn", "lstm", "gru"])
        clip = cells[2].selectbox("Clip policy", ["norm:0.5", "norm:1.0", "norm:5.0", "value:1.0"])
        steps = cells[3].number_input("Steps", min_value=10, max_value=5000, value=150, step=10)
        busy = recording.current() is not None
        if st.form_submit_button("Record the pair", type="primary", icon=":material/play_arrow:", disabled=busy):
            recording.start(task, model, clip, steps)
            st.rerun()
