"""Hidden runs are in no picture, pinned ones come first and stay; both are in the address."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from graddiag import schema
from tests.dashboards.conftest import Open
from tests.dashboards.synthetic import pair, write_all
from tests.dashboards.test_pages import words
from tests.dashboards.test_runtable import listed, unlike
from tests.dashboards.test_views import drawn
from ui.shown import ShownRuns


def lines(figure: dict[str, Any]) -> set[str]:
    """The arms that have a line."""
    return {trace["name"] for trace in figure["data"] if trace.get("mode") == "lines" and trace.get("name")}


def cards(page: AppTest) -> list[str]:
    return [element.value for element in page.markdown if element.value.startswith("### pair/")]


def seeds(root: Path) -> list[str]:
    made = [
        replace(one, name=f"{one.name}-{seed}", seed=seed)
        for seed in range(2)
        for one in pair(steps=20, timesteps=8, seed=seed)
    ]
    return write_all(root, made)


def test_which_runs_are_shown_and_in_which_order() -> None:
    def of(shown: ShownRuns, runs: Sequence[str] = ("a", "b", "c")) -> list[str]:
        return shown.of(runs, str)

    assert of(ShownRuns()) == ["a", "b", "c"]
    assert of(ShownRuns(hidden=("b",), pinned=("c",))) == ["c", "a"]
    assert of(ShownRuns(hidden=("a", "b"), pinned=("b",))) == ["b", "c"]
    assert of(ShownRuns(hidden=("a", "b", "c"))) == ["a", "b", "c"]
    assert ShownRuns(hidden=("a",), pinned=("c",)).first(("a", "b", "c"), str) == ["c", "a", "b"]


def test_a_hidden_run_is_in_no_picture_of_a_comparison_and_in_its_effects(open_page: Open, root: Path) -> None:
    off, on = write_all(root, pair(steps=20, timesteps=8))
    page = open_page("compare", run=[off, on])
    both = lines(drawn(page)[0])
    page.multiselect(key="hide").set_value([on]).run()
    assert not page.exception
    assert lines(drawn(page)[0]) < both
    assert f"Hidden: {on}." in words(page)
    assert "Effects" in {element.value for element in page.subheader}
    again = open_page("compare", run=[off, on], hide=on)
    assert lines(drawn(again)[0]) == lines(drawn(page)[0])


def test_a_pinned_run_stays_where_another_seed_is_pictured(open_page: Open, root: Path) -> None:
    links = seeds(root)
    page = open_page("compare", run=links, seed="1")
    pinned = open_page("compare", run=links, seed="1", pin=links[0])
    assert not pinned.exception
    heat = [sum(trace["type"] == "heatmap" for trace in drawn(each)[1]["data"]) for each in (page, pinned)]
    assert heat[1] > heat[0]
    assert words(pinned).index(links[0]) < words(pinned).index(links[1])


def test_all_hidden_is_none_hidden(open_page: Open, root: Path) -> None:
    links = write_all(root, pair(steps=20, timesteps=8))
    page = open_page("compare", run=links, hide=links)
    assert not page.exception
    assert "All runs are hidden, so all are shown." in words(page)


def test_an_experiment_without_its_hidden_runs(open_page: Open, root: Path) -> None:
    links = seeds(root)
    page = open_page("experiment", experiment="pair", hide=links[:1])
    assert not page.exception
    assert f"Hidden: {links[0]}." in words(page)
    assert "of 1" in words(page)


def test_pinned_runs_come_first_and_stay_whatever_is_found(open_page: Open, root: Path) -> None:
    write_all(root, unlike())
    page = open_page("runs", selected="c", find="b")
    assert listed(page) == ["b"]
    assert listed(open_page("runs", pin="c", sort="Name")) == ["c", "a", "b", "d"]
    assert listed(open_page("runs", pin="c", find="b")) == ["c", "b"]
    assert listed(open_page("runs", pin="gone", find="b")) == ["b"]


def test_the_button_pins_and_unpins(open_page: Open, root: Path) -> None:
    write_all(root, unlike())
    page = open_page("runs", selected="c", sort="Name")
    button = next(each for each in page.button if each.label == "Pin")
    page = button.click().run()
    assert listed(page)[0] == "c"
    assert "pinned" in page.dataframe[0].value.columns
    assert list(page.dataframe[0].value[schema.RUN]) == ["c", "a", "b", "d"]
    page = next(each for each in page.button if each.label == "Unpin").click().run()
    assert listed(page) == ["a", "b", "c", "d"]
