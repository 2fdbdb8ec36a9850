"""``graddiag diagnose``: what is wrong with a run, in words, with its evidence; and a status for a CI job."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from graddiag.cli.folders import load_runs
from graddiag.cli.options import AsJson, RunFolders
from graddiag.cli.rows import print_json, printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from graddiag.analysis import Diagnosis, Finding

_INFO: Final = "info"
_STYLES: Final = {"severe": "red", "warning": "yellow", "info": "blue"}

FailOn = Annotated[
    str,
    typer.Option(
        "--fail-on",
        metavar="NAMES",
        help="Exit 1 if a run has one of these findings: names with commas between them (exploding,vanishing), or a "
        "severity (severe; warning, which includes severe). NAME:info counts the finding as information too.",
    ),
]


def diagnose(runs: RunFolders, as_json: AsJson = False, fail_on: FailOn = "") -> None:
    """Say what is wrong with runs, where, and what to try."""
    from graddiag.analysis import diagnose as diagnosis_of

    wanted = _wanted(fail_on)
    diagnoses = [diagnosis_of(run) for run in load_runs(runs)]
    if as_json:
        print_json([diagnosis.to_dict() for diagnosis in diagnoses])
    else:
        _show(diagnoses)
    failed = [(each, name) for each in diagnoses for name in wanted if matches(each, name)]
    for diagnosis, name in failed:
        print(f"graddiag: {diagnosis.source.run}: failed on {name}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def matches(diagnosis: "Diagnosis", wanted: str) -> bool:
    """Whether a diagnosis has what ``--fail-on`` asks for: a verdict, a finding that is more than information, a
    severity or worse, or with ``:info`` a finding of any severity."""
    from graddiag.analysis import SEVERITIES

    name, _, also_info = wanted.partition(":")
    if name in SEVERITIES:
        worse = SEVERITIES[: SEVERITIES.index(name) + 1]
        return any(each.severity in worse for each in diagnosis.findings)
    found = diagnosis.finding(name)
    return diagnosis.verdict == name or (found is not None and (found.alarming or bool(also_info)))


def _wanted(text: str) -> list[str]:
    """The names of ``--fail-on``, checked."""
    from graddiag.analysis import FINDING_NAMES
    from graddiag.errors import SettingError

    wanted = [part.strip() for part in text.split(",") if part.strip()]
    for each in wanted:
        name, colon, addition = each.partition(":")
        known = (*FINDING_NAMES, "severe", "warning")
        if name not in known or (colon and addition != _INFO):
            raise SettingError(f"--fail-on {each!r}: write some of {', '.join(known)}, or NAME:info.")
    return wanted


def _show(diagnoses: Sequence["Diagnosis"]) -> None:
    """Panels in a terminal; plain text, the same words, where the output goes elsewhere."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        lines = "\n\n\n".join(str(diagnosis) for diagnosis in diagnoses).splitlines()
        print("\n".join(map(printable, lines)))
        return
    for diagnosis in diagnoses:
        console.print(*_rendered(diagnosis), sep="\n")


def _rendered(diagnosis: "Diagnosis") -> "list[RenderableType]":
    from rich.padding import Padding
    from rich.rule import Rule
    from rich.text import Text

    parts: list[RenderableType] = [
        Rule(_text(f"{diagnosis.source.run}: {diagnosis.verdict}", "bold"), align="left"),
        Padding(_text(diagnosis.account), (0, 1)),
        *(_panel(finding, words) for finding, words in diagnosis.told),
    ]
    if diagnosis.story.missing is None:
        parts.append(Padding(_text(str(diagnosis.story)), (0, 1)))
    if diagnosis.notes:
        notes = "\n".join(f"- {note.sentence}" for note in diagnosis.notes)
        parts += [Padding(Text("What could not be known", style="bold"), (0, 1)), Padding(_text(notes), (0, 1))]
    return parts


def _panel(finding: "Finding", words: str) -> "RenderableType":
    """One finding: what ``words`` say of it, a table of the evidence, the rule, and what to try, the best fit first."""
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
    title = _text(f"{finding.name} ({finding.severity})", f"bold {style}")
    said = [_text(words)] if words else []
    body = Group(*said, *([evidence] if finding.evidence else []), *rule, *advice)
    return Panel(body, title=title, title_align="left", border_style=style)


def _text(words: str, style: str = "") -> "Text":
    """Text that stays text, whatever markup or controls a run's names hold."""
    from rich.text import Text

    return Text("\n".join(printable(line) for line in words.splitlines()), style=style)
