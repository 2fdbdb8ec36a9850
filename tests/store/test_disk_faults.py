"""A disk that is full, gone, or comes back: no error for the caller, and the run says what is missing."""

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from graddiag import diagnose, list_runs, schema
from graddiag.errors import RunFormatError
from graddiag.run import MissingRows
from graddiag.store import RunWriter, load_run, restore_run, trash_run, trashed_runs
from graddiag.store.index import PartFile
from graddiag.store.part_writer import MAX_RANGES, _with
from graddiag.store.parts import write_part
from tests.store.runs import layer_rows, manifest

WARNING = r"graddiag cannot write run .*The training continues unchanged"


def disk_warning(match: str = WARNING) -> "AbstractContextManager[pytest.WarningsRecorder]":
    return pytest.warns(RuntimeWarning, match=match)


def write(writer: RunWriter, steps: range) -> None:
    for step in steps:
        writer.append("steps", {"step": step, "loss": 1.0})
    writer.flush()


def block(writer: RunWriter, table: str = "steps") -> Path:
    """Makes the disk refuse the table's parts: root may write everywhere, so a file stands where the folder should."""
    folder, aside = writer.path / table, writer.path.parent / f"{table} aside"
    if folder.is_dir():
        folder.rename(aside)
    folder.write_text("")
    return aside


def unblock(writer: RunWriter, table: str = "steps") -> None:
    folder, aside = writer.path / table, writer.path.parent / f"{table} aside"
    folder.unlink()
    if aside.is_dir():
        aside.rename(folder)


def test_rows_wait_for_a_disk_that_comes_back(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest()) as writer:
        write(writer, range(3))
        block(writer)
        with disk_warning():
            write(writer, range(3, 6))
        with warnings.catch_warnings(action="error"):  # one warning in a run
            write(writer, range(6, 9))
        unblock(writer)
        write(writer, range(9, 12))
        assert load_run(writer.path).steps["step"].tolist() == list(range(12))
    run = load_run(writer.path)
    assert (run.manifest.status, run.manifest.missing) == ("finished", ())
    assert run.events.empty


def test_a_disk_that_stays_away_is_an_incomplete_run_and_no_error(tmp_path: Path) -> None:
    with disk_warning(), RunWriter(tmp_path, manifest()) as writer:
        write(writer, range(3))
        block(writer)
        write(writer, range(3, 6))
        unblock(writer)
        block(writer, "timesteps")
        writer.append("timesteps", layer_rows(6))
        write(writer, range(6, 7))
    run = load_run(writer.path)
    assert run.manifest.status == "finished, recording incomplete"
    (missing,) = run.manifest.missing
    assert (missing.table, missing.first_step, missing.last_step, missing.rows) == ("timesteps", 6, 6, 4)
    assert str(missing) == "4 rows of table timesteps, step 6, could not be written: File exists"
    assert run.steps["step"].tolist() == list(range(7))
    assert list_runs(tmp_path)["status"].tolist() == ["finished, recording incomplete"]
    (note,) = [note.sentence for note in diagnose(run).notes if note.name == "rows-missing"]
    assert note == f"The recording is incomplete: {missing}."


def test_what_does_not_fit_in_memory_is_dropped_from_the_oldest_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graddiag.store.part_writer.KEPT_BYTES", 200)
    with RunWriter(tmp_path, manifest()) as writer:
        write(writer, range(2))
        block(writer)
        with disk_warning():
            for step in range(2, 40):
                write(writer, range(step, step + 1))
        unblock(writer)
        write(writer, range(40, 41))
        running = load_run(writer.path)
        (missing,) = running.manifest.missing
        kept = running.steps["step"].tolist()
        assert (missing.table, missing.first_step) == ("steps", 2)
        assert kept == [0, 1, *range(missing.last_step + 1, 41)]
        assert missing.rows == 41 - len(kept)
        write(writer, range(41, 42))
        (event,) = load_run(writer.path).events.to_dict("records")
        assert (event["kind"], event["where"], event["value"]) == (schema.EVENT_ROWS_LOST, "steps", missing.rows)
    assert load_run(writer.path).manifest.status == "finished, recording incomplete"


