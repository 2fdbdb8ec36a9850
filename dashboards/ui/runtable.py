"""The table of runs: which are shown and in which order, how their cells look, and which are selected."""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from graddiag import schema
from graddiag.overview import RunEntry
from ui import badges
from ui.search import searched
from ui.shown import pinned_runs

ROWS_IN_FULL: Final = 20
SCROLLED_HEIGHT: Final = 740  # pixels
MOST_VALUES: Final = 60  # of a setting that is offered as a filter; of others the search finds any
LONGEST_VALUE: Final = 40  # characters
_NO_CHOICE: Final = ("command",)  # how a run was started, which its settings say already
TAG: Final = "tag"
NARROW: Final = 80  # pixels: a phone shows the outcome, the loss and most of the name of a run
LETTER: Final = 7.6  # pixels of a letter in a label of a cell
WIDEST: Final = 240  # of a column that grows with what is in it
ROUND: Final = 52  # pixels around its words
CURVE: Final = 118  # pixels: the words above the curve fit

_SELECTED: Final = "selected"
_PIN: Final = "pinned"
_LOSS, _NORM, _NOTES, _CREATED, _TAGS = "loss", "norm", "notes", "created", "tags"
_CAUSE: Final = "Leading cause, by evidence; empty where the gradient shows none"
_LEFT_OUT: Final = "Stretches that hold NaN or inf alone are left out."
_COLUMNS: Final = {
    _PIN: st.column_config.CheckboxColumn("Pinned", width=NARROW, help="Pinned runs come first and stay in the table"),
    schema.OUTCOME: badges.column("Outcome", badges.OUTCOMES, "Whether the training learned"),
    _LOSS: st.column_config.LineChartColumn(
        "Loss",
        width=NARROW,
        help=f"The loss over the steps so far, in the mean of each stretch. {_LEFT_OUT} A grey line is 0.",
    ),
    schema.RUN: st.column_config.TextColumn("Run", help="Folder of the run, under the runs folder"),
    schema.CAUSE: badges.column("Cause", badges.VERDICTS, _CAUSE),
    schema.FINAL_LOSS: st.column_config.NumberColumn(
        "Final loss", format="%.4g", help="Mean of the last 5% of the steps, to four digits; last zeros are left out"
    ),
    _TAGS: st.column_config.ListColumn("Tags"),
    schema.STATUS: badges.column("Status", badges.STATUSES, "Whether it was trained to its end"),
    schema.STEPS: st.column_config.NumberColumn("Steps", format="localized", help="Updates so far"),
    _NORM: st.column_config.LineChartColumn(
        "Gradient norm",
        width=CURVE,
        help="log10 of the norm over all parameters, before clipping, the largest of each stretch; a norm of 0 is left "
        f"out. {_LEFT_OUT} Each row has a separate scale: the grey line marks a norm of 1, where the scale holds it. "
        "Vanishing is judged by the gradient through time, not by this norm.",
    ),
    schema.CLIP: st.column_config.TextColumn("Clip", help="Clip policy: none, norm:C, value:C"),
    schema.ARM: st.column_config.TextColumn("Arm"),
    schema.SEED: st.column_config.NumberColumn("Seed", format="%d"),
    _CREATED: st.column_config.DatetimeColumn("Created", format="YYYY-MM-DD HH:mm"),
    schema.TASK: st.column_config.TextColumn("Task"),
    schema.MODEL: st.column_config.TextColumn("Model"),
    _NOTES: st.column_config.TextColumn("Notes", width="medium"),
    schema.EXPERIMENT: st.column_config.TextColumn("Experiment"),
}
_WORST_FIRST: Final = {outcome: place for place, outcome in enumerate(badges.OUTCOMES)}
_CAUSES: Final = {cause: place for place, cause in enumerate(badges.VERDICTS)}


def _created(entry: RunEntry) -> float:
    return entry.manifest.created.timestamp() if entry.manifest else 0.0


def _loss(entry: RunEntry) -> tuple[bool, bool, float]:
    loss = entry.final_loss
    return loss is None, loss is None or math.isnan(loss), 0.0 if loss is None or math.isnan(loss) else loss


def _worst(entry: RunEntry) -> tuple[int, int]:
    """The outcome, and of one outcome the verdict."""
    outcome = _WORST_FIRST.get(entry.outcome or "", len(_WORST_FIRST))
    return outcome, _CAUSES.get(entry.cause or entry.verdict or "", len(_CAUSES))


ORDERS: Final[dict[str, Callable[[RunEntry], Any]]] = {
    "Newest first": lambda entry: -_created(entry),
    "Oldest first": _created,
    "Name": lambda entry: entry.run,
    "Lowest final loss first": _loss,
    "Worst outcome first": _worst,
    "Most steps first": lambda entry: -(entry.steps or 0),
}


def filters(entries: Sequence[RunEntry]) -> list[str]:
    """What runs can be filtered by, ``setting = value``: every setting in which they differ, and their tags."""
    values: dict[str, dict[str, None]] = {}
    for entry in entries:
        for key, value in [*entry.settings.items(), *((TAG, tag) for tag in tags_of(entry))]:
            values.setdefault(key, {})[value] = None
    told = {key: found for key, found in values.items() if key == TAG or _is_choice(key, found)}
    return [f"{key} = {value}" for key in sorted(told) for value in sorted(told[key], key=_natural)]


