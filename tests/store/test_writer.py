import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graddiag.errors import InputError, SettingError
from graddiag.store import RunWriter, check_scalar_name, load_run, read_manifests
from tests.store.runs import layer_rows, manifest


class UntellableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text either")


def fail(writer: RunWriter, error: BaseException) -> None:
    writer.append("steps", {"step": 0})
    raise error


def test_a_run_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest()) as writer:
        run = load_run(writer.path)
        assert run.steps.empty
        writer.append("steps", {"step": 0})
        assert load_run(writer.path).steps.empty
        writer.flush()
        assert len(load_run(writer.path).steps) == 1
        assert load_run(writer.path).manifest.status == "running"


def test_a_run_that_was_loaded_stays_as_it_was_while_it_is_written(tmp_path: Path) -> None:
    """Two readings of it fit together: as many steps in one as in the other."""
    with RunWriter(tmp_path, manifest(), part_steps=1) as writer:
        writer.append("steps", {"step": 0})
        writer.flush()
        run = load_run(writer.path)
        losses = run.read("steps", columns=["loss"])
        writer.append("steps", {"step": 1})
        writer.flush()
        assert len(run.steps) == len(losses) == 1
        assert len(load_run(writer.path).steps) == 2


def test_a_part_is_closed_after_its_steps_and_holds_whole_steps(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest(), part_steps=3, part_seconds=3600) as writer:
        for step in range(7):
            for layer in (0, 1):
                writer.append("timesteps", layer_rows(step) | {"layer": layer})
    parts = sorted((writer.path / "timesteps").glob("*.parquet"))
    assert [part.name for part in parts] == ["000001.parquet", "000002.parquet", "000003.parquet"]
    frame = load_run(writer.path).timesteps
    assert frame.groupby("step").size().tolist() == [8] * 7


def test_a_part_is_closed_after_its_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("graddiag.store.open_parts.time.monotonic", lambda: clock[0])
    with RunWriter(tmp_path, manifest(), part_seconds=2.0) as writer:
        for clock[0], step in ((10.0, 0), (11.0, 1), (12.5, 2)):
            writer.append("steps", {"step": step})
        writer.append("timesteps", layer_rows(3))
        writer.flush()
        assert [p.name for p in (writer.path / "steps").iterdir()] == ["000001.parquet"]


@pytest.mark.parametrize(
    ("table", "columns", "message"),
    [
        ("weights", {"step": 0}, "no table 'weights'"),
        ("timesteps", layer_rows(0) | {"ppl": 1.0}, "table timesteps has no column 'ppl'; it has step, module"),
        ("timesteps", layer_rows(0, 3, grad_h=[1.0]), "unequal length: timestep 3, grad_h 1"),
        ("timesteps", {"step": 0}, "needs its key 'module', which was left out or null"),
        ("steps", {"step": [0, None]}, "needs its key 'step', which was left out or null"),
        ("steps", {"step": 0.5}, r"column 'step' of table steps holds int32; it was given 0.5"),
        ("steps", {"step": 2**40}, "holds int32"),
        ("steps", {"step": np.array([2**40])}, "a number outside -2147483648 to 2147483647"),
        ("steps", {"step": 0, "loss": "low"}, "column 'loss' of table steps holds float64; it was given 'low'"),
        ("steps", {"step": 0, "loss": [[1.0]]}, r"an array of shape \(1, 1\)"),
        ("timesteps", layer_rows(0) | {"module": 3}, "column 'module' of table timesteps holds string"),
        ("events", {"step": 0, "kind": "spike", "where": ["a", 1]}, "not all of them are text"),
    ],
)
def test_what_a_table_cannot_hold_is_refused_and_nothing_is_added(
    tmp_path: Path, table: str, columns: dict[str, Any], message: str
) -> None:
    with RunWriter(tmp_path, manifest()) as writer:
        with pytest.raises(SettingError, match=message):
            writer.append(table, columns)
        writer.flush()
        assert load_run(writer.path).steps.empty


def test_appended_arrays_are_copied(tmp_path: Path) -> None:
    grad_h = np.ones(4, dtype=np.float32)
    with RunWriter(tmp_path, manifest()) as writer:
        writer.append("timesteps", layer_rows(0, grad_h=grad_h))
        grad_h[:] = 7
    assert load_run(writer.path).timesteps["grad_h"].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ValueError("no"), "failed", "ValueError: no"),
        (ValueError("no \udc80 text"), "failed", "ValueError: no ? text"),
        (UntellableError("no"), "failed", "UntellableError"),
        (KeyboardInterrupt("no"), "interrupted", None),
        (SystemExit(0), "finished", None),
        (SystemExit(), "finished", None),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (SystemExit("no"), "failed", "SystemExit: no"),
    ],
)
def test_leaving_the_with_by_an_exception_says_how_it_ended(
    tmp_path: Path, error: BaseException, status: str, text: str | None
) -> None:
    with pytest.raises(type(error)) as caught, RunWriter(tmp_path, manifest()) as writer:
        fail(writer, error)
    assert caught.value is error
    run = load_run(writer.path)
    assert (run.manifest.status, run.manifest.error, len(run.steps)) == (status, text, 1)


