"""A view is its address: sections, zoom, step, selected runs, filters, settings, a preview."""

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from graddiag.jobs import control
from graddiag.jobs.values import JobRequest
from graddiag.store import load_run, trashed_runs
from tests.dashboards.conftest import Open
from tests.dashboards.drawn import figures
from tests.dashboards.synthetic import HOSTILE, Made, pair, write, write_all
from tests.dashboards.test_pages import words

OVER_TRAINING = {"training": 3, "gates": 2, "clipping": 1}  # how many pictures of a clipped run have an axis of steps


AT_A_GLANCE = 2  # those above the sections


def drawn(page: AppTest) -> list[dict[str, Any]]:
    assert not page.exception
    return figures(page)


def of_steps(page: AppTest) -> list[dict[str, Any]]:
    """The layouts of the pictures that have an axis of steps."""
    layouts = [figure["layout"] for figure in drawn(page)]
    return [layout for layout in layouts if "step" in layout.get("meta", {}).get("axis_roles", {}).values()]


def title(layout: dict[str, Any], name: str) -> str:
    return layout[name].get("title", {}).get("text", "") if name.startswith("xaxis") else ""


def pressed(page: AppTest, label: str) -> AppTest:
    return next(button for button in page.button if button.label == label).click().run()


@pytest.mark.parametrize("section", OVER_TRAINING)
def test_zoom_and_step_reach_every_picture_over_the_training(open_page: Open, root: Path, section: str) -> None:
    _, on = write_all(root, pair(norm=5.0))
    page = open_page("run", run=on, section=section, steps=["3", "7"], step="5")
    found = of_steps(page)
    assert len(found) == AT_A_GLANCE + OVER_TRAINING[section]
    for layout in found:
        assert all(layout[name]["range"] == [2.5, 7.5] for name in layout if title(layout, name) == "step")
        assert 5 in [shape["x0"] for shape in layout["shapes"]]


def test_a_step_outside_the_zoom_is_not_marked_and_nothing_is_narrowed_without_one(open_page: Open, root: Path) -> None:
    link = write(root, pair()[0])
    outside = of_steps(open_page("run", run=link, section="training", steps=["3", "7"], step="10"))
    assert not [shape for layout in outside for shape in layout.get("shapes", []) if shape["x0"] == 10]
    whole = of_steps(open_page("run", run=link, section="training"))
    assert whole
    assert not any(
        layout[name].get("range") == [2.5, 7.5] for layout in whole for name in layout if title(layout, name)
    )


def test_what_heatmaps_show_is_kept_while_another_section_is_looked_at(open_page: Open, root: Path) -> None:
    link = write(root, pair()[1])
    page = open_page("run", run=link, section="through time")
    signal = next(each for each in page.selectbox if each.label == "Signal")
    other = signal.options[1]
    signal.select_index(1).run()
    assert other != signal.options[0]
    for section in ("training", "through time"):
        next(each for each in page.segmented_control if each.label == "Section").set_value(section).run()
        assert not page.exception
        shown = [each for each in page.selectbox if each.label == "Signal"]
        assert bool(shown) is (section == "through time")
    assert shown[0].options[shown[0].index] == other


@pytest.mark.parametrize(
    ("section", "of_a_layer"),
    {
        "through time": True,
        "gates": True,
        "weights": True,
        "training": False,
        "clipping": False,
        "health": False,
    }.items(),
)
def test_a_layer_is_chosen_where_pictures_are_of_one(
    open_page: Open, root: Path, section: str, of_a_layer: bool
) -> None:
    page = open_page("run", run=write(root, pair()[0]), section=section)
    assert any(each.label == "Layer" for each in page.selectbox) is of_a_layer


def test_one_section_is_computed_at_a_time(open_page: Open, root: Path) -> None:
    link = write(root, pair()[0])
    heads = {
        section: [element.value for element in open_page("run", run=link, section=section).subheader]
        for section in ("through time", "training", "gates", "weights", "clipping", "health")
    }
    assert "Signal by step and timestep" in heads["through time"]
    assert "Loss" in heads["training"]
    assert "Gates over training" in heads["gates"]
    assert "Contribution of each timestep to the weight gradient" in heads["weights"]
    assert "What each threshold would clip" in heads["clipping"]
    assert len({head for several in heads.values() for head in several}) == sum(map(len, heads.values()))


def test_all_of_it_can_be_looked_at_again(open_page: Open, root: Path) -> None:
    page = open_page("run", run=write(root, pair()[0]))
    page.slider(key="steps").set_value((2, 8)).run()
    page.slider(key="timesteps").set_value((1, 4)).run()
    assert not page.exception
    pressed(page, "Reset zoom")
    assert page.slider(key="steps").value == (0, 11)
    assert page.slider(key="timesteps").value == (0, 9)


@pytest.mark.parametrize(
    ("pointed", "kept"),
    [
        ({"points": [{"x": 5.0, "y": 3}]}, {"step": 5}),
        ({"box": [{"x": [2.2, 7.6], "y": [4.4, 1.0]}]}, {"steps": (2, 8), "timesteps": (1, 4)}),
        ({"box": [{"x": [-9, 99], "y": [3, 3.2]}]}, {"steps": (0, 11)}),
        ({"box": [], "points": []}, {}),
    ],
    ids=["a click moves the step", "a box zooms", "a box beyond the edge", "nothing"],
)
def test_what_pointing_at_a_heatmap_does(
    monkeypatch: pytest.MonkeyPatch, pointed: dict[str, Any], kept: dict[str, Any]
) -> None:
    from ui import pickers

    ends = {"steps-ends": (0, 11), "timesteps-ends": (0, 9)}
    state: dict[str, Any] = dict(ends)
    monkeypatch.setattr(pickers.st, "session_state", state)
    pickers.take(pointed)
    assert state == {**ends, **kept}