def test_ranges_of_missing_rows_are_joined_and_bounded() -> None:
    known: tuple[MissingRows, ...] = ()
    for step in range(0, 10 * MAX_RANGES, 2):
        known = _with(known, MissingRows(table="steps", first_step=step, last_step=step, rows=1, reason="full"))
    assert len(known) == MAX_RANGES
    assert sum(each.rows for each in known) == 5 * MAX_RANGES
    assert known[-1].last_step == 10 * MAX_RANGES - 2
    joined = _with(known[:1], MissingRows(table="steps", first_step=1, last_step=3, rows=3, reason="full"))
    assert [(each.first_step, each.last_step, each.rows) for each in joined] == [(0, 3, 4)]


def remove_run(writer: RunWriter, root: Path) -> None:
    shutil.rmtree(writer.path)


def remove_root(writer: RunWriter, root: Path) -> None:
    shutil.rmtree(root)


def replace_root(writer: RunWriter, root: Path) -> None:
    shutil.rmtree(root)
    root.write_text("a file")


@pytest.mark.parametrize("remove", [remove_run, remove_root, replace_root])
def test_a_folder_that_is_gone_never_reaches_the_caller(remove: Any, tmp_path: Path) -> None:
    root = tmp_path / "root"
    with disk_warning() as caught, RunWriter(root, manifest()) as writer:
        write(writer, range(3))
        remove(writer, root)
        write(writer, range(3, 6))
        writer.amend(task="another")
        write(writer, range(6, 9))
    assert len(caught) == 1
    assert writer.manifest.status == "finished, recording incomplete"
    with pytest.raises(RunFormatError):
        load_run(writer.path)


def test_a_run_that_was_put_in_the_trash_while_it_is_written_goes_on_when_it_is_back(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest()) as writer:
        write(writer, range(3))
        trash_run(tmp_path, writer.path.name, killed=True)
        with disk_warning():
            write(writer, range(3, 6))
        restore_run(tmp_path, trashed_runs(tmp_path)[0])
        write(writer, range(6, 9))
    run = load_run(writer.path)
    assert run.steps["step"].tolist() == list(range(9))
    assert run.manifest.status == "finished"


def test_a_part_that_was_lost_ends_the_joining_and_nothing_else(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest(), part_steps=1) as writer:
        write(writer, range(5))
        (writer.path / "steps" / "000002.parquet").unlink()
        write(writer, range(5, 40))
    with pytest.raises(RunFormatError, match=r"a part of table steps that its index names is gone"):
        load_run(writer.path).steps  # noqa: B018
    assert load_run(writer.path).manifest.status == "finished"
    assert len(list((writer.path / "steps").glob("*.parquet"))) == 39


def test_an_exception_of_the_training_is_the_one_that_is_raised(tmp_path: Path) -> None:
    with (
        disk_warning(),
        pytest.raises(ValueError, match="the training") as caught,
        RunWriter(tmp_path, manifest()) as writer,
    ):
        block(writer)
        writer.append("steps", {"step": 0})
        raise ValueError("the training")
    assert caught.value.__context__ is None
    run = load_run(writer.path)
    assert (run.manifest.status, run.manifest.error) == ("failed", "ValueError: the training")
    assert run.manifest.missing[0].rows == 1


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB of its own, where root may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_and_space_again(tmpfs: Path) -> None:
    with RunWriter(tmpfs, manifest()) as writer:
        write(writer, range(3))
        ballast = tmpfs / "ballast"
        with pytest.raises(OSError, match="No space left"), ballast.open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        with disk_warning(r"No space left on device\. The training continues"):
            write(writer, range(3, 6))
        ballast.unlink()
        write(writer, range(6, 9))
    run = load_run(writer.path)
    assert run.steps["step"].tolist() == list(range(9))
    assert run.manifest.status == "finished"
    assert not list(writer.path.rglob("*.tmp"))


