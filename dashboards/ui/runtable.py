"""The table of runs: which rows are shown, how their cells look, and which are selected."""

import math
from collections.abc import Sequence
from typing import Any, Final

import streamlit as st

from graddiag import schema
from ui import badges
from ui.runs import Row

ROWS_IN_FULL: Final = 20
SCROLLED_HEIGHT: Final = 740  # pixels
_COLUMNS: Final = {
    schema.RUN: st.column_config.TextColumn("Run", pinned=True, help="Folder of the run, under the runs folder"),
    schema.VERDICT: badges.column("Verdict", badges.VERDICTS, "What graddiag finds wrong, if anything"),
    schema.STATUS: badges.column("Status", badges.STATUSES, "Whether it was trained to its end"),
    schema.TASK: st.column_config.TextColumn("Task"),
    schema.MODEL: st.column_config.TextColumn("Model"),
    schema.CLIP: st.column_config.TextColumn("Clip", help="Clip policy: none, norm:C, value:C"),
    schema.STEPS: st.column_config.NumberColumn("Steps", help="Updates so far"),
    schema.FINAL_LOSS: st.column_config.NumberColumn("Final loss", format="%.4g", help="Loss of the last step"),
    schema.ARM: st.column_config.TextColumn("Arm"),
    schema.SEED: st.column_config.NumberColumn("Seed", format="%d"),
    schema.EXPERIMENT: st.column_config.TextColumn("Experiment"),
}


def matching(rows: Sequence[Row], words: str) -> list[Row]:
    """The rows that hold every one of the words in any of their cells."""
    wanted = words.lower().split()
    return [row for row in rows if all(word in _text(row) for word in wanted)]


def select(rows: Sequence[Row]) -> list[Row]:
    """Draws the table; gives the selected rows. The selection is dropped when other rows are shown."""
    table = st.dataframe(
        [_cells(row) for row in rows],
        key=f"runs-{hash(tuple(row[schema.RUN] for row in rows))}",
        column_config=_COLUMNS,
        column_order=list(_COLUMNS),
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        width="stretch",
        height="content" if len(rows) <= ROWS_IN_FULL else SCROLLED_HEIGHT,
        placeholder="",
        alt="Runs with their verdict, status, task, model, clip policy, steps and final loss",
    )
    return [rows[position] for position in table["selection"]["rows"] if position < len(rows)]


def _cells(row: Row) -> dict[str, Any]:
    verdict = badges.cell(row[schema.VERDICT], badges.VERDICTS)
    loss = row[schema.FINAL_LOSS]
    if loss is not None and not math.isfinite(loss):  # a number cell would be left empty, as if it were missing
        verdict, loss = [*verdict, f"loss {loss}"], None
    status = badges.cell(row[schema.STATUS], badges.STATUSES)
    return {**row, schema.VERDICT: verdict, schema.STATUS: status, schema.FINAL_LOSS: loss}


def _text(row: Row) -> str:
    return " ".join(str(value) for value in row.values()).lower()