def test_the_ratio_follows_the_zoom(open_page: Open, root: Path) -> None:
    page = open_page("compare", run=write_all(root, pair()), steps=["3", "7"])
    assert len(drawn(page)) >= 2
    assert "Ratio of two runs by step and timestep" in [element.value for element in page.subheader]
    assert "steps 3 to 7" in words(page)


def test_several_seeds_are_drawn_as_bands(open_page: Open, root: Path) -> None:
    links = [link for seed in range(2) for link in write_all(root, pair(seed=seed))]
    page = open_page("compare", run=links)
    assert "Loss over seeds" in [element.value for element in page.subheader]
    assert len(drawn(page)) >= 4


def cards(page: AppTest) -> dict[str, float]:
    """What stands last in each card of a run, and the share of the row that the card has."""
    assert not page.exception
    last = {str(html[-1].proto.body): column.weight for column in page.columns if (html := column.get("html"))}
    return {body: weight for body, weight in last.items() if "arm: " in body}


@pytest.mark.parametrize(("seeds", "across"), [(1, 2), (2, 4), (3, 3)])
def test_cards_stand_in_full_rows(open_page: Open, root: Path, seeds: int, across: int) -> None:
    links = [link for seed in range(seeds) for link in write_all(root, pair(seed=seed))]
    found = cards(open_page("compare", run=links))
    assert len(found) == len(links)
    assert {round(1 / weight) for weight in found.values()} == {across}


def test_a_card_has_the_line_of_its_arm(open_page: Open, root: Path) -> None:
    page = open_page("compare", run=write_all(root, pair()), section="training")
    lines = {trace["name"]: trace["line"]["color"] for trace in drawn(page)[0]["data"] if "line" in trace}
    off, on = cards(page)
    assert f"background:{lines['clip off']}" in off
    assert f"repeating-linear-gradient(90deg,{lines['clip on']} 0px 6px,transparent 6px 8px)" in on


def test_a_note_of_most_effects_is_told_once(open_page: Open, root: Path) -> None:
    links = [link for seed in range(2) for link in write_all(root, pair(seed=seed))]
    links += [write(root, Made("other", "pair", "clip off", clip="none", seed=2, broken_from=5))]
    links += [write(root, Made("another", "pair", "clip on", clip="norm:1.0", seed=2))]
    log = words(open_page("compare", run=links))
    shared = "3 pairs: no interval (their range holds the median in 75% of cases)"
    assert f"Each row that says nothing else: {shared}." in log or log.count(shared) < 4
    assert "NaN or inf, counted as the highest loss, in 1 of 3 baseline runs and 0 of 3 of the arm" in log


def links(page: AppTest) -> list[str]:
    """The links of the page."""
    assert not page.exception
    return [element.proto.label for element in page.get("page_link")]


def test_selected_runs_are_in_the_address(open_page: Open, root: Path) -> None:
    off, on = write_all(root, pair())
    assert links(open_page("runs")) == []
    assert links(open_page("runs", selected=on)) == ["Open", "Its experiment"]
    assert links(open_page("runs", selected=[off, on, "gone"])) == ["Compare", "Its experiment"]


def test_filter_and_sort_are_in_the_address(open_page: Open, root: Path) -> None:
    off, on = write_all(root, pair())
    table = open_page("runs", filter="clip = norm:1.0").dataframe[0].value
    assert list(table["run"]) == [on]
    table = open_page("runs", filter=["clip = norm:1.0", "clip = none"], sort="Name").dataframe[0].value
    assert list(table["run"]) == [off, on]


def test_tags_and_notes_are_kept_and_shown_as_text(open_page: Open, root: Path) -> None:
    link = write(root, pair()[0])
    page = open_page("runs", selected=link)
    page.text_area(key=f"notes-{link}").set_value(HOSTILE[0])
    pressed(page, "Save")
    assert not page.exception
    assert load_run(root / link).manifest.notes == HOSTILE[0]
    assert list(page.dataframe[0].value["notes"]) == [HOSTILE[0]]
    assert HOSTILE[0] not in words(page)


def test_a_run_goes_to_the_trash_and_comes_back(open_page: Open, root: Path) -> None:
    off, on = write_all(root, pair())
    page = open_page("runs", selected=off)
    pressed(page, "Move to the trash")
    assert not page.exception
    assert list(page.dataframe[0].value["run"]) == [on]
    assert [one.run for one in trashed_runs(root)] == [off]
    page.multiselect(key="trash").set_value([page.multiselect(key="trash").options[0]]).run()
    pressed(page, "Restore")
    assert sorted(page.dataframe[0].value["run"]) == [off, on]


def test_settings_of_a_preset_are_in_the_address(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[JobRequest] = []
    monkeypatch.setattr(control, "start", lambda root, request: asked.append(request))
    page = open_page("lab", kind="preset", preset="rnnlm", **{"rnnlm-True-classes": "7"})
    assert page.text_input(key="rnnlm-True-classes").value == "7"
    next(button for button in page.button if button.label == "Start").click().run()
    assert asked[0].arguments[:5] == ("lab", "rnnlm", "--quick", "--set", "classes=7")


def test_a_link_to_a_preview_shows_one(open_page: Open, root: Path) -> None:
    links = write_all(root, pair())
    assert not open_page("report", run=links).get("iframe")
    page = open_page("report", run=links, preview="true", sections=["methods"])
    assert not page.exception
    (frame,) = page.get("iframe")
    assert "<h1>" in str(frame.proto)
