"""The table of runs: every order that it offers, and filters by settings that stand deep in a configuration."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from graddiag.analysis import FINDING_NAMES, OUTCOME_NAMES, RULES
from tests.dashboards.conftest import Open
from tests.dashboards.synthetic import Made, write_all
from ui.badges import OUTCOMES, VERDICTS
from ui.runtable import ORDERS

# no two orders of these are alike
SORTED = {
    "Newest first": ["d", "b", "c", "a"],
    "Oldest first": ["a", "c", "b", "d"],
    "Name": ["a", "b", "c", "d"],
    "Lowest final loss first": ["c", "d", "a", "b"],
    "Worst outcome first": ["b", "d", "a", "c"],
    "Most steps first": ["b", "c", "d", "a"],
}
LR, MOMENTUM = "optimiser.lr", "optimiser.schedule.warmup"


def unlike() -> list[Made]:
    """One vanishes, one becomes NaN, and all end with other losses after other numbers of steps."""
    return [
        Made("b", day=3, steps=20, broken_from=10),
        Made("a", day=1, steps=10, loss=90.0, timesteps=60, ratio=0.5),
        Made("d", day=4, steps=11, loss=8.0, timesteps=60, ratio=3.0),
        Made("c", day=2, steps=15, loss=4.0),
    ]


def listed(page: AppTest) -> list[str]:
    assert not page.exception
    return [] if not page.dataframe else list(page.dataframe[0].value["run"])


@pytest.mark.parametrize("order", ORDERS)
def test_runs_stand_in_the_order_asked_for(open_page: Open, root: Path, order: str) -> None:
    write_all(root, unlike())
    assert listed(open_page("runs", sort=order)) == SORTED[order]
    page = open_page("runs")
    assert listed(page) == SORTED["Newest first"]
    assert listed(page.selectbox(key="sort").set_value(order).run()) == SORTED[order]


def test_every_outcome_and_every_finding_has_a_badge() -> None:
    assert set(OUTCOMES) == set(OUTCOME_NAMES)
    assert set(FINDING_NAMES) <= set(VERDICTS)
    assert list(VERDICTS)[: len(RULES)] == [rule.name for rule in RULES]


def nested() -> list[Made]:
    lrs, warmups = (0.1, 0.01, 0.001), (5, 5, 7)
    return [
        Made(f"run-{place}", config={"optimiser": {"kind": "sgd", "lr": lr, "schedule": {"warmup": warmup}}})
        for place, (lr, warmup) in enumerate(zip(lrs, warmups, strict=True))
    ]


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ([f"{LR} = 0.01"], ["run-1"]),
        ([f"{LR} = 0.01", f"{LR} = 0.001"], ["run-1", "run-2"]),
        ([f"{MOMENTUM} = 5"], ["run-0", "run-1"]),
        ([f"{MOMENTUM} = 5", f"{LR} = 0.1"], ["run-0"]),
        ([f"{MOMENTUM} = 7", f"{LR} = 0.1"], []),
    ],
)
def test_runs_are_filtered_by_settings_within_settings(
    open_page: Open, root: Path, asked: list[str], left: list[str]
) -> None:
    write_all(root, nested())
    assert listed(open_page("runs", filter=asked, sort="Name")) == left
    page = open_page("runs", sort="Name")
    assert listed(page.multiselect(key="filter").set_value(asked).run()) == left


def test_filters_are_offered_of_settings_that_differ_numbers_by_their_size(open_page: Open, root: Path) -> None:
    write_all(root, nested())
    offered = [each for each in open_page("runs").multiselect(key="filter").options if each.startswith("optimiser")]
    assert offered == [f"{LR} = 0.001", f"{LR} = 0.01", f"{LR} = 0.1", f"{MOMENTUM} = 5", f"{MOMENTUM} = 7"]


def test_words_find_a_setting_within_settings(open_page: Open, root: Path) -> None:
    write_all(root, nested())
    assert listed(open_page("runs", find="optimiser.lr=0.001")) == ["run-2"]
    assert listed(open_page("runs", find=f"{MOMENTUM}=5 run-0")) == ["run-0"]


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("optimiser.lr<0.05", ["run-1", "run-2"]),
        ("optimiser.lr>=0.01 optimiser.lr<=0.01", ["run-1"]),
        ("steps>11", ["run-0", "run-1", "run-2"]),
        ("loss>1", []),
        ("loss<1 run-2", ["run-2"]),
        ("nothing<1", []),
        ("/run-[02]$|^none/", []),
        ("/run-[02]/", ["run-0", "run-2"]),
        ("/RUN-0|run-1/ optimiser.lr=0.1", ["run-0"]),
        ("/(/", []),
        ("lr<", []),
        ("/", ["run-0", "run-1", "run-2"]),
    ],
)
def test_find_takes_numbers_and_regular_expressions(open_page: Open, root: Path, typed: str, left: list[str]) -> None:
    write_all(root, [replace(made, notes="a/b") for made in nested()])
    assert listed(open_page("runs", find=typed, sort="Name")) == left


def test_the_command_and_long_settings_are_no_filters(open_page: Open, root: Path) -> None:
    write_all(
        root,
        [
            Made(f"run-{n}", config={"command": f"graddiag run {n}", "text": "x" * 50 + str(n), "size": n})
            for n in (1, 2)
        ],
    )
    offered = {each.partition(" = ")[0] for each in open_page("runs").multiselect(key="filter").options}
    assert "size" in offered
    assert not {"command", "text"} & offered


def test_tags_are_seen_at_a_desk_and_no_cause_is_cut(open_page: Open, root: Path) -> None:
    link = write_all(root, [Made("gone", timesteps=60, ratio=0.5, notes="baseline")])[0]
    (table,) = open_page("runs", find=link).dataframe
    assert list(table.proto.column_order).index("tags") < 6
    widths = json.loads(table.proto.columns)
    assert widths["cause"]["width"] >= 7.6 * len("vanishing") + 40
