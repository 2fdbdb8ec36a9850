"""CSV and Parquet against the run's tables, and the folder they are put into."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import graddiag
from graddiag import schema
from graddiag.errors import InputError, SettingError
from graddiag.integrations.tables import export_csv, export_parquet
from graddiag.integrations.target import MARK
from graddiag.run import numbers
from tests.integrations.frames import assert_same


@pytest.mark.parametrize("table", schema.TABLES)
def test_parquet_holds_every_row_with_null_and_nan_apart(recorded: graddiag.Run, table: str, tmp_path: Path) -> None:
    export_parquet(recorded, tmp_path / "out")
    read = pd.read_parquet(tmp_path / "out" / f"{table}.parquet", dtype_backend="pyarrow")
    assert_same(read, recorded.read(table))


@pytest.mark.parametrize("table", schema.TABLES)
def test_csv_holds_every_row(recorded: graddiag.Run, table: str, tmp_path: Path) -> None:
    export_csv(recorded, tmp_path / "out")
    read = pd.read_csv(tmp_path / "out" / f"{table}.csv", keep_default_na=False)
    expected = recorded.read(table)
    assert list(read.columns) == list(expected.columns)
    assert len(read) == len(expected)
    for name in expected:
        if not pd.api.types.is_string_dtype(expected[name]):
            values, missing = numbers(expected[name])
            text = read[name].astype(str)
            assert ((text == "") == missing).all(), name  # an empty field is null and nothing else
            np.testing.assert_allclose(text[~missing].astype(float), values[~missing], rtol=1e-6, err_msg=name)


def test_the_fields_of_csv_tell_null_nan_and_inf_apart(recorded: graddiag.Run, tmp_path: Path) -> None:
    export_csv(recorded, tmp_path / "out")
    rows = pd.read_csv(tmp_path / "out" / "steps.csv", dtype=str, keep_default_na=False)
    assert rows.odd.tolist()[3:6] == ["inf", "-inf", "nan"]
    assert rows.late.tolist()[0] == ""


def test_beside_the_tables_is_what_they_mean(recorded: graddiag.Run, tmp_path: Path) -> None:
    export_csv(recorded, tmp_path / "out")
    columns = pd.read_csv(tmp_path / "out" / "columns.csv", keep_default_na=False)
    assert len(columns) == sum(len(table.columns) for table in schema.TABLES.values())
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["id"] == recorded.manifest.id


def test_a_table_longer_than_a_block_is_whole(
    recorded: graddiag.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graddiag.store.tables._ROWS", 10)
    export_parquet(recorded, tmp_path / "out")
    read = pd.read_parquet(tmp_path / "out" / "timesteps.parquet", dtype_backend="pyarrow")
    assert_same(read, recorded.timesteps)


def test_a_run_without_a_step_gives_headers(empty: graddiag.Run, tmp_path: Path) -> None:
    export_csv(empty, tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "timesteps.csv").empty


def test_an_export_is_replaced_when_forced_and_not_before(recorded: graddiag.Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_csv(recorded, out)
    with pytest.raises(SettingError, match="an export is there already"):
        export_parquet(recorded, out)
    assert (out / "steps.csv").exists()
    export_parquet(recorded, out, force=True)
    assert not (out / "steps.csv").exists()
    assert json.loads((out / MARK).read_text())["format"] == "parquet"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_no_export_is_never_replaced(recorded: graddiag.Run, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    for place in (tmp_path, kept, recorded.path):
        with pytest.raises(SettingError, match="something else is there already"):
            export_csv(recorded, place, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_an_empty_folder_is_filled(recorded: graddiag.Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export_csv(recorded, tmp_path / "out")
    assert (tmp_path / "out" / "steps.csv").exists()


def test_a_place_that_cannot_be_written_is_said(recorded: graddiag.Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="it cannot be written"):
        export_csv(recorded, tmp_path / "file" / "out")


def test_an_export_that_breaks_off_leaves_nothing(
    recorded: graddiag.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("graddiag.integrations.tables.write_table", broken)
    with pytest.raises(KeyboardInterrupt):
        export_csv(recorded, tmp_path / "out")
    assert not list(tmp_path.iterdir())
