"""Runs that earlier versions have recorded, one of each schema: they load, and a later one is refused in words.

All are of the same training (tests/data/record.py), so that what they hold is known from one another.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from graddiag import diagnose, list_runs, load_run, schema, write_report
from graddiag.errors import RunFormatError

DATA = Path(__file__).parents[1] / "data"
VERSIONS = range(schema.OLDEST_READABLE_SCHEMA, schema.SCHEMA_VERSION + 1)
versions = pytest.mark.parametrize("version", VERSIONS)


def test_there_is_a_run_of_each_schema() -> None:
    assert {folder.name for folder in DATA.iterdir() if folder.is_dir()} == {f"schema-{each}" for each in VERSIONS}


@versions
def test_a_run_of_each_schema_holds_what_it_recorded(version: int) -> None:
    run, newest = load_run(DATA / f"schema-{version}"), load_run(DATA / f"schema-{schema.SCHEMA_VERSION}")
    assert run.manifest.schema_version == version
    assert (run.manifest.status, run.manifest.clip, run.manifest.seed) == ("finished", "norm:0.1", 0)
    for table in (schema.TABLE_STEPS, schema.TABLE_TIMESTEPS, schema.TABLE_GATES, schema.TABLE_PARAMETERS):
        declared, found, known = schema.TABLES[table], run.read(table), newest.read(table)
        assert found[list(declared.keys)].equals(known[list(declared.keys)])
        for column in declared.columns:
            if column.since > version:
                assert found[column.name].isna().all(), column.name
    for table, column in ((schema.TABLE_STEPS, schema.LOSS), (schema.TABLE_TIMESTEPS, schema.GRAD_H)):
        one, other = (each.read(table)[column].to_numpy(dtype=float) for each in (run, newest))
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.slow
@versions
def test_a_run_of_each_schema_is_listed_diagnosed_and_reported(version: int, tmp_path: Path) -> None:
    shutil.copytree(DATA / f"schema-{version}", tmp_path / "runs" / "old")
    (row,) = list_runs(tmp_path / "runs").to_dict("records")
    assert (row[schema.STATUS], row[schema.STEPS]) == ("finished", 6)
    run = load_run(tmp_path / "runs" / "old")
    assert str(diagnose(run))
    write_report([run], tmp_path / "report.html")
    assert "norm:0.1" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_run_of_a_later_schema_is_refused_in_words_and_hides_no_other(tmp_path: Path) -> None:
    later = tmp_path / "later"
    for folder in (later, tmp_path / "present"):
        shutil.copytree(DATA / f"schema-{schema.SCHEMA_VERSION}", folder)
    content = json.loads((later / "manifest.json").read_text()) | {"schema_version": schema.SCHEMA_VERSION + 1}
    (later / "manifest.json").write_text(json.dumps(content))
    words = (
        f"says schema {schema.SCHEMA_VERSION + 1}; this graddiag reads {schema.OLDEST_READABLE_SCHEMA} to "
        f"{schema.SCHEMA_VERSION}. Install the graddiag that wrote it, or a newer one."
    )
    with pytest.raises(RunFormatError, match=words):
        load_run(later)
    listed = list_runs(tmp_path).set_index(schema.RUN)
    assert sorted(listed[schema.STATUS]) == ["damaged", "finished"]
    assert words in listed[listed[schema.STATUS] == "damaged"][schema.REASON].item()
