"""Runs at s3:// of a real S3 server on this machine: written, listed, read, diagnosed, reported; with a network that
fails, and with a process that is killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import graddiag
from graddiag import schema
from graddiag.cli import main
from graddiag.errors import InputError
from graddiag.store import (
    RunWriter,
    load_run,
    mirror_folder,
    read_manifests,
    remote_url,
    send_copies,
    share_index,
    waiting_uploads,
)
from graddiag.store.remote.layout import pack
from graddiag.store.remote.objects import ObjectStore
from tests.store.runs import write_run
from tests.third_party.s3_server import BUCKET, Network, S3Server, counted
from tests.waiting import until

pytestmark = pytest.mark.third_party
pytest.importorskip("s3fs", exc_type=ImportError)
pytest.importorskip("moto", exc_type=ImportError)
RUNS = 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.close()


@pytest.fixture(autouse=True)
def keys(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "very-secret", "AWS_DEFAULT_REGION": "us-east-1"}
    places = {"GRADDIAG_SPOOL": str(tmp_path / "spool"), "GRADDIAG_CACHE": str(tmp_path / "cache")}
    for name, value in {**given, **places, "AWS_ENDPOINT_URL": server.url}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def root(tmp_path: Path) -> str:
    import s3fs

    s3fs.S3FileSystem(skip_instance_cache=True).mkdirs(BUCKET, exist_ok=True)
    return f"s3://{BUCKET}/{tmp_path.name}"


@pytest.fixture
def network(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """What lies between this process and the server."""
    network = Network(server.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", network.url)
    monkeypatch.setattr("graddiag.store.remote.uploader.INTERVAL", 0.1)
    monkeypatch.setattr("graddiag.store.remote.uploader._FIRST", 0.05)
    yield network
    network.close()


def train(
    root: str | Path,
    before: Callable[[int, graddiag.Recorder], None] = lambda step, recorder: None,
    **about: Any,
) -> graddiag.Recorder:
    torch.manual_seed(0)
    model = torch.nn.LSTM(2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="lstm", root=root, seed=0, **about) as recorder:
        for step in range(12):
            before(step, recorder)
            optimizer.zero_grad()
            loss = model(torch.randn(5, 2, 2))[0].square().mean()
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()
    return recorder


def assert_equal(url: str, folder: Path) -> None:
    """The oracle: table for table what a folder has."""
    found, expected = load_run(url), load_run(folder)
    for table in schema.TABLES:
        mine, theirs = (each.read(table).drop(columns="wall_time", errors="ignore") for each in (found, expected))
        assert mine.equals(theirs), table


def test_a_training_is_the_same_run_in_s3_as_in_a_folder(root: str, tmp_path: Path) -> None:
    recorder = train(root, experiment="E", snapshot_every=4)
    assert recorder.url == f"{root}/e/lstm"
    assert_equal(recorder.url, train(tmp_path / "runs", experiment="E", snapshot_every=4).path)
    assert not recorder.path.exists()
    assert waiting_uploads() == []


def test_keys_are_in_nothing_that_is_written_or_shown(root: str, tmp_path: Path, server: S3Server) -> None:
    recorder = train(root)
    url = remote_url(root)
    assert url is not None
    objects = ObjectStore(url)
    contents = [*objects.read(list(objects.found(""))).values()]
    contents += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert contents
    for secret in (b"very-secret", server.url.encode()):
        assert not any(secret in content for content in contents)
    assert "very-secret" not in repr(recorder) + repr(load_run(recorder.url or ""))


def test_the_commands_take_a_url(root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--task", "adding", "--model", "rnn", "--steps", "8", "--length", "10"]
    assert main(["pair", *settings, "--clip", "norm:1", "--experiment", "pair", "--root", root]) == 0
    said = capsys.readouterr().out
    assert f"graddiag report {root}/pair --out report.html" in said
    assert f"{root}/pair/" in said
    assert str(tmp_path) not in said
    assert main(["list", "--root", root]) == 0
    assert "pair/" in capsys.readouterr().out
    run = f"{root}/pair/{next(iter(graddiag.list_runs(root)['run'])).partition('/')[2]}"
    assert main(["diagnose", run]) == 0
    assert main(["diagnose", f"{root}/pair"]) == 0
    assert main(["compare", f"{root}/pair"]) == 0
    assert main(["top", root, "--once"]) == 0
    assert f'"run": "{run}"' in capsys.readouterr().out
    assert main(["export", run, "--to", "csv", "--out", str(tmp_path / "csv")]) == 0
    assert (tmp_path / "csv" / "steps.csv").exists()
    assert main(["report", f"{root}/pair", "--out", str(tmp_path / "report.html")]) == 0
    assert (tmp_path / "report.html").exists()
    capsys.readouterr()
    assert main(["upload"]) == 0
    assert capsys.readouterr().out == "no run waits on this machine to be uploaded.\n"


def test_a_sweep_is_recorded_at_a_url_once(root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "sweep.toml"
    spec.write_text('name = "s"\ntask = "adding"\nmodel = "rnn"\nlengths = [10]\n[settings]\nsteps = 4\n[arms.a]\n')
    command = ["sweep", str(spec), "--root", root, "--workers", "1"]
    assert main(command) == 0
    assert "1 runs: 1 trained" in capsys.readouterr().out
    assert main(command) == 0
    assert "0 trained, 1 there already" in capsys.readouterr().out


def test_a_bucket_that_is_not_there_is_an_error_before_the_training(server: S3Server) -> None:
    with pytest.raises(InputError, match=r"root s3://nowhere/runs cannot be written: .*bucket does not exist"):
        train("s3://nowhere/runs")
    assert waiting_uploads() == []
    with pytest.raises(InputError, match=r"s3://nowhere/runs cannot be read: .*bucket does not exist"):
        graddiag.list_runs("s3://nowhere/runs")


@pytest.mark.parametrize("failure", ["refuse", "stall"])
def test_a_network_that_fails_for_a_while_loses_nothing(
    failure: str,
    root: str,
    tmp_path: Path,
    network: Network,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(step: int, recorder: graddiag.Recorder) -> None:
        upload = recorder._writer._upload
        assert upload is not None
        if step == 0:  # an upload that the server does not take fails soon
            monkeypatch.setattr("graddiag.store.remote.objects.READ_SECONDS", 0.5)
        if step == 4:
            getattr(network, failure)()
            recorder.state_dict()  # writes all that was recorded so far
        if step == 8:
            until(lambda: upload.error is not None)
            monkeypatch.setattr("graddiag.store.remote.objects.READ_SECONDS", 20)
            network.restore()
            until(lambda: upload.error is None)

    with pytest.warns(RuntimeWarning, match=r"cannot upload run") as warned:
        train(root, fail)
    assert len(warned) == 1
    assert not [each.message for each in caplog.records if each.name == "asyncio"]
    assert waiting_uploads() == []
    run, expected = load_run(f"{root}/lstm"), load_run(train(tmp_path / "runs").path)
    assert set(run.events["kind"]) == {schema.EVENT_UPLOAD_RESTORED}
    for table in ("timesteps", "gates", "parameters"):
        assert run.read(table).equals(expected.read(table))


def test_a_network_that_is_down_from_first_to_last_stops_no_training(
    root: str, tmp_path: Path, network: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    network.refuse()
    with pytest.warns(RuntimeWarning, match="upload"):
        recorder = train(root)
    assert recorder.path.exists()
    assert network.refused
    assert main(["upload"]) == 1
    assert f"not uploaded whole: {recorder.path}" in capsys.readouterr().err
    network.restore()
    assert main(["list", "--root", root]) == 0
    assert f"1 run waits on this machine to be uploaded to {root}: graddiag upload" in capsys.readouterr().err
    assert main(["upload"]) == 0
    assert capsys.readouterr().out == f"uploaded {root}/lstm\n"
    assert_equal(f"{root}/lstm", train(tmp_path / "runs").path)


KILLED = """
import sys
import graddiag, torch

