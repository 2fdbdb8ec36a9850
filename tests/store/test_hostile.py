"""Run folders that somebody else made: links, other file types, other users' folders, values out of any range."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graddiag import list_runs
from graddiag.errors import InputError, RunFormatError
from graddiag.store import annotate, fingerprint, load_run, read_manifests, run_folders
from tests.store.runs import write_run


def edited(path: Path, name: str, **changes: object) -> None:
    content = json.loads((path / name).read_text())
    (path / name).write_text(json.dumps(content | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"created": "0001-01-01T00:00:00Z"}, "a time of the year 1 at 'created'"),
        ({"finished": "9999-12-31T23:59:59Z"}, "a time of the year 9999 at 'finished'"),
        ({"every": 0}, "greater than or equal to 1 at 'every'"),
        ({"config": []}, "at 'config'"),
    ],
)
def test_a_manifest_with_a_value_out_of_range_is_damaged_and_says_where(
    changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    path = write_run(tmp_path)
    edited(path, "manifest.json", **changes)
    with pytest.raises(RunFormatError, match=f"manifest.json is damaged: .*{said}"):
        load_run(path)


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5_000, b'{"seed": ' + b"9" * 5_000 + b"}"]
)
def test_a_manifest_that_no_parser_takes_is_damaged_and_the_other_run_is_listed(content: bytes, tmp_path: Path) -> None:
    bad, good = write_run(tmp_path, name="bad"), write_run(tmp_path, name="good")
    (bad / "manifest.json").write_bytes(content)
    with pytest.raises(RunFormatError, match=r"manifest\.json is damaged"):
        load_run(bad)
    runs = list_runs(tmp_path)
    assert runs["status"].tolist() == ["finished", "damaged"]
    assert "manifest.json is damaged" in runs["reason"].tolist()[-1]
    assert [path for path, _ in read_manifests(tmp_path)] == [good]


@pytest.mark.parametrize("writer", ["9" * 5_000 + " pid:[1] x 1", "12", "x", "٣ pid:[1] b 2"])
def test_a_process_that_no_system_has_leaves_the_status_as_it_is(writer: str, tmp_path: Path) -> None:
    path = write_run(tmp_path)
    edited(path, "manifest.json", status="running", writer=writer)
    assert load_run(path).manifest.status == "running"
    assert list_runs(tmp_path)["status"].tolist() == ["running"]


@pytest.mark.parametrize("name", ["manifest.json", "tables.json", "steps/000001.parquet", "steps"])
def test_a_link_in_a_run_folder_is_refused_by_name(name: str, tmp_path: Path) -> None:
    path, other = write_run(tmp_path / "root", part_steps=100), write_run(tmp_path / "elsewhere", part_steps=100)
    place = path / name
    place.rename(tmp_path / "aside")
    place.symlink_to(other / name)
    with pytest.raises(RunFormatError, match=f"{name} is a link; graddiag reads only files"):
        load_run(path).steps  # noqa: B018
    runs = list_runs(tmp_path / "root")
    assert runs["status"].tolist() == ["damaged"]
    assert "is a link" in runs["reason"][0]
    assert fingerprint(path)


def test_annotations_behind_a_link_are_not_shown(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    (tmp_path / "secret").write_text('{"notes": "a secret"}')
    (path / "annotations.json").symlink_to(tmp_path / "secret")
    assert "secret" not in load_run(path).manifest.notes
    annotate(path, notes="mine")
    assert load_run(path).manifest.notes == "mine"
    assert (tmp_path / "secret").read_text() == '{"notes": "a secret"}'


def test_a_folder_that_leads_out_of_the_root_is_listed_as_damaged_and_not_read(tmp_path: Path) -> None:
    root, other = tmp_path / "root", write_run(tmp_path / "elsewhere", name="other")
    inside = write_run(root, name="inside")
    (root / "out").symlink_to(other)
    (root / "experiment").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to(inside)
    (root / "round").symlink_to(root / "round")
    (root / "itself").symlink_to(root)
    runs = list_runs(root)
    assert runs["run"].tolist() == ["inside", "experiment", "out"]
    assert runs["status"].tolist() == ["finished", "damaged", "damaged"]
    assert runs["reason"][2] == f"{root / 'out'} is a link to {other}, which is not under the root."
    assert [path for path, _ in read_manifests(root)] == [inside]


def test_a_root_that_is_a_link_is_followed(tmp_path: Path) -> None:
    write_run(tmp_path / "real")
    (tmp_path / "root").symlink_to(tmp_path / "real")
    assert list_runs(tmp_path / "root")["status"].tolist() == ["finished"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "name", ["manifest.json", "tables.json", "steps/000001.parquet", "annotations.json", "overview.json"]
)
def test_a_pipe_never_stops_a_reader(name: str, tmp_path: Path) -> None:
    path = write_run(tmp_path, part_steps=100)
    (path / name).unlink(missing_ok=True)
    os.mkfifo(path / name)
    assert len(list_runs(tmp_path)) == 1
    fingerprint(path)


def test_a_file_larger_than_any_that_graddiag_writes_is_not_read(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    with (path / "manifest.json").open("r+b") as file:
        file.truncate(2**40)  # of which the disk holds a few bytes
    with pytest.raises(RunFormatError, match=r"has 1,099,511,627,776 bytes; graddiag writes none above"):
        load_run(path)
    assert list_runs(tmp_path)["status"].tolist() == ["damaged"]


@pytest.mark.parametrize("key", ["step", "timestep", "module"])
def test_a_key_that_is_null_is_refused_with_the_files(key: str, tmp_path: Path) -> None:
    path = write_run(tmp_path, part_steps=100)
    part = path / "timesteps" / "000001.parquet"
    rows = pq.read_table(part)
    place = rows.column_names.index(key)
    cells = rows[key].cast(pa.string() if key == "module" else rows[key].type).to_pylist()
    cells[1] = None
    pq.write_table(rows.set_column(place, key, pa.array(cells).cast(rows[key].type)), part)
    with pytest.raises(
        RunFormatError, match=rf"timesteps has rows without '{key}' \(files: timesteps/000001.parquet\)"
    ):
        load_run(path).timesteps  # noqa: B018


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rows": 21}, "has 20 rows; the index of the run counts 21"),
        ({"rows": 10**18}, "is not an index of parts"),
        ({"last_step": 2**62}, "is not an index of parts"),
        ({"rows": -1}, "is not an index of parts"),
    ],
)
def test_an_index_that_counts_other_rows_is_refused(changes: dict[str, int], said: str, tmp_path: Path) -> None:
    path = write_run(tmp_path, part_steps=100)
    index = json.loads((path / "tables.json").read_text())
    index["tables"]["timesteps"][0] |= changes
    (path / "tables.json").write_text(json.dumps(index))
    with pytest.raises(RunFormatError, match=said):
        load_run(path).timesteps  # noqa: B018


@pytest.mark.parametrize("name", ["x" * 5_000, "a\0b", "/".join(["x"] * 3_000)])
def test_a_name_that_no_folder_can_have_is_no_run(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunFormatError, match="is not a run"):
        load_run(tmp_path / name)


AS_NOBODY = """
import os, shutil, sys, tempfile
from pathlib import Path
import graddiag
from tests.store.runs import write_run
root = Path(tempfile.mkdtemp())
try:
    root.chmod(0o755)
    shut, unread = write_run(root, name="shut"), write_run(root, name="unread")
    write_run(root, name="open"), write_run(root, name="inside", experiment="closed")
    graddiag.list_runs(root)  # imports what it needs, while this is root's process
    for path in (shut, root / "closed", unread / "manifest.json"):
        path.chmod(0)
    os.seteuid(65534)
    for row in graddiag.list_runs(root).itertuples():
        print(row.run, row.status, row.reason, sep="; ")
finally:
    os.seteuid(0)
    shutil.rmtree(root)
"""


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user")
def test_folders_of_another_user_are_listed_with_the_reason() -> None:
    done = subprocess.run([sys.executable, "-c", AS_NOBODY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("; ") for line in done.stdout.splitlines()]
    found = {run: status for run, status, _ in rows}
    assert found == {"open": "finished", "closed": "damaged", "shut": "damaged", "unread": "damaged"}
    for _, status, reason in rows:
        assert status == "finished" or "cannot be read: Permission denied. Ask its owner" in reason


def test_a_root_that_may_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("graddiag.store.catalog.os.scandir", refuse)
    with pytest.raises(InputError, match=r"cannot be read: Permission denied\. Is it another user's"):
        run_folders(tmp_path)
