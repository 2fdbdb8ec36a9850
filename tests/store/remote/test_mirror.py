"""Runs of an object store as they are read: which requests are made, and what is the same as in a folder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

import graddiag
from graddiag import schema
from graddiag.errors import InputError, RunFormatError
from graddiag.overview import overview
from graddiag.store import (
    ResumePoint,
    RunWriter,
    annotate,
    load_run,
    local_root,
    read_manifests,
    root_fingerprint,
    run_folders,
    runs_at,
    send_copies,
    shown,
    trash_run,
)
from graddiag.store.remote.layout import HEADS_INDEX, head_of
from graddiag.store.remote.objects import ObjectStore
from graddiag.store.remote.places import mirror_of
from tests.store.remote.conftest import ROOT
from tests.store.remote.test_upload import URL, append, assert_equal, objects, uploaded
from tests.store.runs import manifest, write_run


@contextmanager
def requests(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The operations that are made meanwhile, one for each object or listing."""
    made: list[str] = []
    with monkeypatch.context() as patch:
        for name in ("listed", "found", "read", "write", "create", "upload", "download", "remove"):
            call = getattr(ObjectStore, name)

            def counted(self: ObjectStore, *args: Any, name: str = name, call: Any = call) -> Any:
                each = list(args[0]) if args and not isinstance(args[0], str) else ["/".join(map(str, args[:1]))]
                made.extend(f"{name} {one}".strip() for one in each)
                return call(self, *args)

            patch.setattr(ObjectStore, name, counted)
        yield made


def send(folder: Path) -> str:
    (sent,) = send_copies([folder], URL)
    assert sent.missing is None
    return sent.url


