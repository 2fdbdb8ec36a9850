"""``graddiag diagnose``: whether runs learned, why not, and what to do first; and a status for a CI job."""

import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from graddiag.cli.folders import load_runs
from graddiag.cli.options import AsJson, RunFolders
from graddiag.cli.rows import print_json, printable
from graddiag.cli.terminal import text_width, width

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from graddiag.analysis import Diagnosis, Finding

SHORT_WIDTH: Final = 80  # columns where the output is no terminal

_INFO: Final = "info"
MORE: Final = "Evidence, other findings and what was not measured: --all"
_STYLES: Final = {"severe": "red", "warning": "yellow", "info": "blue"}
_TONES: Final = {"good": "green", "bad": "red", "warning": "yellow", "neutral": "bright_black"}
_LABELS: Final = ("Outcome", "Cause", "Do first", "Next", "Then")

FailOn = Annotated[
    str,
    typer.Option(
        "--fail-on",
        metavar="NAMES",
        help="Exit 1 if a run has one of these, names with commas between them: an outcome (stuck, diverged, broken, "
        "overfits, unknown, learning, learned), a cause or another finding (exploding, vanishing, "
        "learning-rate-high, ...), a verdict of earlier versions (plateau, diverging, ...), or a severity (severe; "
        "warning, which includes severe). NAME:info counts a finding that is information too.",
    ),
]
All = Annotated[bool, typer.Option("--all", help="Also evidence, other findings, rules and what was not measured.")]


def diagnose(runs: RunFolders, as_json: AsJson = False, fail_on: FailOn = "", everything: All = False) -> None:
    """Report whether runs learned, why not, and what to do first."""
    from graddiag.analysis import diagnose as diagnosis_of

    wanted = _wanted(fail_on)
    diagnoses = [diagnosis_of(run) for run in load_runs(runs)]
    if as_json:
        print_json([diagnosis.to_dict() for diagnosis in diagnoses])
    else:
        _show(diagnoses, everything)
    failed = [(each, name) for each in diagnoses for name in wanted if matches(each, name)]
    for diagnosis, name in failed:
        print(f"graddiag: {diagnosis.source.run}: failed on {name}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def matches(diagnosis: "Diagnosis", wanted: str) -> bool:
    """Whether a diagnosis has what ``--fail-on`` asks for: an outcome, a verdict, a finding that is more than
    information, a severity or worse, or with ``:info`` a finding of any severity."""
    from graddiag.analysis import SEVERITIES

    name, _, also_info = wanted.partition(":")
    if name in SEVERITIES:
        worse = SEVERITIES[: SEVERITIES.index(name) + 1]
        return any(each.severity in worse for each in diagnosis.findings)
    if name in (diagnosis.outcome.name, diagnosis.verdict):
        return True
    found = diagnosis.finding(name)
    return found is not None and (found.alarming or bool(also_info))


def _wanted(text: str) -> list[str]:
    """The names of ``--fail-on``, checked."""
    from graddiag.analysis import FINDING_NAMES, OUTCOME_NAMES
    from graddiag.errors import SettingError

    wanted = [part.strip() for part in text.split(",") if part.strip()]
    known = (*OUTCOME_NAMES, *FINDING_NAMES, "severe", "warning")
    for each in wanted:
        name, colon, addition = each.partition(":")
        if name not in known or (colon and (addition != _INFO or name not in FINDING_NAMES)):
            raise SettingError(f"--fail-on {each!r}: write some of {', '.join(known)}, or FINDING:info.")
    return wanted


def _show(diagnoses: Sequence["Diagnosis"], everything: bool) -> None:
    """In colour in a terminal; plain text, the same words, where the output goes elsewhere."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        narrow = text_width(SHORT_WIDTH)
        more = textwrap.fill(MORE, narrow)
        texts = [each.full(_given_width()) if everything else f"{each.short(narrow)}\n\n{more}" for each in diagnoses]
        print("\n".join(map(printable, "\n\n\n".join(texts).splitlines())))
        return
    for place, diagnosis in enumerate(diagnoses):
        parts: list[RenderableType] = [*([_text("\n")] if place else []), _short(diagnosis)]
        parts += _rest(diagnosis) if everything else [_text(f"\n{MORE}", "dim")]
        console.print(*parts, sep="\n")


def _given_width() -> int | None:
    """Columns for text where COLUMNS gives them, else None."""
    return None if width() is None else text_width(SHORT_WIDTH)


def _short(diagnosis: "Diagnosis") -> "Text":
    """The short form with its labels in bold and the outcome in its colour."""
    head, *lines = diagnosis.short(text_width(SHORT_WIDTH)).splitlines()
    text = _text("\n".join([head, *lines]))
    text.stylize("bold", 0, len(printable(diagnosis.source.run)))
    start = 0
    for line in text.plain.splitlines():
        label = next((each for each in _LABELS if line.startswith(f"{each} ")), "")
        text.stylize("bold", start, start + len(label))
        start += len(line) + 1
    text.highlight_words([diagnosis.outcome.headline], f"bold {_TONES[diagnosis.tone]}")
    return text


def _rest(diagnosis: "Diagnosis") -> "list[RenderableType]":
    """The findings in panels, the order in time, and what was not measured."""
    from rich.padding import Padding

    parts: list[RenderableType] = [_text(""), *(_panel(finding, words) for finding, words in diagnosis.worded_findings)]
    if diagnosis.timeline.missing is None:
        parts.append(Padding(_text(str(diagnosis.timeline)), (0, 1)))
    if diagnosis.notes:
        notes = "\n".join(f"- {note.sentence}" for note in diagnosis.notes)
        parts += [Padding(_text("What was not measured", "bold"), (0, 1)), Padding(_text(notes), (0, 1))]
    return parts


def _panel(finding: "Finding", words: str) -> "RenderableType":
    """One finding: its words, a table of the evidence, the rule, and what to try, the best fit first."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table

    from graddiag.analysis import number

    evidence = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for each in finding.evidence:
        evidence.add_row(_text(each.name), _text(f"{number(each.value)} {each.unit}".strip()), _text(each.where, "dim"))
    advice = [_text(f"{place}. {each}") for place, each in enumerate(finding.advice, start=1)]
    rule = [_text(f"Rule: {finding.rule}", "dim")] if finding.rule else []
    style = _STYLES[finding.severity]
    strength = f", {finding.strength} evidence" if finding.strength else ""
    title = _text(f"{finding.name} ({finding.severity}{strength})", f"bold {style}")
    said = [_text(words)] if words else []
    body = Group(*said, *([evidence] if finding.evidence else []), *rule, *advice)
    return Panel(body, title=title, title_align="left", border_style=style)


def _text(words: str, style: str = "") -> "Text":
    """Text that stays text, whatever markup or controls a run's names hold."""
    from rich.text import Text

    return Text("\n".join(printable(line) for line in words.splitlines()), style=style)
