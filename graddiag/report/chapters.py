"""From runs to the chapters of a report: one for each experiment, in the order the runs were given."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from graddiag import __version__, analysis, schema
from graddiag.analysis import Comparison, Diagnosis
from graddiag.report.comparison import comparison_part
from graddiag.report.content import Document, Judged, ReportChapter, ReportEvidence, ReportGrid, ReportPart, Tone
from graddiag.report.methods import configuration, methods
from graddiag.report.pictures import layer_parts, run_parts
from graddiag.report.request import ReportRequest
from graddiag.report.words import UNKNOWN, question, scope, title
from graddiag.run import Run

SIDE_BY_SIDE: Final = 4  # heatmaps in a row that can still be read
HEAT_CELLS: Final = 100_000  # of a whole report, beside half as many of snapshots; ten bytes a cell, with its table
FEWEST_CELLS, MOST_CELLS = 5_000, 60_000  # of one heatmap

_TONES: Final[dict[str, Tone]] = {"good": "good", "bad": "bad", "warning": "warn", "neutral": "none"}
_RUN_COLUMNS: Final = (
    *("Run", "Arm", "Seed", "Task", "Model", "Clip", "Status", "Steps", "Final loss"),
    *("Outcome", "Cause"),
)


def document(runs: Sequence[Run], asked: ReportRequest) -> Document:
    """The report on ``runs``, a chapter for each experiment among them, with the sections that are ``asked`` for."""
    groups: dict[str | None, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.manifest.experiment, []).append(run)
    cells = _cells_a_heat(list(groups.values()))
    chapters = tuple(_chapter(f"chapter-{n}", group, cells, asked) for n, group in enumerate(groups.values(), start=1))
    if len(chapters) == 1:  # its heading and its scope are those of the report
        chapters = (replace(chapters[0], heading="Question", scope=""),)
    return Document(
        asked.title or title(runs),
        scope(runs),
        __version__,
        chapters,
        methods(runs) if asked.wants("methods") else None,
        configuration(runs, commands=not asked.wants("methods")) if asked.wants("configuration") else (),
    )


def _chapter(id: str, runs: Sequence[Run], max_cells: int, asked: ReportRequest) -> ReportChapter:
    diagnoses = [_diagnosed(run, asked) for run in runs]
    judged = tuple(Judged(each.source.label, each.source.run, _TONES[each.tone], each) for each in diagnoses)
    compared = _compared(runs, asked)
    ordered = _baseline_first(runs, compared)
    return ReportChapter(
        id=id,
        heading=title(runs),
        question=question(runs),
        answer=_answer(diagnoses, compared),
        scope=scope(runs),
        runs=ReportGrid("The runs", _RUN_COLUMNS, tuple(map(_run_row, runs, diagnoses))),
        verdicts=judged if asked.wants("verdict") else None,
        evidence=ReportEvidence(judged, _shown(id, ordered, max_cells, asked)) if asked.wants("evidence") else None,
        comparison=comparison_part(id, compared, runs) if compared else None,
    )


def _diagnosed(run: Run, asked: ReportRequest) -> Diagnosis:
    asked.on_progress(f"diagnosing {run.name}")
    return analysis.diagnose(run)


def _compared(runs: Sequence[Run], asked: ReportRequest) -> Comparison | None:
    if len(runs) < 2 or not asked.wants("comparison"):
        return None
    asked.on_progress(f"comparing {len(runs)} runs")
    return analysis.compare(runs)


def _answer(diagnoses: Sequence[Diagnosis], compared: Comparison | None) -> str:
    """What the comparison says; of a run by itself, its outcome and the cause."""
    if compared is not None:
        return compared.caption
    return diagnoses[0].account if len(diagnoses) == 1 else ""


def _baseline_first(runs: Sequence[Run], compared: Comparison | None) -> Sequence[Run]:
    """A single pair with its baseline first, as ratios are over it."""
    if compared is None or len(compared.pairs) != 1 or len(runs) != 2:
        return runs
    return sorted(runs, key=lambda run: run.name != compared.pairs[0].baseline)


def _shown(id: str, runs: Sequence[Run], max_cells: int, asked: ReportRequest) -> tuple[ReportPart, ...]:
    """The pictures of ``runs``; heatmaps and gates of some of them, where they are many."""
    shown = _side_by_side(runs)
    parts = layer_parts(id, runs, shown, max_cells, asked.on_progress)
    if len(shown) < len(runs) and parts:
        names = ", ".join(run.name for run in shown)
        parts = (
            ReportPart("Through time", (f"Heatmaps and gates are of the first run of each arm: {names}.",)),
            *parts,
        )
    return (*run_parts(id, runs, shown, asked.on_progress), *parts)


def _side_by_side(runs: Sequence[Run]) -> Sequence[Run]:
    """All of ``runs`` if they are few, else the first of each arm, at most ``SIDE_BY_SIDE``."""
    if len(runs) <= SIDE_BY_SIDE:
        return runs
    first: dict[str, Run] = {}
    for run in runs:
        first.setdefault(str((run.manifest.arm, run.manifest.clip, run.manifest.model)), run)
    return list(first.values())[:SIDE_BY_SIDE]


def _cells_a_heat(groups: Sequence[Sequence[Run]]) -> int:
    """Cells of one heatmap: there is one for each layer of each run shown, and one of the ratio of a pair."""
    shown = [(run, len(group) == 2) for group in groups for run in _side_by_side(group)]
    heats = sum(len(analysis.selections(run)) * (1.5 if pair else 1) for run, pair in shown)
    return max(FEWEST_CELLS, min(MOST_CELLS, int(HEAT_CELLS / max(heats, 1))))


def _run_row(run: Run, diagnosis: Diagnosis) -> tuple[str, ...]:
    m = run.manifest
    told = (m.arm, m.seed, m.task, m.model, m.clip, m.status)
    steps = f"{len(run.read(schema.TABLE_STEPS, columns=[schema.STEP])):,}"
    return (
        run.name,
        *(UNKNOWN if value is None else str(value) for value in told),
        steps,
        analysis.number(analysis.final_loss(run)),
        diagnosis.outcome.name,
        UNKNOWN if diagnosis.cause is None else diagnosis.cause,
    )
