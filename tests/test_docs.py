"""The manual against the code: python blocks run, command lines parse, tables are those of the schema."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from graddiag import schema
from graddiag.cli import app
from tests.fresh_process import run_code
from tests.needs import needs

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(graddiag [a-z][^`]*)`")
OPTIONAL = ("lightning", "transformers", "tensorboard", "wandb", "mlflow")
LINK = re.compile(r"\]\((?!http)([^)#]+)[^)]*\)")


def python_blocks() -> Iterator[object]:
    for page in PAGES:
        blocks = [match for match in BLOCK.finditer(page.read_text()) if match["language"] == "python"]
        for number, match in enumerate(blocks):
            yield pytest.param(match["code"], id=f"{page.name}-{number}")


def command_lines() -> Iterator[object]:
    """Lines of code, fenced or indented, and code in the text, that start with graddiag."""
    for page in PAGES:
        text = page.read_text()
        fenced = [m["code"] for m in BLOCK.finditer(text) if m["language"] in {"", "sh", "bash", "console"}]
        lines = [line.strip() for code in fenced for line in code.replace("\\\n", " ").splitlines()]
        prose = BLOCK.sub("", text)
        lines += [line.strip() for line in prose.splitlines() if line.startswith("    ")] + INLINE.findall(prose)
        commands = [line.removeprefix("$ ") for line in lines]
        for line in dict.fromkeys(line for line in commands if line.startswith("graddiag ")):
            yield pytest.param(line, id=f"{page.name}-{line}")


@pytest.mark.slow
@pytest.mark.parametrize("code", list(python_blocks()))
def test_python_blocks_run(code: str, tmp_path: Path) -> None:
    used = [library for library in OPTIONAL if f"graddiag.integrations.{library}" in code]
    for library in used:
        needs(library, library)
    # a library's own warnings are its own
    status, stderr = run_code(code, tmp_path, "error::RuntimeWarning" if used else "error")
    assert status == 0, stderr


@pytest.mark.parametrize("line", list(command_lines()))
def test_command_lines_name_what_exists(line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    commands = get_command(app).commands
    assert name in commands
    known = {option for parameter in commands[name].params for option in (*parameter.opts, *parameter.secondary_opts)}
    shown = {argument.partition("=")[0] for argument in arguments if argument.startswith("-")}
    assert shown <= known | {"--help"}


def test_the_manual_shows_both() -> None:
    assert list(python_blocks())
    assert list(command_lines())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("table", schema.TABLES.values(), ids=lambda table: table.name)
def test_tables_of_the_manual_are_the_schema(table: schema.Table) -> None:
    text = (ROOT / "docs" / "runs.md").read_text()
    _, _, section = text.partition(f"\n### {table.name}\n")
    rows = [line for line in section.partition("\n### ")[0].splitlines() if line.startswith("| ")]
    assert rows[1:] == [_row(column) for column in table.columns]


def _row(column: schema.Column) -> str:
    cells = (column.name + " (key)" * column.key, column.dtype, column.unit, column.meaning.replace("|", "\\|"))
    return "|".join(["", *(f" {cell} " if cell else " " for cell in cells), ""])
