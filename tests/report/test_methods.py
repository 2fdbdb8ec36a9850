import pandas as pd

from graddiag import schema
from graddiag.analysis.frames import nullable
from graddiag.report.content import ReportGrid
from graddiag.report.methods import configuration, methods
from graddiag.run import Run
from tests.store.runs import manifest


def run(**changes: object) -> Run:
    return Run.from_frames(manifest(**changes))


def test_the_conditions_of_a_run_are_all_there() -> None:
    about = methods([run(seed=7, clip="norm:1", loss_reduction="mean over batch", every=5, versions={"torch": "2.13"})])
    assert about.runs.rows == (("a run", "7", "norm:1", "mean over batch", "every 5 steps", "running"),)


def test_what_is_not_known_is_a_dash_and_an_error_is_told() -> None:
    (row,) = methods([run(status="failed", error="ValueError: no")]).runs.rows
    assert row == ("a run", "–", "–", "–", "every step", "failed: ValueError: no")  # noqa: RUF001


def test_versions_are_told_once_or_by_run() -> None:
    old, new = run(name="a", versions={"torch": "2.12"}), run(name="b", versions={"torch": "2.13", "numpy": "2.4"})
    assert methods([old, old]).repeat[0] == "Versions: torch 2.12."
    assert methods([run()]).repeat[0] == "Versions: not recorded."
    assert methods([old, new]).repeat[:2] == ("Versions of a: torch 2.12.", "Versions of b: numpy 2.4, torch 2.13.")


def test_the_command_that_repeats_a_run_is_given_if_it_is_known() -> None:
    command = "graddiag run --task text --seed 0"
    assert methods([run(config={"command": command}), run()]).commands == (command,)
    assert methods([run()]).commands == ()
    assert "graddiag.watch" in methods([run()]).repeat[-1]


def test_configurations_stand_side_by_side_with_nested_settings_by_path() -> None:
    first, second = run(name="a", config={"lr": 0.1, "sizes": {"hidden": 4}, "layers": [1, 2]}), run(name="b")
    same, differing = configuration([first, second])
    rows = {row[0]: row[1:] for row in (*same.rows, *differing.rows)}
    assert (same.columns, differing.columns) == (("Setting", "Value"), ("Setting", "a", "b"))
    assert rows["config.lr"] == ("0.1", "–")  # noqa: RUF001
    assert rows["config.sizes.hidden"][0] == "4"
    assert rows["config.layers"][0] == "1, 2"
    assert rows["schema_version"] == (str(schema.SCHEMA_VERSION),)
    assert "notes" not in rows


def test_commands_are_left_out_of_the_configuration_where_the_methods_have_them() -> None:
    about = run(config={"command": "graddiag run", "lr": 1})
    assert [row[0] for row in configuration([about])[0].rows if row[0].startswith("config.")] == [
        "config.command",
        "config.lr",
    ]
    assert "config.command" not in dict(configuration([about], commands=False)[0].rows)


def test_many_runs_are_several_tables() -> None:
    grids = configuration([run(name=str(n)) for n in range(5)])
    assert [grid.columns for grid in grids[1:]] == [("Setting", "0", "1", "2", "3"), ("Setting", "4")]


def test_a_table_of_numbers_tells_nan_from_what_is_missing() -> None:
    frame = pd.DataFrame({"name": ["a", "b", None], "value": nullable([float("nan"), 0.123456, None])})
    assert ReportGrid.of("Values", frame).rows == (("a", "nan"), ("b", "0.123"), ("\N{EN DASH}", "\N{EN DASH}"))
