import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graddiag import schema
from graddiag.errors import SettingError
from graddiag.run import Run, empty_frame, numbers
from graddiag.store import RunWriter, load_run
from tests.store.runs import INF, NAN, gate_rows, layer_rows, manifest, write_run


def written(tmp_path: Path, table: str, *blocks: dict[str, Any], **setting: Any) -> Run:
    with RunWriter(tmp_path, manifest(), **setting) as writer:
        for block in blocks:
            writer.append(table, block)
    return load_run(writer.path)


def test_null_nan_and_inf_come_back_as_three_things(tmp_path: Path) -> None:
    run = written(tmp_path, "timesteps", layer_rows(0, 5, grad_h=[1.5, None, NAN, INF, -INF]))
    values, missing = numbers(run.timesteps["grad_h"])
    np.testing.assert_array_equal(missing, [False, True, False, False, False])
    np.testing.assert_array_equal(values, [1.5, NAN, NAN, INF, -INF])


def test_a_masked_entry_is_null(tmp_path: Path) -> None:
    grad_h = np.ma.array([1.0, 2.0, NAN], mask=[False, True, False])
    values, missing = numbers(written(tmp_path, "timesteps", layer_rows(0, 3, grad_h=grad_h)).timesteps["grad_h"])
    np.testing.assert_array_equal(missing, [False, True, False])
    np.testing.assert_array_equal(values, [1.0, NAN, NAN])


def test_a_column_without_null_is_numpy_and_its_nan_is_a_finding(tmp_path: Path) -> None:
    frame = written(tmp_path, "timesteps", layer_rows(0, 2, grad_h=[NAN, 1.0])).timesteps
    assert frame["grad_h"].dtype == np.float32
    assert not numbers(frame["grad_h"])[1].any()


def test_a_column_that_was_not_given_is_null(tmp_path: Path) -> None:
    run = written(tmp_path, "timesteps", layer_rows(0))
    assert numbers(run.timesteps["grad_c"])[1].all()


def test_a_null_in_one_part_does_not_touch_the_others(tmp_path: Path) -> None:
    blocks = [{"step": step, "loss": loss} for step, loss in enumerate([1.0, None, NAN])]
    values, missing = numbers(written(tmp_path, "steps", *blocks, part_steps=1).steps["loss"])
    np.testing.assert_array_equal(missing, [False, True, False])
    np.testing.assert_array_equal(values, [1.0, NAN, NAN])


@pytest.mark.parametrize("tiny", [1e-24, 1e-45, 3.4e38])
def test_float32_keeps_its_whole_range(tmp_path: Path, tiny: float) -> None:
    run = written(tmp_path, "timesteps", layer_rows(0, 1, grad_h=[tiny]))
    assert run.timesteps["grad_h"].item() == np.float32(tiny) > 0


def test_float64_keeps_every_bit(tmp_path: Path) -> None:
    assert written(tmp_path, "steps", {"step": 0, "loss": 0.1 + 1e-16}).steps["loss"].item() == 0.1 + 1e-16


def test_every_declared_column_has_its_declared_dtype(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest()) as writer:
        for table in schema.TABLES.values():
            writer.append(table.name, {c.name: "x" if c.dtype == "string" else 1 for c in table.columns})
    run = load_run(writer.path)
    for name in schema.TABLES:
        pd.testing.assert_series_equal(run.read(name).dtypes, empty_frame(name).dtypes)


@pytest.mark.parametrize("table", list(schema.TABLES))
def test_a_table_without_rows_is_an_empty_frame_with_its_columns(tmp_path: Path, table: str) -> None:
    with RunWriter(tmp_path, manifest()) as writer:
        writer.append(table, {"step": [], **{key: [] for key in schema.TABLES[table].keys}})
    pd.testing.assert_frame_equal(load_run(writer.path).read(table), empty_frame(table))


def test_parts_come_back_as_one_table_in_order(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path, steps=7, part_steps=2))
    assert len(list((run.path or tmp_path).glob("timesteps/*.parquet"))) == 4
    assert run.timesteps["step"].tolist() == sorted([*range(7)] * 4)
    assert run.timesteps["timestep"].tolist() == [0, 1, 2, 3] * 7
    assert run.gates["gate"].tolist() == ["i", "f", "g", "o"] * 2 * 7
    assert run.steps["loss"].tolist() == [10.0 - step for step in range(7)]


def test_rows_of_a_late_step_are_put_in_order(tmp_path: Path) -> None:
    run = written(tmp_path, "steps", {"step": [2, 0], "loss": [2.0, 0.0]}, {"step": 1, "loss": 1.0})
    assert run.steps["step"].tolist() == run.steps["loss"].tolist() == [0, 1, 2]


