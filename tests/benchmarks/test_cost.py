"""The benchmarks of unrecorded steps and of long runs do what they say, on runs of a few steps."""

from pathlib import Path

import pytest

from benchmarks.long_runs import PARTS, ROWS_T, read_back, readings
from benchmarks.long_runs import table as table_of_run
from benchmarks.unrecorded import NETWORKS, VARIANTS, cpu_milliseconds, table


def test_each_variant_of_an_unrecorded_step_is_measured_in_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.unrecorded.BLOCK", 2)
    found = cpu_milliseconds(NETWORKS[0], rounds=2)
    assert {name: len(turns) for name, turns in found.items()} == dict.fromkeys(VARIANTS, 2)
    assert table(NETWORKS[0], found).row_count == len(VARIANTS)


@pytest.mark.parametrize(("name", "rows"), [("rows", ROWS_T * 40), ("recorded", 5 * 40), ("scalars", 5)])
def test_a_long_run_is_read_tenth_by_tenth_and_holds_every_step(name: str, rows: int, tmp_path: Path) -> None:
    found = list(readings(name, 40, tmp_path))
    assert [each.steps for each in found] == [4] * PARTS
    assert all(each.process >= 0 and each.resident > 0 and each.files > 0 for each in found)
    assert read_back(tmp_path / "run")[0] == rows
    assert table_of_run(name, 40, found).row_count == PARTS
