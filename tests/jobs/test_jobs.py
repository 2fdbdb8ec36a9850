"""Jobs: started, found again, stopped, forgotten; and what is not to be trusted in their folders."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from graddiag import processes
from graddiag.errors import InputError
from graddiag.jobs import control
from graddiag.jobs.control import forget, start, stop
from graddiag.jobs.files import log_of, read_job, read_jobs
from graddiag.jobs.values import Job, JobRequest
from graddiag.store import read_manifests
from tests.waiting import until

ENDLESS = (
    "run",
    "--task",
    "temporal-order",
    "--model",
    "rnn",
    "--steps",
    "10000000",
    "--length",
    "10",
    "--hidden",
    "4",
)
GONE = 2**22 + 1


def ended(root: Path, job: Job) -> Job:
    until(lambda: not read_job(root, job.id).at_work)
    return read_job(root, job.id)


def written(root: Path, process: int, since: str | None, number: int = 0, **files: object) -> str:
    """A job's folder as another dashboard may have left it."""
    name = f"20250101-00000{number}-abcdef"
    folder = root / ".jobs" / name
    folder.mkdir(parents=True)
    job = {"title": f"job {number}", "arguments": ["list"], "process": process, "since": since}
    (folder / "job.json").write_text(json.dumps({**job, "created": datetime.now(UTC).isoformat()}))
    for file, content in files.items():
        (folder / f"{file}.json").write_text(json.dumps(content))
    return name


@pytest.fixture
def restored_interrupt() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_job_runs_and_is_found_again_with_what_it_printed(tmp_path: Path) -> None:
    job = ended(tmp_path, start(tmp_path, JobRequest(title="version", arguments=("--version",), steps=3)))
    assert (job.state, job.code) == ("finished", 0)
    assert job.ended
    assert job.ended >= job.started.created
    assert log_of(tmp_path, job.id, 1)[0].startswith("graddiag ")
    assert read_jobs(tmp_path) == [job]
    assert job.started.steps == 3


def test_a_job_that_fails_says_why(tmp_path: Path) -> None:
    job = ended(tmp_path, start(tmp_path, JobRequest(title="wrong", arguments=("run", "--model", "mlp"))))
    assert (job.state, job.code) == ("failed", 2)
    assert "mlp" in log_of(tmp_path, job.id, 1)[0]


def test_arguments_reach_the_command_as_they_are(tmp_path: Path) -> None:
    odd = "$(touch pwned); `id` | x > y"
    job = ended(tmp_path, start(tmp_path, JobRequest(title="odd", arguments=("list", "--root", odd, "--nonsense"))))
    assert job.state == "failed"
    assert not (Path.cwd() / "pwned").exists()


@pytest.mark.slow
@pytest.mark.parametrize("inherited", [signal.default_int_handler, signal.SIG_IGN], ids=["handled", "ignored"])
def test_stop_closes_the_run_as_interrupted(
    inherited: Callable[..., object] | signal.Handlers, tmp_path: Path, restored_interrupt: None
) -> None:
    """Under a dashboard that nohup started too, whose children inherit that SIGINT is ignored."""
    signal.signal(signal.SIGINT, inherited)
    job = start(tmp_path, JobRequest(title="endless", arguments=(*ENDLESS, "--root", str(tmp_path)), experiment=None))
    until(lambda: any(tmp_path.glob("*/steps")))  # it is training
    assert stop(tmp_path, job.id)
    job = ended(tmp_path, job)
    assert (job.state, job.code) == ("stopped", 130)
    assert [manifest.status for _, manifest in read_manifests(tmp_path)] == ["interrupted"]
    assert not stop(tmp_path, job.id)


@pytest.mark.slow
def test_asked_twice_it_is_ended_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(processes, "signal_group", lambda process, since, number: bool(sent.append(number)) or True)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as process:
        name = written(tmp_path, process.pid, processes.since(process.pid))
        assert stop(tmp_path, name)
        assert read_job(tmp_path, name).state == "stopping"
        assert stop(tmp_path, name)
    assert sent == [2, 15]


def test_a_job_whose_process_is_gone_is_lost(tmp_path: Path) -> None:
    assert read_job(tmp_path, written(tmp_path, GONE, "some boot 1")).state == "lost"