def test_a_closed_run_takes_no_rows_and_may_be_closed_again(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, manifest())
    writer.close("failed", "why")
    writer.close()
    assert load_run(writer.path).manifest.status == "failed"
    with pytest.raises(SettingError, match="is closed; nothing can be appended"):
        writer.append("steps", {"step": 0})


def test_a_root_that_cannot_be_written_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file")
    with pytest.raises(InputError, match=r"root cannot be written: .*(exists|Not a directory)"):
        RunWriter(tmp_path / "root", manifest(experiment="e"))
    assert os.listdir(tmp_path) == ["root"]


@pytest.mark.parametrize("setting", [{"part_steps": 0}, {"part_seconds": 0}])
def test_a_part_needs_a_size(tmp_path: Path, setting: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="must be positive"):
        RunWriter(tmp_path, manifest(), **setting)


@pytest.mark.parametrize("name", ["ppl", "loss", "lr", "größe", "valid/loss", "<b>"])
def test_a_scalar_may_have_any_name_that_is_free(name: str) -> None:
    check_scalar_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("grad_norm", "norm of the gradient before clipping"),
        ("step", "which graddiag records itself"),
        (" ", "not empty"),
    ],
)
def test_a_scalar_cannot_take_a_name_of_graddiags_own(name: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        check_scalar_name(name)


ENDLESS = """
import sys
from itertools import count
from tests.store.runs import layer_rows, manifest
from graddiag.store import RunWriter

writer = RunWriter(sys.argv[1], manifest(), part_steps=5)
for step in count():
    writer.append("steps", {"step": step, "loss": float(step)})
    writer.append("timesteps", layer_rows(step))
    if step == 200:
        print("under way", flush=True)
"""

UNCLOSED = """
import atexit
import sys
from tests.store.runs import manifest
from graddiag.store import RunWriter

writer = RunWriter(sys.argv[1], manifest())
atexit.register(writer.close, "interrupted")
writer.append("steps", {"step": 0})
"""


def test_a_killed_process_leaves_a_run_that_reads(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", ENDLESS, tmp_path], cwd=root, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"under way\n"
        process.send_signal(signal.SIGKILL)
    (path, left), *others = read_manifests(tmp_path)
    assert (left.status, others) == ("interrupted", [])
    assert json.loads((path / "manifest.json").read_text())["status"] == "running"  # it could not write how it ended
    run = load_run(path)
    steps = len(run.steps)
    assert steps >= 175  # 200 less the open part and those that waited for the disk
    assert run.steps["loss"].tolist() == [*range(steps)]
    counts = run.timesteps.groupby("step").size()
    assert set(counts) == {4}


def test_what_is_left_at_the_end_of_the_process_is_written(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", UNCLOSED, tmp_path], cwd=root, check=True)
    run = load_run(tmp_path / "a-run")
    assert (run.manifest.status, len(run.steps)) == ("interrupted", 1)


def test_rows_that_are_made_later_are_added_in_their_order(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest()) as writer:
        results = [writer.append_later(partial(made, step)) for step in range(3)]
        writer.flush()
        assert [each.result() for each in results] == [None] * 3
    run = load_run(writer.path)
    assert run.steps["step"].tolist() == [0, 1, 2]
    assert run.timesteps.groupby("step").size().tolist() == [4] * 3


def made(step: int) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "steps", {"step": step}
    yield "timesteps", layer_rows(step)


def test_an_error_while_rows_are_made_is_the_result_and_what_came_before_is_kept(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, dict[str, Any]]]:
        yield "steps", {"step": 0}
        raise ZeroDivisionError("no rows")

    with RunWriter(tmp_path, manifest()) as writer:
        assert isinstance(writer.append_later(broken).result(), ZeroDivisionError)
        assert isinstance(writer.append_later(lambda: [("steps", {"loss": 1.0})]).result(), SettingError)
        assert writer.append_later(partial(made, 1)).result() is None
    assert load_run(writer.path).steps["step"].tolist() == [0, 1]
    with pytest.raises(SettingError, match="is closed"):
        writer.append_later(partial(made, 2))