def test_logged_scalars_are_further_columns_and_null_where_not_logged(tmp_path: Path) -> None:
    blocks = [{"step": 0}, {"step": 1, "ppl": 7.5}, {"step": 2, "ppl": NAN, "größe <b>": 3}]
    steps = written(tmp_path, "steps", *blocks, part_steps=1).steps
    assert list(steps.columns) == [*schema.TABLES["steps"].names, "ppl", "größe <b>"]
    values, missing = numbers(steps["ppl"])
    np.testing.assert_array_equal(missing, [True, False, False])
    np.testing.assert_array_equal(values, [NAN, 7.5, NAN])


def test_columns_and_rows_are_chosen_while_reading(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path, steps=5))
    frame = run.read("timesteps", columns=["grad_h", "timestep"], where={"step": 3, "module": "lstm"})
    assert list(frame.columns) == ["grad_h", "timestep"]
    np.testing.assert_allclose(frame["grad_h"], [3.0, 3.1, 3.2, 3.3], rtol=1e-6)
    assert run.read("timesteps", where={"step": [1, 4], "timestep": 0})["step"].tolist() == [1, 4]
    assert run.read("steps", where={"step": range(2, 4)})["loss"].tolist() == [8.0, 7.0]
    assert run.read("timesteps", where={"module": "gru"}).empty
    assert run.read("timesteps", where={"step": 99}).empty


def test_a_chosen_step_opens_its_own_part_alone(tmp_path: Path) -> None:
    path = write_run(tmp_path, steps=6, part_steps=2)
    (path / "timesteps" / "000001.parquet").write_bytes(b"not opened")
    assert len(load_run(path).read("timesteps", where={"step": 5})) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": ["ppl"]}, r"table steps has no column 'ppl'; it has step, loss, "),
        ({"where": {"gate": "i"}}, r"table steps has no column 'gate'"),
        ({"where": {"step": "x"}}, r"column 'step' of table steps holds int32; it cannot be 'x'"),
    ],
)
def test_asking_for_what_is_not_there_says_what_is(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    run = load_run(write_run(tmp_path))
    with pytest.raises(SettingError, match=message):
        run.read("steps", **arguments)


def test_an_unknown_table_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"no table 'weights'; a run has steps, timesteps"):
        load_run(write_run(tmp_path)).read("weights")


def test_the_manifest_comes_back_and_its_config_is_plain(tmp_path: Path) -> None:
    config = {"lr": 0.1, "path": Path("a"), "bad": NAN, "sizes": (1, np.int64(2)), "text": "\ud800<b>", "none": None}
    wanted = manifest("ü <b>", experiment="e", arm="clip off", seed=3, config=config, tags=("x",))
    with RunWriter(tmp_path, wanted) as writer:
        writer.append("steps", {"step": 0})
    found = load_run(writer.path).manifest
    assert found == writer.manifest
    assert (found.name, found.seed, found.status) == ("ü <b>", 3, "finished")
    assert found.finished is not None
    assert found.config == {"lr": 0.1, "path": "a", "bad": "nan", "sizes": [1, 2], "text": "?<b>", "none": None}


def test_gates_given_as_a_list_or_as_an_array_are_the_same(tmp_path: Path) -> None:
    as_array = gate_rows(1) | {"gate": np.array(gate_rows(1)["gate"])}
    gates = written(tmp_path, "gates", gate_rows(0), as_array).gates
    assert gates.loc[gates["step"] == 0, "gate"].tolist() == gates.loc[gates["step"] == 1, "gate"].tolist()


def test_a_run_of_schema_2_that_logged_its_batch_size_still_loads(tmp_path: Path) -> None:
    """Columns that schema 3 brought are null in it; what was logged under the name of one is that column."""
    path = write_run(tmp_path, part_steps=9)
    new = [column.name for column in schema.TABLES["steps"].columns if column.since == 3]
    [part] = (path / "steps").glob("*.parquet")
    table = pq.read_table(part).drop_columns(new)
    pq.write_table(table.append_column("batch_size", pa.array([32.0] * len(table))), part, write_page_checksum=True)
    for name, change in (("manifest.json", {}), ("tables.json", {"steps": "batch_size"})):
        content = json.loads((path / name).read_text()) | {"schema_version": 2}
        for changed, extra in change.items():
            content["tables"][changed][0]["extra"] = [extra]
        (path / name).write_text(json.dumps(content))
    steps = load_run(path).steps
    assert steps["batch_size"].tolist() == [32.0] * 5
    assert steps["loss"].tolist() == [10.0, 9.0, 8.0, 7.0, 6.0]
    assert steps[[name for name in new if name != "batch_size"]].isna().all().all()
