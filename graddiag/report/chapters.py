"""From runs to the chapters of a report: one for each experiment, in the order the runs were given."""

from collections.abc import Sequence
from typing import Final

from graddiag import __version__, analysis, schema
from graddiag.analysis import Diagnosis
from graddiag.report.comparison import comparison_part
from graddiag.report.content import Chapter, Document, Grid, Judged, Part, Tone
from graddiag.report.methods import configuration, methods
from graddiag.report.pictures import time_parts, training_part
from graddiag.report.words import UNKNOWN, question, scope, title
from graddiag.run import Run

SIDE_BY_SIDE: Final = 4  # heatmaps in a row that can still be read
HEAT_CELLS: Final = 400_000  # of a whole report; a cell is some five bytes of it
FEWEST_CELLS, MOST_CELLS = 5_000, 60_000  # of one heatmap

_SEVERITY_TONES: Final[dict[str, Tone]] = {"severe": "bad", "warning": "warn", "info": "none"}
_RUN_COLUMNS: Final = ("Run", "Arm", "Seed", "Task", "Model", "Clip", "Status", "Steps", "Final loss", "Verdict")


def document(runs: Sequence[Run]) -> Document:
    """The report on ``runs``, a chapter for each experiment among them."""
    groups: dict[str | None, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.manifest.experiment, []).append(run)
    cells = _cells_a_heat(list(groups.values()))
    chapters = tuple(_chapter(f"chapter-{n}", group, cells) for n, group in enumerate(groups.values(), start=1))
    return Document(title(runs), scope(runs), __version__, chapters, methods(runs), configuration(runs))


def _chapter(id: str, runs: Sequence[Run], max_cells: int) -> Chapter:
    shown = _side_by_side(runs)
    diagnoses = [analysis.diagnose(run) for run in runs]
    return Chapter(
        id=id,
        heading=title(runs),
        question=question(runs),
        scope=scope(runs),
        runs=Grid("The runs", _RUN_COLUMNS, tuple(map(_run_row, runs, diagnoses))),
        verdicts=tuple(Judged(each.source.label, each.source.run, _tone(each), each) for each in diagnoses),
        comparison=comparison_part(id, runs) if len(runs) > 1 else None,
        parts=(training_part(id, runs), *_time_parts(id, runs, shown, max_cells)),
    )


def _time_parts(id: str, runs: Sequence[Run], shown: Sequence[Run], max_cells: int) -> tuple[Part, ...]:
    parts = time_parts(id, runs, shown, max_cells)
    if len(shown) == len(runs) or not parts:
        return parts
    left_out = "Heatmaps and gates are of the first run of each arm: " + ", ".join(run.name for run in shown) + "."
    return (Part("Through time", (left_out,)), *parts)


def _side_by_side(runs: Sequence[Run]) -> Sequence[Run]:
    """All of ``runs`` if they are few, else the first of each arm, at most ``SIDE_BY_SIDE``."""
    if len(runs) <= SIDE_BY_SIDE:
        return runs
    first: dict[str, Run] = {}
    for run in runs:
        first.setdefault(str((run.manifest.arm, run.manifest.clip, run.manifest.model)), run)
    return list(first.values())[:SIDE_BY_SIDE]


def _cells_a_heat(groups: Sequence[Sequence[Run]]) -> int:
    heats = sum(len(analysis.selections(run)) for group in groups for run in _side_by_side(group))
    return max(FEWEST_CELLS, min(MOST_CELLS, HEAT_CELLS // max(heats, 1)))


def _run_row(run: Run, diagnosis: Diagnosis) -> tuple[str, ...]:
    m = run.manifest
    told = (m.arm, m.seed, m.task, m.model, m.clip, m.status)
    steps = f"{len(run.read(schema.TABLE_STEPS, columns=[schema.STEP])):,}"
    return (
        run.name,
        *(UNKNOWN if value is None else str(value) for value in told),
        steps,
        analysis.number(analysis.final_loss(run)),
        diagnosis.verdict,
    )


def _tone(diagnosis: Diagnosis) -> Tone:
    return "good" if diagnosis.verdict == "healthy" else _SEVERITY_TONES[diagnosis.findings[0].severity]