def test_a_disk_that_turns_read_only(tmpfs: Path) -> None:
    with RunWriter(tmpfs, manifest()) as writer:
        write(writer, range(3))
        subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
        with disk_warning(r"Read-only file system\. The training continues"):
            write(writer, range(3, 6))
            writer.close()
    assert load_run(writer.path).manifest.status == "running"  # nothing could be written; never plain finished
    subprocess.run(["mount", "-o", "remount,rw", str(tmpfs)], check=True)
    assert list_runs(tmpfs)["steps"].tolist() == [3]


WITHOUT_HANDLES = """
import os, resource, sys, warnings
from graddiag.store import RunWriter
from graddiag.store.parts import write_part
from tests.store.runs import manifest
warnings.simplefilter("always")
with RunWriter(sys.argv[1], manifest()) as writer:
    writer.append("steps", {"step": 0}); writer.flush()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    writer.append("steps", {"step": 1}); writer.flush()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    writer.append("steps", {"step": 2})
print(writer.manifest.status)
"""

WITHOUT_ROOM_IN_A_FILE = """
import resource, signal, sys, warnings
from graddiag.store import RunWriter
from graddiag.store.parts import write_part
from tests.store.runs import manifest, layer_rows
warnings.simplefilter("always")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with RunWriter(sys.argv[1], manifest()) as writer:
    writer.append("steps", {"step": 0}); writer.flush()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    writer.append("steps", {"step": 1}); writer.flush()
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    writer.append("steps", {"step": 2})
print(writer.manifest.status)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of Unix")
@pytest.mark.parametrize(
    ("code", "reason"), [(WITHOUT_HANDLES, "Too many open files"), (WITHOUT_ROOM_IN_A_FILE, "File too large")]
)
def test_a_limit_of_the_process_is_a_warning_and_the_rows_come_later(code: str, reason: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "finished\n"), done.stderr
    assert done.stderr.count("graddiag cannot write run") == 1
    assert reason in done.stderr
    (folder,) = tmp_path.iterdir()
    assert load_run(folder).steps["step"].tolist() == [0, 1, 2]


FORKED = """
import os, sys
from graddiag.store import RunWriter
from graddiag.store.parts import write_part
from tests.store.runs import manifest
writer = RunWriter(sys.argv[1], manifest())
writer.append("steps", {"step": 0}); writer.flush()
child = os.fork()
if not child:
    for step in range(1000):
        writer.append("steps", {"step": step})
    writer.flush(); writer.amend(task="of the child"); writer.close("failed", "of the child")
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
writer.append("steps", {"step": 1})
writer.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.timeout(120)
def test_a_forked_child_leaves_the_run_alone(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORKED, str(tmp_path)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.iterdir()
    run = load_run(folder)
    assert run.steps["step"].tolist() == [0, 1]
    assert (run.manifest.status, run.manifest.task, run.manifest.error) == ("finished", None, None)


def test_parts_and_index_are_synced_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data before the file that names it, entries of folders too: what a power loss leaves can be read."""
    order: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        order.append("sync " + Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        sync(handle)

    def replaced(source: Path, target: Path) -> None:
        order.append(f"place {Path(target).name}")
        replace(source, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this test finds the names of handles in /proc")
    with RunWriter(tmp_path, manifest("run")) as writer:
        monkeypatch.setattr("graddiag.store.files.os.fsync", synced)
        monkeypatch.setattr("graddiag.store.files.os.replace", replaced)
        write(writer, range(2))
        named = [("temporary" if ".tmp" in each else each) for each in order]
    assert named == [
        *("sync run", "temporary", "place 000001.parquet", "sync steps"),
        *("temporary", "place tables.json", "sync run"),
    ]


def test_rows_that_no_file_can_hold_are_missing_and_the_others_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunWriter(tmp_path, manifest()) as writer:
        monkeypatch.setattr("graddiag.store.part_writer.write_part", refuse_timesteps)
        writer.append("timesteps", layer_rows(0))
        write(writer, range(3))
    run = load_run(writer.path)
    assert [str(each) for each in run.manifest.missing] == [
        "4 rows of table timesteps, step 0, could not be written: ArrowInvalid: no"
    ]
    assert len(run.steps) == 3


def refuse_timesteps(folder: Path, table: str, *rest: Any) -> PartFile:
    if table == "timesteps":
        raise pa.ArrowInvalid("no")
    return write_part(folder, table, *rest)