torch.manual_seed(0)
model = torch.nn.LSTM(2, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
recorder = graddiag.watch(model, optimizer, run="lstm", root=sys.argv[1], seed=0)
for _ in range(12):
    optimizer.zero_grad()
    loss = model(torch.randn(5, 2, 2))[0].square().mean()
    loss.backward()
    recorder.log(loss=loss)
    optimizer.step()
recorder.state_dict()
print("recorded", flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_left_is_uploaded_later(root: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, root]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "recorded\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert main(["upload"]) == 0
    assert load_run(f"{root}/lstm").manifest.status == "interrupted"
    assert_equal(f"{root}/lstm", train(tmp_path / "runs").path)
    train_more = graddiag.watch(torch.nn.LSTM(2, 3), run="lstm", root=root, resume=True)
    train_more.close()
    assert load_run(f"{root}/lstm").manifest.first_step == 12


def copies(root: str, folder: Path, number: int) -> None:
    """As many runs as this at ``root``, every second one in an experiment, each of a manifest and a head."""
    import s3fs

    text, index = ((folder / name).read_text() for name in ("manifest.json", "tables.json"))
    objects = {}
    for n in range(number):
        run, named = f"e/run-{n}" if n % 2 else f"run-{n}", json.loads(text) | {"name": f"run {n}", "id": str(n)}
        manifest = json.dumps(named).encode()
        objects[f"{root}/{run}/manifest.json"] = manifest
        objects[f"{root}/.graddiag/heads/{run}.json"] = pack({"manifest.json": manifest, "tables.json": index.encode()})
    s3fs.S3FileSystem(skip_instance_cache=True).pipe(objects)


def test_a_thousand_runs_are_listed_with_few_requests(
    root: str, tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies(root, write_run(tmp_path / "runs", steps=1), RUNS)
    with counted(server) as first:
        expected = [manifest for _, manifest in read_manifests(root)]
    share_index(mirror_folder(root))  # as list_runs does
    with counted(server) as again:
        read_manifests(root)
    monkeypatch.setenv("GRADDIAG_CACHE", str(tmp_path / "another-machine"))
    with counted(server) as elsewhere:
        assert [manifest for _, manifest in read_manifests(root)] == expected
    assert len(expected) == RUNS
    assert len(first) == 3 + RUNS  # the root, its experiment, and 1,000 heads in one listing each; and the heads
    assert len(again) == 4  # with the object for all runs there are 1,001 objects, which are two listings
    assert len(elsewhere) == 5


def test_a_listing_makes_few_requests(
    root: str, tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [write_run(tmp_path / "runs", steps=1, name=f"run {n}", id=str(n)) for n in range(25)]
    url = remote_url(root)
    assert url is not None
    assert all(each.missing is None for each in send_copies(folders, url))
    with counted(server) as first:
        expected = graddiag.list_runs(root)
    with counted(server) as again:
        graddiag.list_runs(root)
    monkeypatch.setenv("GRADDIAG_CACHE", str(tmp_path / "another-machine"))
    with counted(server) as elsewhere:
        assert graddiag.list_runs(root).equals(expected)
    assert len(first) == 2 + 25 + 3 * 25 + 1  # listings; heads; parts to judge by; the object for all runs
    assert len(again) == 2
    assert len(elsewhere) == 3


def test_a_run_that_is_written_shows_what_is_closed_by_now(root: str) -> None:
    from graddiag.store.remote.writing import open_remote_writer
    from tests.store.runs import manifest

    url = remote_url(root)
    assert url is not None
    with open_remote_writer(url, manifest(id="1", status="running")) as writer:
        assert isinstance(writer, RunWriter)
        writer.append("steps", {"step": 0, "loss": 1.0})
        writer.flush()
        upload = writer._upload
        assert upload is not None
        upload._wake.set()
        until(lambda: len(load_run(f"{root}/a-run").read("steps")) == 1)
        assert load_run(f"{root}/a-run").manifest.status == "running"
