from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.run import Run, empty_frame, numbers, remembered
from tests.store.runs import NAN, manifest


def run_of(**tables: pd.DataFrame) -> Run:
    return Run.from_frames(manifest("typed"), **tables)


def test_a_typed_frame_gets_every_declared_column_and_absent_ones_are_null() -> None:
    steps = run_of(steps=pd.DataFrame({"step": [0, 1], "loss": [1.0, NAN], "ppl": [1.0, 2.0]})).steps
    assert set(steps.columns) == {*schema.TABLES["steps"].names, "ppl"}
    assert numbers(steps["lr"])[1].tolist() == [True, True]
    assert numbers(steps["loss"])[1].tolist() == [False, False]


def test_none_in_a_typed_frame_is_null_and_not_nan() -> None:
    loss = pd.Series([1.0, None], dtype=object)
    values, missing = numbers(run_of(steps=pd.DataFrame({"step": [0, 1], "loss": loss})).steps["loss"])
    assert missing.tolist() == [False, True]
    np.testing.assert_array_equal(values, [1.0, NAN])


@pytest.mark.parametrize("table", list(schema.TABLES))
def test_a_table_that_was_not_given_is_empty_with_its_columns(table: str) -> None:
    pd.testing.assert_frame_equal(run_of().read(table), empty_frame(table))


def test_columns_and_rows_are_chosen_as_from_a_folder() -> None:
    run = run_of(steps=pd.DataFrame({"step": range(5), "loss": np.arange(5.0)}))
    assert run.read("steps", columns=["loss"], where={"step": 3})["loss"].tolist() == [3.0]
    assert run.read("steps", columns=["loss"], where={"step": range(1, 3)})["loss"].tolist() == [1.0, 2.0]
    assert run.read("steps", where={"step": [0, 4]})["step"].tolist() == [0, 4]


def test_what_is_remembered_is_made_once_for_each_run_and_its_settings() -> None:
    asked: list[tuple[str, int]] = []

    @remembered
    def analysis(run: Run, power: int, *, sign: int = 1) -> list[int]:
        asked.append((run.name, power * sign))
        return [power]

    one, other = (Run.from_frames(manifest(name)) for name in ("one", "other"))
    assert analysis(one, 2) is analysis(one, 2)
    analysis(one, 3)
    analysis(one, 2, sign=-1)
    analysis(other, 2)
    analysis(replace(one), 2)  # a run of its own
    assert asked == [("one", 2), ("one", 3), ("one", -2), ("other", 2), ("one", 2)]


def test_a_manifest_is_a_table_with_nested_settings_by_path() -> None:
    frame = manifest(config={"lr": 0.1, "model": {"hidden": 3}}, tags=("a", "b"), seed=0).to_frame()
    said = dict(zip(frame["setting"], frame["value"], strict=True))
    assert (said["config.lr"], said["config.model.hidden"], said["tags"], said["seed"]) == (0.1, 3, ["a", "b"], 0)
    assert said["clip"] is None or isinstance(said["clip"], str)
