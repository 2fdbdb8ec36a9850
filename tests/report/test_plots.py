import json

import numpy as np
import plotly.graph_objects as go

from graddiag.report.plots import DEFAULT_HEIGHT, Theme, figures_json, picture

COLOURS = {"light": "white", "dark": "black"}
HOSTILE = "</script><script>alert(1)</script><!--"


def draw(*, theme: Theme) -> go.Figure:
    colour = COLOURS[theme]
    line = go.Scatter(x=[0, 1], y=np.array([1.0, 2.0]), name=HOSTILE, line={"color": colour})
    return go.Figure(line, layout={"width": 400, "height": 300, "paper_bgcolor": colour})


def test_a_picture_is_drawn_in_both_themes_and_holds_its_data_once() -> None:
    (plain,) = json.loads(figures_json([picture("loss", "Loss", ["seen"], draw)]))
    assert plain["id"] == "loss"
    assert plain["data"][0]["line"] == {"color": "white"}
    assert plain["dark"]["data"] == [{"line": {"color": "black"}}]
    assert (plain["layout"]["paper_bgcolor"], plain["dark"]["layout"]["paper_bgcolor"]) == ("white", "black")


def test_a_picture_is_as_wide_as_the_page_and_as_high_as_it_says() -> None:
    made = picture("a", "A", [], draw)
    assert "width" not in json.loads(figures_json([made]))[0]["layout"]
    assert made.height == 300
    assert picture("a", "A", [], lambda *, theme: go.Figure()).height == DEFAULT_HEIGHT


def test_panels_side_by_side_are_counted() -> None:
    def two(*, theme: Theme) -> go.Figure:
        return go.Figure(layout={"xaxis": {"domain": [0, 0.4]}, "xaxis2": {"domain": [0.6, 1]}})

    assert picture("a", "A", [], two).columns == 2
    assert picture("a", "A", [], draw).columns == 1


def test_no_text_can_end_the_script_it_stands_in() -> None:
    text = figures_json([picture("a", HOSTILE, [], draw)])
    assert not set("<>&") & set(text)
    assert json.loads(text)[0]["data"][0]["name"] == HOSTILE
