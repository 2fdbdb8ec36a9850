"""Two runs side by side: a zoom and a step reach every picture, and what differs between them is told."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboards.conftest import Open
from tests.dashboards.synthetic import Made, pair, write_all
from tests.dashboards.test_pages import words
from tests.dashboards.test_views import drawn, of_steps, title
from ui import pictures

STEPS, TIMESTEPS, GROWTH = 60, 20, 0.5
ZOOM = {"steps": ["10", "30"], "timesteps": ["5", "15"]}
SHOWN = ([9.5, 30.5], [4.5, 15.5])
SECTIONS = {"training": 3, "gates": 2, "clipping": 1}  # the pictures over steps that they have
AT_A_GLANCE = 2  # those above the sections


def numbers(values: Any) -> np.ndarray:
    """An array as plotly sends it: a list, or bytes with their type and shape."""
    if isinstance(values, list):
        return np.array(values)
    found = np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return found.reshape([int(size) for size in values["shape"].split(",")]) if "shape" in values else found


def heatmaps(figure: dict[str, Any]) -> list[dict[str, Any]]:
    return [trace for trace in figure["data"] if trace["type"] == "heatmap" and "coloraxis" in trace]


def pictured(page: AppTest) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The two figures of heatmaps of the section and the profile, which stands below them."""
    _course, _at_a_glance, heat, ratio, profile, *_ = drawn(page)
    return [heat, ratio], profile


def of_pair(root: Path, **settings: Any) -> list[str]:
    return write_all(root, pair(steps=STEPS, timesteps=TIMESTEPS, growth=GROWTH, **settings))


def looked_closer(page: AppTest) -> AppTest:
    """Moves the sliders, as a user does."""
    for key, ends in ZOOM.items():
        page.slider(key=key).set_value((int(ends[0]), int(ends[1]))).run()
    return page.slider(key="step").set_value(20).run()


@pytest.mark.parametrize("by", ["address", "sliders"])
def test_zoom_and_step_reach_both_heatmaps_the_ratio_and_the_profile(open_page: Open, root: Path, by: str) -> None:
    runs = of_pair(root)
    page = open_page("compare", run=runs, step="20", **ZOOM) if by == "address" else open_page("compare", run=runs)
    figures, profile = pictured(page if by == "address" else looked_closer(page))
    assert [len(heatmaps(figure)) for figure in figures] == [2, 1]
    for figure in figures:
        layout = figure["layout"]
        axes = [name for name in layout if name[1:5] == "axis"]
        assert all(layout[name]["range"] == SHOWN[name[0] == "y"] for name in axes)
        marked = {shape["xref"] for shape in layout["shapes"] if shape["x0"] == 20}
        assert marked == {trace.get("xaxis", "x") for trace in heatmaps(figure)}
        assert all(numbers(trace["x"]).tolist() == list(range(10, 31)) for trace in heatmaps(figure))
    last = [numbers(trace["y"])[-1] for trace in profile["data"] if trace["mode"] == "lines"]
    assert last == pytest.approx([2.0 * (1 + GROWTH * 20)] * 2)  # Made.norm, grown over 20 steps
    assert "Signal along the sequence, at step 20" in [element.value for element in page.subheader]


@pytest.mark.parametrize("section", SECTIONS)
def test_zoom_and_step_reach_every_picture_over_the_training_of_a_pair(
    open_page: Open, root: Path, section: str
) -> None:
    found = of_steps(open_page("compare", run=of_pair(root, norm=5.0), section=section, step="20", **ZOOM))
    assert len(found) == AT_A_GLANCE + SECTIONS[section]
    for layout in found:
        assert all(layout[name]["range"] == SHOWN[0] for name in layout if title(layout, name) == "step")
        assert 20 in [shape["x0"] for shape in layout["shapes"]]


def test_a_closer_look_is_a_finer_one(open_page: Open, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_CELLS", 2 * STEPS * TIMESTEPS // 4)  # of two runs: four steps share a column
    runs = of_pair(root)
    whole, _ = pictured(open_page("compare", run=runs))
    closer, _ = pictured(open_page("compare", run=runs, steps=["10", "20"]))
    for before, after in zip(whole, closer, strict=True):
        assert all(numbers(trace["x"]).tolist() == list(range(0, STEPS, 4)) for trace in heatmaps(before))
        assert all(numbers(trace["x"]).tolist() == list(range(10, 21)) for trace in heatmaps(after))
        assert all(numbers(trace["z"]).shape == (TIMESTEPS, 11) for trace in heatmaps(after))


def test_settings_that_differ_are_listed_with_both_values_and_others_are_not(open_page: Open, root: Path) -> None:
    shared = {"batch": 16}
    off = Made("off", "pair", "clip off", config={"optimiser": {"lr": 0.1, "momentum": 0.9}, **shared})
    on = Made("on", "pair", "clip on", clip="norm:1.0", config={"optimiser": {"lr": 0.2, "momentum": 0.9}, **shared})
    page = open_page("compare", run=write_all(root, [off, on]))
    assert not page.exception
    (table,) = [each.value for each in page.dataframe if "setting" in each.value]
    assert table.to_dict("records") == [
        {"setting": "clip", "clip off": "none", "clip on": "norm:1.0"},
        {"setting": "config.optimiser.lr", "clip off": "0.1", "clip on": "0.2"},
    ]


@pytest.mark.parametrize(
    ("threshold", "told"),
    [
        (2.95, "Seed 0: bit-identical before step 5; first clipped at step 5."),
        (3.95, "Seed 0: bit-identical before step 10; first clipped at step 10."),
        (99.0, "Seed 0: bit-identical over all 12 steps that both have."),
    ],
)
def test_the_step_at_which_a_pair_parts_is_named(open_page: Open, root: Path, threshold: float, told: str) -> None:
    """The norms are 2, 2.2, 2.4, ...: the arms are equal until the first of them is above the threshold."""
    arms = [Made("off", "pair", "off"), Made("on", "pair", "on", clip=f"norm:{threshold}")]
    assert told in words(open_page("compare", run=write_all(root, arms)))
