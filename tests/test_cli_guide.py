"""``graddiag guide``, the JSON schemas, and the workflow of the manual, against the code."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.main import get_command

import graddiag
from graddiag.analysis import OUTCOME_NAMES
from graddiag.cli import app, main
from graddiag.cli.diagnose import _wanted
from graddiag.cli.guide import EXIT_CODES, FIELDS, LOOP, field_at
from graddiag.cli.json_schema import SCHEMAS, schema_of
from scripts.json_schemas import FOLDER, text_of
from tests.dashboards import synthetic

DOCS = Path(__file__).parents[1] / "docs"
COMMANDS = get_command(app).commands


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every awkward run, a pair, a grid of arms, seeds and lengths, and a folder that is damaged."""
    root = tmp_path_factory.mktemp("guide")
    synthetic.write_all(root, [*synthetic.pair(), *synthetic.grid(), *synthetic.awkward().values()])
    damaged = root / "damaged"
    damaged.mkdir()
    (damaged / "manifest.json").write_text("{")
    return root


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_every_command_is_on_the_page_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "guide")
    text = " ".join(page.split())
    for name, command in COMMANDS.items():
        assert f"\n  {name} " in page
        assert " ".join(command.help.split("\n\n")[0].split()) in text
    assert max(map(len, page.splitlines())) <= 80
    assert len(page.splitlines()) < 120


def test_the_command_lines_of_the_page_parse(capsys: pytest.CaptureFixture[str]) -> None:
    lines = re.findall(r"^ +(graddiag .*)$", printed(capsys, "guide"), re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        _, name, *arguments = shlex.split(line)
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert {each for each in arguments if each.startswith("-")} <= known


@pytest.mark.parametrize(("command", "path"), [(c, path) for c, fields in FIELDS.items() for path in fields])
def test_the_fields_of_the_page_are_those_of_the_schema(command: str, path: str) -> None:
    assert field_at(schema_of(command), path) is not None
    assert field_at(schema_of(command), f"{path}.nothing") is None


def test_the_outcomes_of_the_page_are_all() -> None:
    assert set(re.split(r", | or ", FIELDS["diagnose"]["outcome.name"])) == set(OUTCOME_NAMES)


def test_the_loop_of_the_page_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = (
        "import torch\n"
        "model = torch.nn.LSTM(3, 4)\n"
        "optimizer = torch.optim.SGD(model.parameters(), 0.1)\n"
        "batches = [(torch.randn(5, 2, 3), torch.randn(5, 2, 4)) for _ in range(3)]\n"
        "def loss_of(outputs, targets):\n"
        "    return (outputs[0] - targets).square().mean()\n"
    )
    exec(before + LOOP, {})
    run = graddiag.load_run(tmp_path / "runs" / "NAME")
    assert (run.manifest.status, len(run.steps), bool(run.steps["loss"].notna().all())) == ("finished", 3, True)


def test_the_exit_codes(root: Path, tmp_path: Path) -> None:
    broken = tmp_path / synthetic.write(tmp_path, synthetic.Made("broken", broken_from=5))
    found = {
        0: main(["diagnose", str(broken), "--fail-on", "vanishing"]),
        1: main(["diagnose", str(broken), "--fail-on", "non-finite"]),
        2: main(["diagnose", str(tmp_path / "nothing")]),
    }
    assert list(found) == list(found.values())
    assert set(EXIT_CODES) == {*found, 130}
    table = re.findall(r"^\| (\d+) \| (.*) \|$", (DOCS / "agents.md").read_text(), re.MULTILINE)
    assert [(int(code), text.replace("`", "")) for code, text in table] == list(EXIT_CODES.items())


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_of_the_manual_is_that_of_the_code(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    kept = (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
    assert kept == text_of(name), "python -m scripts.json_schemas writes it anew"
    assert json.loads(printed(capsys, "guide", "--schema", name)) == json.loads(kept)


def checked(name: str, found: Any) -> None:
    schema = schema_of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(found)


def test_lists_fit_their_schema(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "list", "--root", str(root), "--json"))
    checked("list", found)
    assert "damaged" in {each["status"] for each in found}


def test_diagnoses_fit_their_schema(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(path.parent) for path in root.rglob("manifest.json") if path.parent.name != "damaged"]
    found = json.loads(printed(capsys, "diagnose", *folders, "--json"))
    assert len(found) == len(folders)
    checked("diagnose", found)


@pytest.mark.parametrize("experiment", ["pair", "grid"])
def test_comparisons_fit_their_schema(root: Path, capsys: pytest.CaptureFixture[str], experiment: str) -> None:
    checked("compare", json.loads(printed(capsys, "compare", str(root / experiment), "--json")))


def test_a_schema_refuses_what_has_another_form(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = json.loads(printed(capsys, "diagnose", str(root / "nan"), "--json"))
    for wrong in ({**found, "verdict": 3}, {**found, "more": 1}, {k: v for k, v in found.items() if k != "cause"}):
        with pytest.raises(jsonschema.ValidationError):
            checked("diagnose", [wrong])


def test_the_workflow_calls_what_exists() -> None:
    workflow = yaml.safe_load((DOCS / "ci" / "graddiag.yml").read_text(encoding="utf-8"))
    (job,) = workflow["jobs"].values()
    scripts = "\n".join(step.get("run", "") for step in job["steps"])
    lines = [line.strip() for line in scripts.splitlines() if line.strip().startswith("graddiag ")]
    assert len(lines) == 4
    for line in lines:
        _, name, *arguments = shlex.split(line.partition(" | ")[0].partition(" > ")[0])
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert {each for each in arguments if each.startswith("-")} <= known
        if "--fail-on" in arguments:
            assert _wanted(arguments[arguments.index("--fail-on") + 1])
