"""Nothing in a run folder is ever executed or unpickled: not by the source, and not of a folder full of traps."""

import ast
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graddiag import list_runs
from graddiag.cli import main
from graddiag.cli.dashboard import app_script, streamlit_command
from graddiag.jobs import control
from graddiag.jobs.files import read_job
from graddiag.jobs.values import JobRequest
from graddiag.overview import overview
from tests.dashboards.conftest import Open, open_page, root
from tests.dashboards.synthetic import Made, pair, write_all
from tests.dashboards.test_pages import words
from tests.waiting import until

__all__ = ["open_page", "root"]  # fixtures

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = sorted(path for folder in ("graddiag", "dashboards") for path in (ROOT / folder).rglob("*.py"))
READERS: Final = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "runpy", "imp"}
RUNNERS: Final = {"eval", "exec", "compile", "__import__", "system", "popen", "spec_from_file_location"}
READING: Final = {"read_pickle", "read_hdf", "from_string", "load_module", "exec_module"}
INNOCENT: Final = {"re.compile", "torch.compile", "model.eval", "platform.system"}
ALLOWED: Final = {"checkpoint.py: import pickle"}  # for the name of the error that torch.load raises


def danger(source: str) -> list[str]:
    """Whatever in ``source`` could make code or an object out of what is read."""
    nodes = list(ast.walk(ast.parse(source)))
    imported = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    return [
        *(f"import {name}" for name in imported if name.partition(".")[0] in READERS),
        *(ast.unparse(call.func) for call in calls if _runs(call)),
    ]


def _runs(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    given = {each.arg: ast.unparse(each.value) for each in call.keywords}
    last = name.rpartition(".")[2]
    return name not in INNOCENT and (
        last in RUNNERS
        or last in READING
        or name.startswith("pickle.")
        or (name == "torch.load" and given.get("weights_only") != "True")
        or given.get("allow_pickle", "False") != "False"
        or given.get("shell", "False") != "False"
    )


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from yaml import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "exec(text)",
        "pd.read_pickle(path)",
        "subprocess.run(text, shell=True)",
        "pickle.loads(content)",
    ],
)
def test_what_is_dangerous_is_seen(source: str) -> None:
    assert danger(source)


def test_no_source_makes_code_or_objects_of_what_it_reads() -> None:
    assert len(SOURCES) > 300
    found = {f"{path.name}: {each}" for path in SOURCES for each in danger(path.read_text())}
    assert found == ALLOWED


def test_of_pickle_the_name_of_its_error_alone_is_used() -> None:
    nodes = ast.walk(ast.parse((ROOT / "graddiag" / "checkpoint.py").read_text()))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle"}
    assert used == {"UnpicklingError"}


class Trap:
    """Whoever unpickles it creates the file ``canary``."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self.canary), os.O_CREAT)


MODULES: Final = (
    "__init__",
    "conftest",
    "sitecustomize",
    "usercustomize",
    "torch",
    "pandas",
    "streamlit",
    "graddiag",
    "ui",
)


def set_traps(folder: Path, canary: Path) -> None:
    """Files that run when they are imported, unpickled or opened in a browser."""
    for name in MODULES:
        (folder / f"{name}.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
    (folder / "streamlit.pth").write_text(f"import os; os.open({str(canary)!r}, os.O_CREAT)\n")
    for name in ("manifest.pkl", "steps.pickle", "model.pt", "cache.joblib"):
        (folder / name).write_bytes(pickle.dumps(Trap(canary)))
    (folder / "index.html").write_text("<script>alert(1)</script>")


def poison(folder: Path, canary: Path, column: str) -> None:
    """The steps' Parquet: ``column`` as an extension type of a pickled class, and pandas metadata that name one."""
    (path,) = (folder / "steps").glob("*.parquet")
    table = pq.read_table(path)
    values = table.column(column) if column in table.column_names else pa.array([0.0] * table.num_rows)
    kind = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": pickle.dumps(Trap(canary)),
    }
    field = pa.field(column, pa.float64(), metadata=kind)
    if column in table.column_names:
        table = table.set_column(table.column_names.index(column), field, values)
    else:
        table = table.append_column(field, values)
    names = {"name": column, "field_name": column, "pandas_type": "object", "numpy_type": "os.system", "metadata": None}
    said = {"index_columns": [], "columns": [names], "creator": {"library": "os", "version": "1"}}
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(said)}), path)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "it-ran"


@pytest.fixture
def trapped(root: Path, canary: Path) -> list[str]:
    """A pair full of traps, the second with a column of its own; and a run whose loss is one."""
    links = write_all(root, [*pair(), Made("poisoned")])
    for link, column in zip(links, ("evil", "evil", "loss"), strict=True):
        set_traps(root / link, canary)
        poison(root / link, canary, column)
    set_traps(root, canary)
    odd = root / "odd"
    odd.mkdir()
    (odd / "manifest.json").write_text(json.dumps({"schema_version": 1, "id": {"$type": "os.system"}, "name": [1]}))
    (odd / "tables.json").write_text(json.dumps({"tables": {"steps": [{"file": "../../x.pkl", "rows": True}]}}))
    set_traps(odd, canary)
    return links


def test_a_trap_goes_off_where_it_is_touched(canary: Path) -> None:
    pickle.loads(pickle.dumps(Trap(canary)))
    assert canary.exists()


def test_runs_full_of_traps_are_listed_diagnosed_and_reported(
    root: Path, trapped: list[str], canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    off, on, poisoned = (str(root / link) for link in trapped)
    monkeypatch.chdir(root)
    assert len(list_runs(root)) == 4
    assert {entry.status for entry in overview(root)} == {"finished", "damaged"}
    for command in (["list", "--root", str(root)], ["diagnose", off], ["compare", off, on]):
        assert main(command) == 0
    assert main(["report", off, on, "--out", str(tmp_path / "report.html")]) == 0
    assert main(["export", off, "--to", "csv", "--out", str(tmp_path / "csv")]) == 0
    main(["diagnose", poisoned])
    assert main(["diagnose", str(root / "odd")]) == 2
    assert not canary.exists()


def test_runs_full_of_traps_are_opened_on_every_page(
    open_page: Open, root: Path, trapped: list[str], canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / trapped[0])
    for page in (
        open_page("runs"),
        *(open_page("run", run=link) for link in (*trapped, "odd")),
        open_page("compare", run=trapped[:2]),
        open_page("experiment", experiment="pair"),
        open_page("report", run=trapped[:2], preview="true"),
        open_page("lab"),
    ):
        assert not page.exception
    assert "Could not open" in words(open_page("run", run="odd"))
    assert not canary.exists()


def test_a_job_that_is_started_from_within_a_run_imports_nothing_of_it(
    root: Path, trapped: list[str], canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / trapped[0])
    job = control.start(root, JobRequest(title="version", arguments=("--version",), steps=1))
    until(lambda: not read_job(root, job.id).at_work)
    assert read_job(root, job.id).code == 0
    assert not canary.exists()


def test_a_dashboard_that_is_started_from_within_a_run_imports_nothing_of_it(
    root: Path, trapped: list[str], canary: Path
) -> None:
    command = streamlit_command(app_script(), root, 1)
    start = command[: command.index("run")]
    done = subprocess.run([*start, "--version"], cwd=root / trapped[0], capture_output=True, text=True, check=True)
    assert "Streamlit, version" in done.stdout
    assert not canary.exists()
    assert start[0] == sys.executable
