import json
from base64 import b64decode

import numpy as np
import plotly.graph_objects as go
import pytest

from graddiag.figures.theme import Theme
from graddiag.report import plots
from graddiag.report.plots import DEFAULT_HEIGHT, FigurePlace, Picture, figures_json, printable

COLOURS = {"light": "white", "dark": "black"}
HOSTILE = "</script><script>alert(1)</script><!--"


def draw(*, theme: Theme) -> go.Figure:
    colour = COLOURS[theme]
    line = go.Scatter(x=[0, 1], y=np.array([1.0, 2.0]), name=HOSTILE, line={"color": colour})
    return go.Figure(line, layout={"width": 400, "height": 300, "paper_bgcolor": colour})


def test_a_picture_is_drawn_in_both_themes_and_holds_its_data_once() -> None:
    (plain,) = json.loads(figures_json([Picture(FigurePlace("c", "loss"), "Loss", ("seen",), draw)]))
    assert plain["id"] == "c-loss"
    assert plain["data"][0]["line"] == {"color": "white"}
    assert plain["dark"]["data"] == [{"line": {"color": "black"}}]
    assert (plain["layout"]["paper_bgcolor"], plain["dark"]["layout"]["paper_bgcolor"]) == ("white", "black")


def test_a_picture_is_as_wide_as_the_page_and_as_high_as_it_says() -> None:
    made = Picture(FigurePlace("c", "a"), "A", (), draw)
    assert "width" not in json.loads(figures_json([made]))[0]["layout"]
    assert made.height == 300
    assert Picture(FigurePlace("c", "a"), "A", (), lambda *, theme: go.Figure()).height == DEFAULT_HEIGHT


def test_panels_side_by_side_are_counted() -> None:
    def two(*, theme: Theme) -> go.Figure:
        return go.Figure(layout={"xaxis": {"domain": [0, 0.4]}, "xaxis2": {"domain": [0.6, 1]}})

    assert Picture(FigurePlace("c", "a"), "A", (), two).columns == 2
    assert Picture(FigurePlace("c", "a"), "A", (), draw).columns == 1


def test_no_text_can_end_the_script_it_stands_in() -> None:
    text = figures_json([Picture(FigurePlace("c", "a"), HOSTILE, (), draw)])
    assert not set("<>&") & set(text)
    assert json.loads(text)[0]["data"][0]["name"] == HOSTILE


def test_two_layers_have_two_places_and_files_that_say_which() -> None:
    heats = [FigurePlace("chapter-1", "heat", f"encoder.lstm, layer {n}, forward", n) for n in (0, 1)]
    assert [place.id for place in heats] == ["chapter-1-0-heat", "chapter-1-1-heat"]
    assert [place.file for place in heats] == ["heat-encoder.lstm-layer-0-forward", "heat-encoder.lstm-layer-1-forward"]
    assert (FigurePlace("chapter-1", "loss").id, FigurePlace("chapter-1", "loss").file) == ("chapter-1-loss", "loss")
    assert FigurePlace("chapter-1", "heat", "../<b>/..\\").file == "heat-b"


def test_on_paper_a_picture_is_white_and_as_wide_as_asked() -> None:
    layout = printable(Picture(FigurePlace("c", "a"), "A", (), draw), 500)["layout"]
    assert (layout["width"], layout["height"]) == (500, 300)
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == "#ffffff"


def numbers_of(packed: dict[str, str]) -> np.ndarray:
    return np.frombuffer(b64decode(packed["bdata"]), packed["dtype"])


def long_line(*, theme: Theme) -> go.Figure:
    values = np.sin(np.arange(2000)).astype(np.float32)
    values[1234] = 99
    band = go.Scatter(x=np.arange(2000), y=values, fill="toself")
    return go.Figure([go.Scatter(x=np.arange(2000), y=values, customdata=-np.arange(2000), text="t"), band])


def test_lines_are_thinned_where_all_of_them_would_be_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Picture(FigurePlace("c", "a"), "A", (), long_line)]
    whole = figures_json(made)
    monkeypatch.setattr(plots, "MOST_BYTES", len(whole) - 1)
    text = figures_json(made)
    assert len(text) < len(whole)
    line, band = json.loads(text)[0]["data"]
    x, y, own = (numbers_of(line[name]) for name in ("x", "y", "customdata"))
    assert len(x) == len(y) == len(own) == 1000
    assert y.max() == 99
    assert list(own) == list(-x)
    assert len(numbers_of(band["x"])) == 2000
    assert len(made[0].light.data[0].x) == 2000


def test_there_is_an_end_to_thinning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "MOST_BYTES", 10)
    assert len(json.loads(figures_json([Picture(FigurePlace("c", "a"), "A", (), long_line)]))) == 1
