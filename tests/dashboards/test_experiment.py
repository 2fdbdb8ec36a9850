"""The page of an experiment: success of each arm at each length, and a small picture of every arm and length."""

import re
from html import unescape
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboards.conftest import Open
from tests.dashboards.synthetic import Made, write_all
from tests.dashboards.test_pages import words
from tests.dashboards.test_views import drawn

LENGTHS, SEEDS = (10, 20, 40), (0, 1)
SOLVED = {"clip off": (2, 1, 0), "clip on": (2, 2, 1)}  # seeds that succeed, by length
GOAL = {"goal": "loss", "below-loss": "1"}
WON, LOST = 3.0, 60.0  # the loss of step 0, that ends at a twelfth


def runs() -> list[Made]:
    """Two arms at three lengths with two seeds each."""
    return [
        Made(
            f"{arm.replace(' ', '-')}-{length}-{seed}",
            "lengths",
            arm,
            seed,
            clip="none" if arm == "clip off" else "norm:1.0",
            loss=WON if seed < won else LOST,
            config={"length": length},
        )
        for arm, several in SOLVED.items()
        for length, won in zip(LENGTHS, several, strict=True)
        for seed in SEEDS
    ]


def rows(page: AppTest) -> list[list[str]]:
    """The cells of the table of rates."""
    (table,) = [str(each.proto.body) for each in page.get("html") if "95% interval of the rate" in str(each.proto.body)]
    lines = re.findall("<tr>(.*?)</tr>", table)
    return [[unescape(re.sub("<.*?>", "", cell)) for cell in re.findall("<t[hd].*?</t[hd]>", line)] for line in lines]


def test_the_rate_of_each_arm_at_each_length_is_told_and_drawn(open_page: Open, root: Path) -> None:
    write_all(root, runs())
    page = open_page("experiment", experiment="lengths", **GOAL)
    assert [row[:3] for row in rows(page)] == [
        [arm, str(length), f"{won} of {len(SEEDS)}"]
        for arm, several in SOLVED.items()
        for length, won in zip(LENGTHS, several, strict=True)
    ]
    assert rows(page)[2][3] == "0% to 84%"  # Clopper & Pearson (1934), 0 of 2
    success = drawn(page)[0]
    assert success["layout"]["xaxis"]["title"]["text"] == "length of the sequence, timesteps"
    assert success["layout"]["xaxis"]["ticktext"] == ["10", "20", "40"]
    assert [(trace["name"], trace["text"][1].partition(",")[0]) for trace in success["data"]] == [
        ("clip off", "1 of 2 runs"),
        ("clip on", "2 of 2 runs"),
    ]
    assert "clip off 3 of 6; clip on 5 of 6" in words(page)
    assert "the largest norm is that before clipping" in words(page)  # of the picture across settings


def test_every_arm_and_length_has_a_small_picture_with_a_line_for_each_run(open_page: Open, root: Path) -> None:
    write_all(root, runs())
    multiples = drawn(open_page("experiment", experiment="lengths", **GOAL))[1]
    heads = [note["text"] for note in multiples["layout"]["annotations"]]
    assert heads[:-1] == [f"{arm}, length {length}" for arm in SOLVED for length in LENGTHS]
    assert heads[-1] == "goal 1"
    panels = [trace.get("xaxis", "x") for trace in multiples["data"]]
    assert {name: panels.count(name) for name in panels} == dict.fromkeys(("x", "x2", "x3", "x4", "x5", "x6"), 2)


@pytest.mark.parametrize(("below", "won"), [("0.1", 0), ("100", 2)])
def test_what_counts_as_success_may_be_moved(open_page: Open, root: Path, below: str, won: int) -> None:
    write_all(root, runs())
    page = open_page("experiment", experiment="lengths")
    page.number_input(key="below-loss").set_value(float(below)).run()
    assert {row[2] for row in rows(page)} == {f"{won} of 2"}


def test_runs_of_one_length_have_a_line_for_each_arm(open_page: Open, root: Path) -> None:
    write_all(root, [made for made in runs() if made.config["length"] == LENGTHS[1]])
    page = open_page("experiment", experiment="lengths", **GOAL)
    assert [row[:3] for row in rows(page)] == [["clip off", "20", "1 of 2"], ["clip on", "20", "2 of 2"]]
    assert drawn(page)[0]["layout"]["yaxis"]["ticktext"] == ["clip off", "clip on"]
