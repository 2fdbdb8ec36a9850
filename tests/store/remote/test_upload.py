"""A run folder on its way to an object store: what is there at each moment, and what a second process finds."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graddiag import schema
from graddiag.errors import InputError
from graddiag.recording.manifest import open_writer
from graddiag.store import RunWriter, load_run, read_manifests, remote_url
from graddiag.store.remote.layout import head_of, unpack
from graddiag.store.remote.objects import ObjectStore, RemoteError
from graddiag.store.remote.spool import Spooled, UploadRecord, spooled_at, waiting
from graddiag.store.remote.upload import RunUpload
from graddiag.store.remote.uploader import UploadNotice
from graddiag.store.remote.writing import open_remote_writer
from tests.store.remote.conftest import ROOT
from tests.store.runs import gate_rows, layer_rows, manifest, write_run
from tests.waiting import until

URL = remote_url(ROOT)
assert URL is not None


def objects() -> ObjectStore:
    assert URL is not None
    return ObjectStore(URL)


def uploaded(folder: Path, **record: Any) -> RunUpload:
    return RunUpload(folder, UploadRecord(root=ROOT, id="0", **record))


def append(writer: RunWriter, steps: range) -> None:
    for step in steps:
        writer.append("steps", {"step": step, "loss": 10.0 - step})
        writer.append("timesteps", layer_rows(step))
        writer.append("gates", gate_rows(step))


def record(writer: RunWriter, steps: range) -> None:
    append(writer, steps)
    writer.flush()


def assert_equal(url: str, folder: Path) -> None:
    """The oracle: what is read from the store is what is read from a folder, table for table."""
    found, expected = load_run(url), load_run(folder)
    for table in schema.TABLES:
        assert found.read(table).equals(expected.read(table)), table
    assert found.manifest == expected.manifest


def test_a_run_that_was_sent_is_the_run_of_the_folder(tmp_path: Path) -> None:
    folder = write_run(tmp_path, steps=7)
    assert uploaded(folder).send()
    assert_equal(f"{ROOT}/a-run", folder)


def test_the_index_never_names_a_part_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every request that is made the store is looked at as a reader would."""
    seen = []

    def looked(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(self: ObjectStore, *args: Any, **kwargs: Any) -> Any:
            result = call(self, *args, **kwargs)
            inside = objects().found("")
            for name in [name for name in inside if name.endswith("tables.json")]:
                tables = json.loads(objects().read([name])[name])["tables"]
                named = {f"a-run/{part['file']}" for parts in tables.values() for part in parts}
                assert named <= inside.keys()
                seen.append(len(named))
            return result

        return made

    for name in ("write", "remove"):
        monkeypatch.setattr(ObjectStore, name, looked(getattr(ObjectStore, name)))
    with RunWriter(tmp_path, manifest(), part_steps=1, part_seconds=3600) as writer:
        upload = uploaded(writer.path)
        for first in range(0, 40, 8):
            append(writer, range(first, first + 8))
            writer.flush()
            assert not upload.send()
    assert upload.send()
    assert max(seen) > min(seen)
    assert_equal(f"{ROOT}/a-run", writer.path)


def test_parts_that_were_joined_are_removed_from_the_store(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest(), part_steps=1, part_seconds=3600) as writer:
        upload = uploaded(writer.path)
        for step in range(20):
            append(writer, range(step, step + 1))
            writer.flush()
            upload.send()
    upload.send()
    there = {name for name in objects().found("a-run") if name.endswith(".parquet")}
    assert there == {path.relative_to(writer.path).as_posix() for path in writer.path.glob("*/*.parquet")}


def test_a_part_that_is_joined_while_it_is_sent_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the second case the network fails in the same moment, which is one."""
    folder = write_run(tmp_path, steps=4, part_steps=4)
    send, index = ObjectStore.upload, folder / "tables.json"
    before = index.read_text()

    def joined(self: ObjectStore, files: dict[str, Path]) -> Any:
        (folder / "steps" / "000001.parquet").rename(folder / "steps" / "000001-1.parquet")
        index.write_text(before.replace('"steps/000001.parquet"', '"steps/000001-1.parquet"'))
        monkeypatch.setattr(ObjectStore, "upload", send)
        return send(self, files)

    monkeypatch.setattr(ObjectStore, "upload", joined)
    assert uploaded(folder).send()
    assert load_run(f"{ROOT}/a-run").read("steps")["step"].tolist() == [0, 1, 2, 3]

    def fails(self: ObjectStore, files: dict[str, Path]) -> Any:
        (folder / "steps" / "000001-1.parquet").unlink()
        raise RemoteError("no route")

    monkeypatch.setattr(ObjectStore, "upload", fails)
    with pytest.raises(RemoteError, match="no route"):
        uploaded(folder).send()


def test_what_has_arrived_is_not_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = uploaded(write_run(tmp_path))
    upload.send()
    sent: list[str] = []
    monkeypatch.setattr(ObjectStore, "write", lambda self, name, content: sent.append(name))
    monkeypatch.setattr(ObjectStore, "upload", lambda self, files: sent.extend(files) or iter(()))
    assert upload.send()
    assert sent == []


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    first, second = (uploaded(write_run(tmp_path / name, name="Same", experiment="E")) for name in ("a", "b"))
    assert (first.claim(), second.claim()) == ("e/Same", "e/Same-2")


def test_a_process_that_was_killed_while_it_took_a_name_finds_it_again(tmp_path: Path) -> None:
    folder = write_run(tmp_path, id="1")
    assert uploaded(folder).claim() == "a-run"
    again = RunUpload(folder, UploadRecord(root=ROOT, id="1", tried=True))
    assert again.claim() == "a-run"
    other = RunUpload(write_run(tmp_path, id="2"), UploadRecord(root=ROOT, id="2", tried=True))
    assert other.claim() == "a-run-2"


def test_a_run_does_not_become_an_experiment(tmp_path: Path) -> None:
    uploaded(write_run(tmp_path, name="e")).send()
    assert uploaded(write_run(tmp_path, name="x", experiment="e")).claim() == "e-2/x"


def test_the_head_has_manifest_and_index_as_they_are(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    uploaded(folder).send()
    (head,) = objects().read([head_of("a-run")]).values()
    assert unpack(head) == {name: (folder / name).read_bytes() for name in ("manifest.json", "tables.json")}
    assert unpack(b"{") == unpack(b"[]") == {}


def test_another_file_of_the_folder_is_sent_too_if_it_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(tmp_path)
    (folder / "vocabulary.json").write_text("{}")
    (folder / "overview.json").write_text("{}")
    (folder / "link.json").symlink_to(folder / "manifest.json")
    monkeypatch.setattr("graddiag.store.remote.upload.MAX_BYTES", 10)
    (folder / "checkpoint.pt").write_bytes(bytes(11))
    uploaded(folder).send()
    assert set(objects().listed("a-run").versions) == {"manifest.json", "tables.json", "vocabulary.json"}


def test_the_ranks_of_a_run_are_sent_with_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    with RunWriter(folder / "ranks", manifest("rank-1")) as rank:
        upload = uploaded(folder)
        assert not upload.send()  # one still records
    assert upload.send()
    assert "ranks/rank-1/tables.json" in objects().found("a-run")
    assert rank.path.is_dir()


def test_a_writer_of_a_remote_root_uploads_and_leaves_nothing_behind(tmp_path: Path) -> None:
    writer = open_remote_writer(URL, manifest(id="run-1"), None)
    with writer:
        append(writer, range(5))
    assert writer.url == f"{ROOT}/a-run"
    assert not writer.path.exists()
    assert waiting() == []
    expected = load_run(write_run(tmp_path / "folder", steps=5))
    assert load_run(writer.path).read("timesteps").equals(expected.read("timesteps"))
    assert [read.status for _, read in read_manifests(ROOT)] == ["finished"]


def test_a_run_in_which_nothing_was_recorded_is_removed_from_the_store() -> None:
    writer = open_remote_writer(URL, manifest(id="run-1"), None)
    writer.discard()
    assert objects().found("") == {}
    assert spooled_at(writer.path) is None


def broken(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[int]:
    """Every operation fails as long as the list has an entry."""
    failing = [1]

    def failed(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(self: ObjectStore, *args: Any, **kwargs: Any) -> Any:
            if failing:
                raise error
            return call(self, *args, **kwargs)

        return made

    for name in ("listed", "found", "read", "write", "create", "upload", "download", "remove"):
        monkeypatch.setattr(ObjectStore, name, failed(getattr(ObjectStore, name)))
    return failing


def test_a_network_that_fails_is_one_warning_and_an_event_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graddiag.store.remote.uploader._FIRST", 0.01)
    monkeypatch.setattr("graddiag.store.remote.uploader.INTERVAL", 0.01)
    failing = broken(monkeypatch, RemoteError("no route"))
    writer = open_remote_writer(URL, manifest(id="run-1"), None)
    upload = writer._upload
    assert upload is not None
    until(lambda: upload.error is not None)
    with pytest.warns(RuntimeWarning, match=r"cannot upload run .* to memory://bucket/runs: no route") as warned:
        record(writer, range(3))
    failing.clear()
    until(lambda: upload.error is None)
    append(writer, range(3, 6))
    writer.close()
    assert len(warned) == 1
    run = load_run(f"{ROOT}/a-run")
    (event,) = run.events.to_dict("records")
    assert (event["kind"], event["step"], event["where"]) == (schema.EVENT_UPLOAD_RESTORED, 3, "upload")
    assert "works again, after" in event["message"]
    assert run.read("timesteps").equals(load_run(write_run(tmp_path, steps=6)).read("timesteps"))


def test_what_did_not_arrive_waits_in_the_spool(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = broken(monkeypatch, RemoteError("no route"))
    with pytest.warns(RuntimeWarning) as warned, open_remote_writer(URL, manifest(id="run-1"), None) as writer:
        append(writer, range(3))
    (said,) = {str(each.message) for each in warned if "not uploaded all" in str(each.message)}
    assert str(writer.path) in said
    assert "no route" in said
    assert "`graddiag upload` sends it" in said
    (left,) = waiting()
    assert left.folder == writer.path
    failing.clear()
    assert RunUpload(writer.path, left.record, left.keep).send()
    left.end()
    assert load_run(writer.path).read("steps")["step"].tolist() == [0, 1, 2]


def test_a_root_that_refuses_is_an_error_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, RemoteError("PermissionError: Access Denied", refused=True))
    with pytest.raises(InputError, match=r"root memory://bucket/runs cannot be written: .*Access Denied"):
        open_remote_writer(URL, manifest(id="run-1"), None)
    assert waiting() == []


def test_an_upload_that_was_left_does_not_replace_what_another_process_continued(tmp_path: Path) -> None:
    folder = write_run(tmp_path, id="0")
    upload = uploaded(folder)
    upload.send()
    text = (folder / "manifest.json").read_text()
    later = json.loads(text) | {"resumed": "2030-01-01T00:00:00Z"}
    objects().write("a-run/manifest.json", json.dumps(later).encode())
    upload.check()
    assert upload.record.run is None
    assert upload.claim() == "a-run-2"
    objects().write("a-run-2/manifest.json", text.encode())
    upload.check()
    assert upload.record.run == "a-run-2"


def test_the_spool_knows_which_runs_another_process_uploads(tmp_path: Path) -> None:
    place = tmp_path / "spool" / "one"
    write_run(place / "runs")
    Spooled(place, UploadRecord(root=ROOT, id="one", writer=None)).keep()
    assert [each.record.id for each in waiting()] == ["one"]
    Spooled(place, UploadRecord(root=ROOT, id="one", writer="1 elsewhere boot 5")).keep()
    assert waiting() == []  # on a machine that shares the spool, a moment ago
    Spooled(place, UploadRecord(root=ROOT, id="one", done=True)).keep()
    assert waiting() == []


class Restored:
    """An upload that works again at each step, after a while."""

    url = ROOT

    def take_notices(self) -> list[UploadNotice]:
        time.sleep(0.02)
        return [UploadNotice(None, 1.0)]

    def finish(self) -> bool:
        return True


def test_an_event_of_the_upload_drops_no_row_that_waits_to_be_written(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest(), part_seconds=0.01) as writer:
        writer.upload_by(Restored())  # type: ignore[arg-type]
        append(writer, range(3))
    run = load_run(writer.path)
    assert run.read("steps")["step"].tolist() == [0, 1, 2]
    assert len(run.events) > 1


def test_another_rank_records_into_the_spool_of_rank_0_or_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graddiag.recording.manifest.rank", lambda: 1)
    with open_remote_writer(URL, manifest(id="1")) as writer:
        monkeypatch.setattr("graddiag.recording.manifest.announced", lambda name: writer.path)
        with open_writer(ROOT, manifest(id="1")) as other:
            append(other, range(2))
        assert other.path == writer.path / "ranks" / "rank-1"
        append(writer, range(2))
    assert load_run(f"{ROOT}/a-run").manifest.status == "finished"
    assert "ranks/rank-1/steps/000001.parquet" in objects().found("a-run")
    monkeypatch.setattr("graddiag.recording.manifest.announced", lambda name: tmp_path / "elsewhere" / "a-run")
    with pytest.raises(InputError, match="rank 0 records into the spool of another machine"):
        open_writer(ROOT, manifest(id="1"))
    assert not (tmp_path / "elsewhere").exists()
