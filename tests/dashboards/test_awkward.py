"""Every page of every awkward run: it is drawn, or says in words why not."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.dashboards.conftest import Open
from tests.dashboards.synthetic import Made, awkward, pair, write_all
from tests.dashboards.test_pages import pictures, words

AWKWARD = awkward()
SECTIONS = ("through time", "training", "gates", "weights", "clipping", "health")


@pytest.mark.slow
@pytest.mark.parametrize("made", AWKWARD.values(), ids=AWKWARD)
def test_every_section_of_run_and_compare(open_page: Open, root: Path, made: Made) -> None:
    plain, link = write_all(root, (pair()[0], made))
    for section in SECTIONS:
        for page in (
            open_page("run", run=link, section=section),
            open_page("compare", run=[plain, link], section=section),
        ):
            assert not page.exception
            assert not page.warning
            assert "Could not open" not in words(page)
            assert "Could not be read" not in words(page)
            assert pictures(page) or "No " in words(page)


@pytest.mark.parametrize("name", ["hostile", "root module"])
@pytest.mark.parametrize("section", SECTIONS)
def test_compare_pictures_what_two_of_a_kind_have_in_common(
    open_page: Open, root: Path, name: str, section: str
) -> None:
    links = write_all(root, (AWKWARD[name], replace(AWKWARD[name], name="twin", arm="another")))
    page = open_page("compare", run=links, section=section)
    assert not page.exception
    assert not page.warning
    assert "no layer in common" not in words(page)
    assert pictures(page) or "No " in words(page)


@pytest.mark.parametrize("made", AWKWARD.values(), ids=AWKWARD)
def test_the_experiment_page(open_page: Open, root: Path, made: Made) -> None:
    plain, _ = pair()
    inside = Made(**{**vars(made), "experiment": "pair", "arm": "clip on"})
    write_all(root, (plain, inside))
    page = open_page("experiment", experiment="pair")
    assert not page.exception
    assert pictures(page) == 3
    assert {element.value for element in page.subheader} == {"Success", "Every run", "Every run across its settings"}


@pytest.mark.parametrize("made", AWKWARD.values(), ids=AWKWARD)
def test_the_runs_the_report_and_the_lab_beside_it(open_page: Open, root: Path, made: Made) -> None:
    (link,) = write_all(root, [made])
    for page in (
        open_page("runs", selected=link),
        open_page("report", run=link),
        open_page("lab"),
        open_page("lab", kind="preset"),
    ):
        assert not page.exception
        assert "Could not be read" not in words(page)


def test_an_experiment_tells_which_runs_succeed(open_page: Open, root: Path) -> None:
    write_all(root, [made for seed in range(2) for made in pair(seed=seed)])
    page = open_page("experiment", experiment="pair")
    page.number_input[0].set_value(0.3).run()
    assert "2 of 2" in words(page)
    page.number_input[0].set_value(0.1).run()
    assert "0 of 2" in words(page)


def test_an_experiment_says_what_is_the_same_in_all_of_its_runs(open_page: Open, root: Path) -> None:
    write_all(root, pair())
    page = open_page("experiment", experiment="pair")
    assert "The same in all runs and left out: seed 0." in words(page)


def test_without_experiments_it_says_how_to_make_one(open_page: Open, root: Path) -> None:
    write_all(root, [AWKWARD["no seed"]])
    page = open_page("experiment")
    assert not page.exception
    assert "No run under this root belongs to an experiment" in words(page)
    assert pictures(page) == 0


def test_an_experiment_that_is_not_there(open_page: Open, root: Path) -> None:
    write_all(root, pair())
    page = open_page("experiment", experiment="<b>gone</b>")
    assert not page.exception
    assert "There is no experiment &#x27;&lt;b&gt;gone&lt;/b&gt;&#x27;" in words(page)