def test_a_number_that_was_used_again_is_not_the_job(tmp_path: Path) -> None:
    name = written(tmp_path, os.getpid(), "another boot 1")
    assert read_job(tmp_path, name).state == "lost"
    assert not stop(tmp_path, name)


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({"ended": {"code": 0, "ended": "2025-01-01T00:00:00Z"}, "asked": {}}, "finished"),
        ({"ended": {"code": -15, "ended": "2025-01-01T00:00:00Z"}, "asked": {}}, "stopped"),
        ({"ended": {"code": -9, "ended": "2025-01-01T00:00:00Z"}}, "failed"),
        ({"ended": {"code": "?"}}, "lost"),
    ],
)
def test_how_it_ended_is_read_from_its_folder(tmp_path: Path, files: dict[str, object], state: str) -> None:
    assert read_job(tmp_path, written(tmp_path, GONE, "some boot 1", **files)).state == state


def test_no_more_than_two_at_once(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as process:
        for number in range(control.AT_ONCE):
            written(tmp_path, process.pid, processes.since(process.pid), number)
        with pytest.raises(InputError, match=r"2 jobs are at work already \(job 1, job 0\)\. Wait for one of them"):
            start(tmp_path, JobRequest(title="third", arguments=("--version",)))
        with pytest.raises(InputError, match=r"is at work\. Stop it first"):
            forget(tmp_path, read_jobs(tmp_path)[0].id)


def test_a_forgotten_job_is_gone_and_its_neighbour_stays(tmp_path: Path) -> None:
    first, second = (written(tmp_path, GONE, "some boot 1", number) for number in range(2))
    forget(tmp_path, first)
    assert [job.id for job in read_jobs(tmp_path)] == [second]


@pytest.mark.parametrize(
    "name", ["..", "../../etc", "", "20250101-000000-abcdef/..", "a" * 22, "20250101-000000-ABCDEF"]
)
def test_a_name_that_is_no_job_is_refused(tmp_path: Path, name: str) -> None:
    for ask in (read_job, stop, forget):
        with pytest.raises(InputError, match="no name of a job"):
            ask(tmp_path, name)


def test_damaged_folders_are_left_out_and_told_when_asked_for(tmp_path: Path) -> None:
    good = written(tmp_path, GONE, "some boot 1", 1)
    bad = written(tmp_path, 1, "process 1 is no job's", 2)
    (tmp_path / ".jobs" / "notes").mkdir()
    shutil.copytree(tmp_path / ".jobs" / good, tmp_path / ".jobs" / "20250101-000003-abcdef")
    (tmp_path / ".jobs" / "20250101-000003-abcdef" / "job.json").write_text("{")
    assert [job.id for job in read_jobs(tmp_path)] == [good]
    with pytest.raises(InputError, match=r"job\.json is missing or damaged"):
        read_job(tmp_path, bad)


def test_no_jobs_yet(tmp_path: Path) -> None:
    assert read_jobs(tmp_path / "nowhere") == []


def test_a_root_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="The job was not started"):
        start(tmp_path / "file", JobRequest(title="x", arguments=("--version",)))


def test_a_null_character_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="null character"):
        start(tmp_path, JobRequest(title="x", arguments=("--version\0",)))


def test_the_supervisor_brings_no_heavy_library() -> None:
    code = "import sys, graddiag.jobs.supervise; print(*{'torch','pandas','pyarrow','pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_what_a_job_leaves_is_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / ".jobs").mkdir(mode=0o777)
    (tmp_path / ".jobs").chmod(0o777)
    before = os.umask(0)
    try:
        job = start(tmp_path, JobRequest(title="list", arguments=("list", "--root", str(tmp_path))))
        ended(tmp_path, job)
        stop(tmp_path, job.id)
    finally:
        os.umask(before)
    folder = tmp_path / ".jobs" / job.id
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (folder.parent, folder, *folder.iterdir())}
    lock = (tmp_path / ".jobs" / "lock").stat().st_mode & 0o777
    assert {name: mode for name, mode in modes.items() if name in (".jobs", job.id)} == {
        ".jobs": "0o700",
        job.id: "0o700",
    }
    assert {"job.json", "said.log", "ended.json"} <= set(modes)
    assert {mode for name, mode in modes.items() if name.endswith((".json", ".log"))} == {"0o600"}
    assert lock == 0o600


def test_a_job_in_the_folder_of_another_user_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = written(tmp_path, os.getpid(), processes.since(os.getpid()))
    assert read_job(tmp_path, name).at_work
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(InputError, match="belongs to another user"):
        read_job(tmp_path, name)
    assert read_jobs(tmp_path) == []
