"""The benchmark of the analyses: it forgets none of them, and each works on the run that it makes."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import get_type_hints

import pytest

import graddiag
from benchmarks._long_run import Size, make_run
from benchmarks.analysis import ANALYSES, EXEMPT, Asked, Cost, asked_by, beyond, do, table
from graddiag import analysis, schema
from graddiag.run import Run

TINY = Size(steps=60, timesteps=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("bench"), TINY)


def test_no_analysis_is_left_out_without_a_reason() -> None:
    offered = [getattr(analysis, name) for name in analysis.__all__]
    hints = {each.__name__: get_type_hints(each).values() for each in offered if inspect.isfunction(each)}
    of_runs = {name for name, kinds in hints.items() if Run in kinds or Sequence[Run] in kinds}
    assert of_runs <= {name.partition(",")[0] for name in ANALYSES} | set(EXEMPT)
    assert all(EXEMPT.values())


def test_the_run_has_every_table(folder: Path) -> None:
    run = graddiag.load_run(folder)
    assert [name for name in schema.TABLES if run.read(name).empty] == ["events"]  # its spikes come later


@pytest.mark.parametrize("name", ANALYSES)
def test_each_finds_what_it_needs_and_so_does_its_bare_read(name: str, folder: Path) -> None:
    run = graddiag.load_run(folder)
    asked = asked_by((name, folder))
    assert asked
    do(name, run, None)
    do(name, run, asked)


def test_what_takes_long_and_more_than_three_times_the_bare_read_is_marked() -> None:
    bare, slow, short = Cost(0.1, 0.1, 1.0), Cost(0.4, 0.4, 1.0), Cost(0.09, 0.1, 1.0)
    assert beyond(bare, slow)
    assert not beyond(bare, bare)
    assert not beyond(Cost(0.01, 0.01, 1.0), short)
    (marks,) = [column for column in table({"a": (bare, slow), "b": (bare, bare)}, TINY).columns if column.header == ""]
    assert list(marks.cells) == ["!", ""]


def test_a_reader_that_listens_keeps_columns_and_steps(folder: Path) -> None:
    (asked,) = asked_by(("final_loss", folder))
    assert isinstance(asked, Asked)
    assert asked.table == schema.TABLE_STEPS
    assert schema.LOSS in asked.columns
