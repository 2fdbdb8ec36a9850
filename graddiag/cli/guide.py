"""``graddiag guide``: one page for a program or a coding agent that uses graddiag."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from graddiag import __version__
from graddiag.cli.json_schema import SCHEMAS, schema_of
from graddiag.cli.terminal import echo, text_width

LOOP: Final = """\
import graddiag

with graddiag.watch(model, optimizer, run="NAME") as recorder:
    for inputs, targets in batches:
        loss = loss_of(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        recorder.log(loss=loss)  # val_loss=... too where there is one
        optimizer.step()
"""
EXIT_CODES: Final[Mapping[int, str]] = {
    0: "done; of diagnose: no run has what --fail-on names",
    1: "diagnose: a run has what --fail-on names; sweep: a training failed",
    2: "wrong input: no such run, option or name; one sentence on stderr says which",
    130: "interrupted by Ctrl-C; what was recorded so far can be read",
}
# of the JSON of each command, as its schema has them
FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "diagnose": {
        "source.run": "name of the run",
        "outcome.name": "learned, learning, overfits, stuck, diverged, broken or unknown",
        "outcome.sentence": "the same in words, with the numbers",
        "cause": "name of the first cause, null where nothing in the gradient explains the outcome",
        "causes": "findings that may explain the outcome, the best evidence first",
        "do_first.text": "what to do; do_first is null where there is nothing to do",
        "do_first.action": "the same as an identifier",
        "findings": "all: name, severity (severe, warning, info), sentence, evidence, advice",
        "notes": "what could not be known, and what it would take",
    },
    "list": {
        "run": "folder relative to the root",
        "status": "running, finished, failed, interrupted, damaged, ...",
        "outcome": "as in diagnose; null while it is pending",
        "cause": "as in diagnose",
        "final_loss": "mean over the last 5% of the steps",
    },
    "compare": {
        "arms": "the first is the baseline",
        "effects": "one for each arm and metric: difference, interval, n, note",
        "differences": "settings that are not the same in all arms",
        "missing": "why nothing could be compared, else null",
    },
}

SchemaName = StrEnum("SchemaName", list(SCHEMAS))  # type: ignore[misc]
Asked = Annotated[
    SchemaName | None, typer.Option("--schema", help="Print the JSON schema of what this command prints with --json.")
]


def guide(ctx: typer.Context, schema: Asked = None) -> None:
    """Print one page for programs and coding agents: commands, JSON, exit codes, how to record a loop."""
    if schema is not None:
        echo(json.dumps(schema_of(schema.value), indent=2))
        return
    assert ctx.parent is not None
    commands = {name: str(each.help) for name, each in ctx.parent.command.commands.items()}  # type: ignore[attr-defined]
    echo("\n".join(page(commands, text_width(80))))


def page(commands: Mapping[str, str], width: int) -> Iterator[str]:
    """The lines of the guide; ``commands`` has the help of each by its name."""
    yield f"graddiag {__version__}: records the gradient through time of a recurrent PyTorch"
    yield "network while it trains, and says whether it learned, why not, what to do first."
    yield from ("", "Record a training: add the with, and log the loss. Nothing else changes.", "")
    yield from (f"    {line}".rstrip() for line in LOOP.splitlines())
    yield from ("", "Runs are folders: runs/NAME, or runs/EXPERIMENT/NAME with experiment=....")
    yield from ("In Python: graddiag.diagnose(graddiag.load_run(path)).to_dict()", "")
    yield from ("Read it (JSON on stdout, messages on stderr):", "")
    yield from ("    graddiag list --root runs --json", "    graddiag diagnose runs/NAME --json")
    yield from ("    graddiag compare runs/EXPERIMENT --json", "    graddiag diagnose runs/NAME --fail-on severe")
    yield from _fields(width)
    yield from ("", "NaN and inf are the strings nan, inf, -inf; what was not measured is null.")
    yield from ("Full schemas: graddiag guide --schema diagnose|list|compare", "", "Exit codes")
    yield from (line for code, text in EXIT_CODES.items() for line in _item(str(code), text, 5, width))
    yield from ("", "Commands (graddiag COMMAND --help has the options)")
    longest = max(map(len, commands))
    for name, about in commands.items():
        yield from _item(name, " ".join(about.split("\n\n")[0].split()), longest + 2, width)


def _fields(width: int) -> Iterator[str]:
    shapes = {"diagnose": "an array, one object a run", "list": "an array, one object a run", "compare": "an object"}
    for command, fields in FIELDS.items():
        yield from ("", f"{command} --json: {shapes[command]}")
        for name, text in fields.items():
            yield from _item(name, text, 18, width)


def _item(name: str, text: str, column: int, width: int) -> list[str]:
    first = f"  {name.ljust(column)}"
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=" " * (column + 2))


def field_at(schema: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    """The schema of a field by its path (``outcome.name``); None where there is none."""
    place: Any = schema.get("items", schema)
    for name in path.split("."):
        place = _resolved(schema, place)
        if name not in place.get("properties", {}):
            return None
        place = place["properties"][name]
    return dict(place)


def _resolved(schema: Mapping[str, Any], place: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference leads to, also that of a field which may be null."""
    for each in (place, *place.get("anyOf", ())):
        if "$ref" in each:
            found: Mapping[str, Any] = schema["$defs"][each["$ref"].rsplit("/", 1)[1]]
            return found
    return place