def forget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on another machine: nothing is mirrored."""
    monkeypatch.setenv("GRADDIAG_CACHE", str(tmp_path / f"cache-{len(list(tmp_path.iterdir()))}"))
    (tmp_path / f"cache-{len(list(tmp_path.iterdir()))}").mkdir()


def test_a_run_is_read_as_from_its_folder(tmp_path: Path) -> None:
    folder = write_run(tmp_path, steps=9, experiment="E")
    assert send(folder) == f"{ROOT}/e/a-run"
    assert_equal(f"{ROOT}/e/a-run", folder)
    assert_equal(Path(ROOT) / "e" / "a-run", folder)


def test_parts_are_fetched_by_need_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(write_run(tmp_path, steps=8, part_steps=2))
    with requests(monkeypatch) as made:
        run = load_run(f"{ROOT}/a-run")
    assert sorted(made) == ["listed", "read manifest.json", "read tables.json"]
    with requests(monkeypatch) as made:
        run.read("timesteps", where={"step": range(2, 4)})
    assert made == ["download timesteps/000002.parquet"]
    with requests(monkeypatch) as made:
        run.read("timesteps", where={"step": range(2, 6)})
    assert made == ["download timesteps/000003.parquet"]
    with requests(monkeypatch) as made:
        assert load_run(f"{ROOT}/a-run").read("timesteps", where={"step": 3}).shape[0] == 4
    assert made == ["listed"]


def test_a_run_that_is_written_is_read_as_it_stood(tmp_path: Path) -> None:
    """Parts that are joined after the run was loaded are found by the index of now."""
    with RunWriter(tmp_path, manifest(), part_steps=1, part_seconds=3600) as writer:
        upload = uploaded(writer.path)
        for step in range(10):
            append(writer, range(step, step + 1))
            writer.flush()
        upload.send()
        run = load_run(f"{ROOT}/a-run")
        for step in range(10, 20):
            append(writer, range(step, step + 1))
            writer.flush()
        upload.send()
        assert run.read("steps")["step"].tolist() == list(range(10))
        assert load_run(f"{ROOT}/a-run").read("steps")["step"].tolist() == list(range(20))


def test_a_run_that_was_continued_is_not_mixed_with_what_was_fetched_before(tmp_path: Path) -> None:
    folder = write_run(tmp_path, steps=4, part_steps=4)
    url = send(folder)
    assert load_run(url).read("steps")["loss"].tolist() == [10.0, 9.0, 8.0, 7.0]
    with RunWriter(tmp_path, manifest(), resume=ResumePoint(2)) as writer:
        writer.append("steps", {"step": [2, 3], "loss": [0.0, 0.0]})
    send(folder)
    assert load_run(url).read("steps")["loss"].tolist() == [10.0, 9.0, 0.0, 0.0]


def test_no_part_of_a_run_gets_a_name_that_another_had(tmp_path: Path) -> None:
    folder = write_run(tmp_path, steps=4, part_steps=1)
    before = {path.name for path in folder.glob("steps/*.parquet")}
    with RunWriter(tmp_path, manifest(), resume=ResumePoint(0)) as writer:
        writer.append("steps", {"step": 0, "loss": 0.0})
    assert not before & {path.name for path in folder.glob("steps/*.parquet")}


def test_the_ranks_of_a_run_are_mirrored_with_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    with RunWriter(folder / "ranks", manifest("rank-1")) as rank:
        append(rank, range(2))
    send(folder)
    for place in (load_run(f"{ROOT}/a-run").path, local_root(ROOT) / "a-run"):
        assert place is not None
        assert (place / "ranks" / "rank-1" / "tables.json").read_bytes() == (rank.path / "tables.json").read_bytes()
        assert load_run(place / "ranks" / "rank-1").read("steps")["step"].tolist() == [0, 1]


@pytest.mark.parametrize("name", ["a-run", "e", ""])
def test_what_a_place_means(name: str, tmp_path: Path) -> None:
    send(write_run(tmp_path))
    send(write_run(tmp_path, name="x", experiment="E", id="1"))
    found = runs_at(f"{ROOT}/{name}")
    names = {"a-run": ["a-run"], "e": ["x"], "": ["a-run", "x"]}[name]
    assert [load_run(each).manifest.name.replace(" ", "-") for each in found] == names


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFormatError, match="memory://bucket/runs/none is not a run: there is nothing of this name"):
        load_run(f"{ROOT}/none")
    send(write_run(tmp_path, experiment="E"))
    with pytest.raises(RunFormatError, match=r"memory://bucket/runs/e is not a run: it lacks manifest\.json"):
        load_run(f"{ROOT}/e")


def test_a_listing_is_that_of_the_folder(tmp_path: Path) -> None:
    for number in range(3):
        send(write_run(tmp_path / "runs", name=f"run {number}", experiment="E" if number else None, id=str(number)))
    found, expected = graddiag.list_runs(ROOT), graddiag.list_runs(tmp_path / "runs")
    assert found.equals(expected)
    assert len(found) == 3


def test_a_listing_again_asks_for_nothing_but_listings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        send(write_run(tmp_path / "runs", name=f"run {number}", experiment="E" if number else None, id=str(number)))
    overview(ROOT)
    with requests(monkeypatch) as made:
        assert len(overview(ROOT)) == 3
    assert sorted(made) == ["found .graddiag", "listed", "listed e"]


def test_a_run_that_changed_is_read_by_its_head_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunWriter(tmp_path, manifest(), part_steps=1, part_seconds=3600) as writer:
        upload = uploaded(writer.path)
        append(writer, range(2))
        writer.flush()
        upload.send()
        read_manifests(ROOT)
        before = root_fingerprint(ROOT)
        assert root_fingerprint(ROOT) == before
        append(writer, range(2, 3))
        writer.flush()
        upload.send()
        with requests(monkeypatch) as made:
            assert root_fingerprint(ROOT) != before
    assert made == ["listed", "found .graddiag", f"read {head_of('a-run')}"]


def test_another_machine_reads_one_object_for_all_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the diagnoses: no table is read."""
    monkeypatch.setattr("graddiag.store.remote.root_mirror._FEW", 2)
    folders = [write_run(tmp_path / "runs", steps=2, name=f"run {n}", id=str(n)) for n in range(3)]
    assert all(each.missing is None for each in send_copies(folders, URL))
    expected = graddiag.list_runs(ROOT)
    assert HEADS_INDEX in objects().found("")
    forget(tmp_path, monkeypatch)
    with requests(monkeypatch) as made:
        assert graddiag.list_runs(ROOT).equals(expected)
    assert made == ["listed", "found .graddiag", f"download {HEADS_INDEX}"]


def test_an_object_for_all_runs_that_is_damaged_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graddiag.store.remote.root_mirror._FEW", 2)
    folders = [write_run(tmp_path / "runs", steps=1, name=f"run {n}", id=str(n)) for n in range(3)]
    list(send_copies(folders, URL))
    objects().write(HEADS_INDEX, b"nothing of the kind")
    assert len(read_manifests(ROOT)) == 3


