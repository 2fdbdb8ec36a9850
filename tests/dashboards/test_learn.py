"""The Learn pages in this process: every slider moved, every example pressed, every view a link."""

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboards.conftest import Open
from tests.dashboards.drawn import charts, figures
from tests.dashboards.serving import APP
from tests.dashboards.test_pages import words

PAGES = sorted(path.stem for path in (APP.parent / "pages").glob("learn_*.py"))
FIGURES = {"learn_vanishing": 2, "learn_gates": 1, "learn_clipping": 6, "learn_cliff": 2, "learn_saturation": 2}


def sound(page: AppTest) -> None:
    assert not page.exception
    assert not page.warning
    assert not page.error


def drawn(page: AppTest) -> list[dict[str, Any]]:
    return figures(page)


def test_every_lesson_is_in_the_menu() -> None:
    from ui.shell import LESSONS

    assert sorted(name for name, _ in LESSONS) == PAGES == sorted(FIGURES)


@pytest.mark.parametrize("name", PAGES)
def test_a_lesson_draws_its_figures_and_leads_on(open_page: Open, name: str) -> None:
    page = open_page(name)
    sound(page)
    assert len(drawn(page)) == FIGURES[name]
    assert all(chart["alt"] for chart in charts(page))
    links = [element.proto for element in page.get("page_link")]
    assert links[0].page == "lab"
    assert "kind=preset" in links[0].query_string
    assert links[1].page in PAGES
    assert links[1].label.startswith("Back to lesson 1: " if name == "learn_saturation" else "Next: ")


@pytest.mark.parametrize("end", ["min", "max"])
@pytest.mark.parametrize("name", PAGES)
def test_every_slider_can_be_moved_to_its_ends(open_page: Open, name: str, end: str) -> None:
    page = open_page(name)
    for slider in page.slider:
        slider.set_value(getattr(slider, end))
        page.run()
        sound(page)
    assert len(drawn(page)) == FIGURES[name]


@pytest.mark.parametrize("name", PAGES)
def test_every_example_can_be_pressed(open_page: Open, name: str) -> None:
    page = open_page(name)
    for index, button in enumerate(page.button):
        page.button[index].click().run()
        sound(page)
        assert button.label


@pytest.mark.parametrize("phi", ["tanh", "relu", "sigmoid", "identity"])
def test_every_nonlinearity(open_page: Open, phi: str) -> None:
    page = open_page("learn_vanishing", phi=phi, drive="0.0")
    sound(page)
    assert page.segmented_control[0].value == phi
    drives = [slider for slider in page.slider if slider.label.startswith("Input drive")]
    assert len(drives) == (phi != "identity")


def test_a_link_gives_the_view(open_page: Open) -> None:
    page = open_page("learn_vanishing", gain="1.1", length="60", phi="identity")
    sound(page)
    assert [page.slider[0].value, page.slider[1].value] == [1.1, 60]
    assert "grows to 277 times its norm" in words(page)


@pytest.mark.parametrize("given", ["9", "-1", "x", "nan", "<b>"])
def test_a_link_with_nonsense_gives_the_page_as_it_opens(open_page: Open, given: str) -> None:
    page = open_page("learn_vanishing", gain=given, phi=given)
    sound(page)
    assert 0.5 <= page.slider[0].value <= 1.6


@pytest.mark.parametrize(("first", "told"), [("inf", "After: (NaN, 0)"), ("NaN", "After: (NaN, NaN)")])
def test_what_clipping_makes_of_inf_and_nan(open_page: Open, first: str, told: str) -> None:
    page = open_page("learn_clipping", first=first)
    sound(page)
    assert told in words(page)


def test_the_cliff_can_be_coloured_by_its_gradient(open_page: Open) -> None:
    page = open_page("learn_cliff", colour="gradient")
    sound(page)
    assert drawn(page)[0]["data"][0]["colorbar"]["title"]["text"] == "‖∇E‖"


def test_the_start_of_the_descent_is_the_z_above(open_page: Open) -> None:
    log = words(open_page("learn_saturation", z="-3")).replace("\xa0", " ")
    assert "From z = -3 (p = 0.0474, the slider above)" in log


def test_the_text_on_gains_has_the_numbers_of_the_figure(open_page: Open) -> None:
    assert "277 times as large" in words(open_page("learn_vanishing"))


def test_a_norm_ratio_is_no_coefficient(open_page: Open) -> None:
    log = words(open_page("learn_clipping"))
    assert "norm 1.41, norm ratio 0.392" in log
    assert "norm 1, coefficient 0.277" in log


def test_lessons_need_no_runs_folder(open_page: Open, root: Path) -> None:
    sound(open_page("learn_cliff"))
    assert not root.exists()
