"""What a reader says of a folder that is not what it should be: the file, what was found, what was expected."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graddiag import schema
from graddiag.errors import RunFormatError
from graddiag.store import fingerprint, load_run, read_manifests, run_folders
from graddiag.store.index import Index, read_index, write_index
from tests.store.runs import write_run


def only_part(path: Path, table: str = "timesteps") -> Path:
    (part,) = (path / table).iterdir()
    return part


def edited(path: Path, **changes: object) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | changes))


def test_no_folder_a_file_and_another_folder_are_not_runs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, found in (
        ("nothing", "there is no such folder"),
        ("file", "it is a file"),
        ("", "it lacks manifest.json"),
    ):
        with pytest.raises(RunFormatError, match=f"is not a run: {found}.*graddiag list --root"):
            load_run(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", r"manifest.json is damaged: Expecting value.*\(0 bytes\)"),
        (b'{"schema_version": 1, "na', "manifest.json is damaged: "),
        (b"\xff\xfe\x00", "manifest.json is damaged: "),
        (b"[]", "found a JSON list"),
        (b'{"schema_version": 1}', "Field required at 'graddiag_version'"),
        (b"{}", f"says schema None; this graddiag reads 1 to {schema.SCHEMA_VERSION}"),
    ],
)
def test_a_damaged_manifest_is_said(tmp_path: Path, content: bytes, found: str) -> None:
    path = write_run(tmp_path)
    (path / "manifest.json").write_bytes(content)
    with pytest.raises(RunFormatError, match=found):
        load_run(path)
    assert read_manifests(tmp_path) == []
    assert run_folders(tmp_path) == [path]


def test_a_value_of_the_wrong_kind_in_the_manifest_is_named(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    edited(path, status="lost")
    with pytest.raises(RunFormatError, match=r"is damaged: Input should be 'running', .* at 'status'"):
        load_run(path)


@pytest.mark.parametrize("version", [0, schema.SCHEMA_VERSION + 1, "1", None])
def test_another_schema_is_refused_with_what_to_do(tmp_path: Path, version: object) -> None:
    path = write_run(tmp_path)
    edited(path, schema_version=version)
    with pytest.raises(
        RunFormatError, match=r"says schema .*; this graddiag reads 1 to \d+\. Install the graddiag that"
    ):
        load_run(path)


def test_a_field_that_a_newer_graddiag_added_is_kept(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    edited(path, cluster="b")
    assert load_run(path).manifest.model_extra == {"cluster": "b"}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "Invalid JSON"),
        (b'{"tables": {"steps": [{"file": "../../x.parquet", "rows": 1, "first_step": 0, "last_step": 0}]}}', "file"),
        (b'{"tables": 3}', "at tables"),
    ],
)
def test_a_damaged_index_is_said_and_never_leads_outside(tmp_path: Path, content: bytes, found: str) -> None:
    path = write_run(tmp_path)
    (path / "tables.json").write_bytes(content)
    with pytest.raises(RunFormatError, match=f"tables.json is not an index of parts: .*{found}"):
        load_run(path)


def test_a_missing_index_is_said(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    (path / "tables.json").unlink()
    with pytest.raises(RunFormatError, match=r"lacks tables.json, which names the parts .*Copy it again"):
        load_run(path)


@pytest.mark.parametrize("keep", [0, 4, 300])
def test_a_part_that_was_cut_short_is_named(tmp_path: Path, keep: int) -> None:
    path = write_run(tmp_path, part_steps=100)
    part = only_part(path)
    part.write_bytes(part.read_bytes()[:keep])
    with pytest.raises(RunFormatError, match=r"timesteps/000001.parquet is not a readable Parquet file: .*schema \d"):
        load_run(path).timesteps  # noqa: B018


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = write_run(tmp_path, part_steps=100)
    part = only_part(path)
    content = bytearray(part.read_bytes())
    offset = (
        pq.read_metadata(part).row_group(0).column(schema.TABLES["timesteps"].names.index("grad_h")).data_page_offset
    )
    content[offset + 60] ^= 1
    part.write_bytes(content)
    with pytest.raises(RunFormatError, match=r"a part cannot be read: "):
        load_run(path).timesteps  # noqa: B018


def test_a_part_without_a_column_says_which_and_what_it_has(tmp_path: Path) -> None:
    path = write_run(tmp_path, part_steps=100)
    part = only_part(path)
    pq.write_table(pq.read_table(part).drop_columns("grad_h"), part)
    message = (
        r"table timesteps lacks column 'grad_h' in timesteps/000001.parquet \(found: step, module, .*\)\. The run says"
    )
    with pytest.raises(RunFormatError, match=message):
        load_run(path).timesteps  # noqa: B018


def test_a_run_of_schema_1_still_loads_and_lacks_what_came_later(tmp_path: Path) -> None:
    path = write_run(tmp_path, part_steps=100)
    edited(path, schema_version=1)
    for table in (schema.TABLE_STEPS, schema.TABLE_PARAMETERS):
        later = [column.name for column in schema.TABLES[table].columns if column.since > 1]
        assert later
        for part in (path / table).glob("*.parquet"):
            pq.write_table(pq.read_table(part).drop_columns(later), part)
    run = load_run(path)
    assert run.steps[schema.LOSS].tolist() == [10.0, 9.0, 8.0, 7.0, 6.0]
    assert run.steps[schema.GRAD_COSINE].isna().all()
    assert list(run.parameters.columns) == list(schema.TABLES[schema.TABLE_PARAMETERS].names)


def test_a_part_with_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path, part_steps=100)
    part = only_part(path)
    rows = pq.read_table(part)
    place = rows.column_names.index("grad_h")
    pq.write_table(rows.set_column(place, "grad_h", rows["grad_h"].cast(pa.string())), part)
    with pytest.raises(RunFormatError, match=r"column 'grad_h' of table timesteps is string in .*, expected float"):
        load_run(path).timesteps  # noqa: B018


def test_a_lost_part_is_said(tmp_path: Path) -> None:
    path = write_run(tmp_path, part_steps=100)
    only_part(path).unlink()
    with pytest.raises(
        RunFormatError, match=r"a part of table timesteps that its index names is gone .*000001.parquet"
    ):
        load_run(path).timesteps  # noqa: B018


def test_a_part_that_vanishes_while_it_is_read_sends_the_reader_to_the_new_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_run(tmp_path, part_steps=100)
    run = load_run(path)
    old = read_index(path)
    (part,) = old.parts("timesteps")
    only_part(path).rename(path / "timesteps" / "000001-2.parquet")
    write_index(path, Index(tables={"timesteps": (part.model_copy(update={"file": "timesteps/000001-2.parquet"}),)}))
    found = iter([read_index(path)])
    monkeypatch.setattr("graddiag.store.reader.read_index", lambda folder: next(found))
    assert len(run.timesteps) == part.rows


def test_files_that_the_index_does_not_name_are_not_read(tmp_path: Path) -> None:
    path = write_run(tmp_path, part_steps=100)
    (path / "timesteps" / "000002.parquet").write_bytes(b"")
    (path / "timesteps" / ".000003.parquet.tmp").write_bytes(b"")
    assert len(load_run(path).timesteps) == 20


def test_the_fingerprint_follows_manifest_and_tables(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    first = fingerprint(path)
    assert first == fingerprint(path)
    (path / "cache.json").touch()
    assert first == fingerprint(path)
    edited(path, notes="seen")
    assert first != fingerprint(path)
    write_index(path, Index())
    assert fingerprint(path) not in (first, "")