def test_a_run_that_was_copied_there_by_other_means_is_listed(tmp_path: Path) -> None:
    folder = write_run(tmp_path, experiment="E")
    for path in folder.rglob("*.*"):
        objects().write(f"e/copied/{path.relative_to(folder).as_posix()}", path.read_bytes())
    assert graddiag.list_runs(ROOT)["run"].tolist() == ["e/copied"]
    assert_equal(f"{ROOT}/e/copied", folder)
    changed = json.loads((folder / "manifest.json").read_text()) | {"status": "failed"}
    objects().write("e/copied/manifest.json", json.dumps(changed).encode())
    assert graddiag.list_runs(ROOT)["status"].tolist() == ["failed"]


@pytest.mark.parametrize("name", ["my run", "100%", "a:b|c", ".hidden"])
def test_a_run_of_any_name_is_mirrored_once(name: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    for path in folder.rglob("*.*"):
        objects().write(f"{name}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    hidden = name.startswith(".")
    assert [read.name for _, read in read_manifests(ROOT)] == ([] if hidden else ["a run"])
    assert [shown(each) for each in run_folders(ROOT)] == ([] if hidden else [f"{ROOT}/{name}"])
    assert load_run(f"{ROOT}/{name}").path == mirror_of(URL / name)


def test_a_run_that_was_removed_is_not_listed(tmp_path: Path) -> None:
    for number in range(2):
        send(write_run(tmp_path / "runs", name=f"run {number}", id=str(number)))
    assert len(run_folders(ROOT)) == 2
    fsspec.filesystem("memory").rm("/bucket/runs/run-0", recursive=True)
    assert [folder.name for folder in run_folders(ROOT)] == ["run-1"]


def test_a_head_that_is_damaged_gives_way_to_the_run(tmp_path: Path) -> None:
    send(write_run(tmp_path))
    objects().write(head_of("a-run"), b"{")
    assert [read.name for _, read in read_manifests(ROOT)] == ["a run"]


def test_an_experiment_is_listed_by_the_heads_of_its_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        send(write_run(tmp_path / "runs", name=f"run {number}", experiment="E", id=str(number)))
    with requests(monkeypatch) as made:
        assert len(read_manifests(f"{ROOT}/e")) == 3
    assert [each for each in made if each.startswith("listed")] == ["listed"]


def test_a_hostile_head_writes_nothing_outside_the_mirror(tmp_path: Path) -> None:
    send(write_run(tmp_path))
    objects().write(
        head_of("a-run"), json.dumps({"../../evil.json": "x", "evil/x/y": "x", "manifest.json": "{}"}).encode()
    )
    objects().write(head_of("../evil"), b"{}")
    read_manifests(ROOT)
    assert not list(tmp_path.rglob("evil*"))


def test_tags_and_notes_are_written_to_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = send(write_run(tmp_path, experiment="E"))
    annotate(url, tags=["keep"])
    annotate(load_run(url), notes="better than before")
    (folder,) = run_folders(ROOT)
    annotate(folder, tags=["keep", "best"])
    forget(tmp_path, monkeypatch)
    for found in (load_run(url).manifest, read_manifests(ROOT)[0][1]):
        assert (found.tags, found.notes) == (("keep", "best"), "better than before")
    assert json.loads(objects().read(["e/a-run/annotations.json"]).popitem()[1])["tags"] == ["keep", "best"]


def test_a_trash_is_refused_by_name(tmp_path: Path) -> None:
    send(write_run(tmp_path))
    for root in (ROOT, local_root(ROOT)):
        with pytest.raises(InputError, match=r"root memory://bucket/runs: runs at a URL are not moved .*`aws s3 rm"):
            trash_run(root, "a-run")


def test_a_part_that_was_cut_short_in_the_mirror_is_named_and_fetched_again(tmp_path: Path) -> None:
    url = send(write_run(tmp_path))
    load_run(url).read("steps")
    (cache,) = (tmp_path / "cache" / "parts").iterdir()
    part = next(cache.glob("steps/*.parquet"))
    part.write_bytes(part.read_bytes()[:20])
    assert load_run(url).read("steps")["step"].tolist() == list(np.arange(5))


def test_a_part_that_is_gone_from_the_store_is_named(tmp_path: Path) -> None:
    url = send(write_run(tmp_path))
    objects().remove(["a-run/steps/000001.parquet"])
    with pytest.raises(RunFormatError, match="a part of table steps that its index names is gone"):
        load_run(url).read("steps")
    assert graddiag.list_runs(ROOT)[schema.STATUS].tolist() == ["damaged"]