def _is_choice(key: str, values: Collection[str]) -> bool:
    """Whether a setting is one to choose by: runs differ in it, and its values are few and short."""
    short = all(len(value) <= LONGEST_VALUE for value in values)
    return key not in _NO_CHOICE and short and 1 < len(values) <= MOST_VALUES


def matching(entries: Sequence[RunEntry], words: str, chosen: Sequence[str] = ()) -> list[RunEntry]:
    """The runs that have all that is typed (see ``search``), and one of the chosen values of each setting in
    ``chosen``."""
    typed = searched(words)
    by_key: dict[str, set[str]] = {}
    for each in chosen:
        key, _, value = each.partition(" = ")
        by_key.setdefault(key, set()).add(value)
    return [
        entry for entry in entries if all(_has(entry, key, values) for key, values in by_key.items()) and typed(entry)
    ]


def select(entries: Sequence[RunEntry]) -> list[RunEntry]:
    """Draws the table; gives the selected runs, which are in the address. Those that are not shown are not selected."""
    asked = st.query_params.get_all(_SELECTED)
    key = f"runs-{hash(tuple(entry.run for entry in entries))}"
    first = [row for row, entry in enumerate(entries) if entry.run in asked]
    table = st.dataframe(
        [_cells(entry) for entry in entries],
        key=key,
        column_config={**_COLUMNS, schema.CAUSE: _cause_column(entries), _TAGS: _tags_column(entries)},
        column_order=_shown_columns(entries),
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": st.session_state.setdefault(f"{key}-at-first", first)}},
        width="stretch",
        height="content" if len(entries) <= ROWS_IN_FULL else SCROLLED_HEIGHT,
        placeholder="",
        alt="Runs with their outcome, cause, status, course of loss and gradient norm, settings, tags and notes",
    )
    chosen = [entries[position] for position in table["selection"]["rows"] if position < len(entries)]
    if sorted(asked) != sorted(entry.run for entry in chosen):
        st.query_params[_SELECTED] = [entry.run for entry in chosen]
    return chosen


def _cause_column(entries: Sequence[RunEntry]) -> ColumnConfig:
    """As wide as the longest cause that is shown, which is cut otherwise."""
    letters = max((len(entry.cause or "") for entry in entries), default=0)
    return badges.column("Cause", badges.VERDICTS, _CAUSE, round(LETTER * letters) + ROUND)


def _tags_column(entries: Sequence[RunEntry]) -> ColumnConfig:
    letters = max((len("".join(tags_of(entry))) + 3 * len(tags_of(entry)) for entry in entries), default=0)
    width = min(round(LETTER * letters) + ROUND // 2, WIDEST)
    return st.column_config.ListColumn("Tags", width=width, help="Select runs to give them tags and notes")


def tags_of(entry: RunEntry) -> tuple[str, ...]:
    return entry.manifest.tags if entry.manifest else ()


def _shown_columns(entries: Sequence[RunEntry]) -> list[str]:
    """All but tags and notes that nobody has given yet, and experiments that the names of the runs tell, and pins where
    there are none."""
    empty = set() if any(map(tags_of, entries)) else {_TAGS}
    if all(map(_names_experiment, entries)):
        empty.add(schema.EXPERIMENT)
    if not {entry.run for entry in entries}.intersection(pinned_runs()):
        empty.add(_PIN)
    if not any(entry.manifest and entry.manifest.notes for entry in entries):
        empty.add(_NOTES)
    return [name for name in _COLUMNS if name not in empty]


def _names_experiment(entry: RunEntry) -> bool:
    told = entry.manifest.experiment if entry.manifest else None
    return told is None or entry.run.startswith(f"{told}/")


def _cells(entry: RunEntry) -> dict[str, Any]:
    outcome = badges.cell(entry.outcome or "diagnosis pending", badges.OUTCOMES)
    loss, m = entry.final_loss, entry.manifest
    if entry.status == "damaged":
        outcome = badges.cell(entry.status, badges.STATUSES)  # a phone shows the first columns alone
    if loss is not None and not math.isfinite(loss):  # a number cell would be left empty, as if it were missing
        outcome, loss = [*outcome, f"loss {loss}"], None
    own = (schema.TASK, schema.MODEL, schema.ARM, schema.CLIP, schema.SEED, schema.EXPERIMENT, _CREATED, _NOTES)
    return {
        _PIN: entry.run in pinned_runs(),
        schema.RUN: entry.run,
        schema.OUTCOME: outcome,
        schema.CAUSE: badges.cell(entry.cause, badges.VERDICTS),
        schema.STATUS: badges.cell(entry.status, badges.STATUSES),
        _LOSS: _drawable(entry.loss),
        _NORM: _drawable(entry.norm),
        schema.FINAL_LOSS: loss,
        schema.STEPS: entry.steps,
        _TAGS: list(tags_of(entry)),
        **{name: getattr(m, name, None) for name in own},
    }


def _drawable(course: Sequence[float | None]) -> list[float]:
    """The points that a small line can have: one that is missing would turn the cell into raw text."""
    return [value for value in course if value is not None and math.isfinite(value)]


def _has(entry: RunEntry, key: str, values: set[str]) -> bool:
    return bool(values.intersection(tags_of(entry))) if key == TAG else entry.settings.get(key) in values


def _natural(value: str) -> tuple[bool, float, str]:
    """Numbers by their size, before words."""
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value
