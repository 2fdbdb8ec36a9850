"""What a page is given to draw: the figure, and the plotly.js that Python's plotly would draw it with."""

import hashlib
import json
from base64 import b64decode

import plotly.graph_objects as go
from plotly.io import to_json
from plotly.offline import get_plotlyjs

from graddiag.figures.plotly_component import PLOTLY_HASH, PLOTLY_JS, packed
from tests.dashboards.drawn import unpacked

HOSTILE = "</script><img src=x onerror=alert(1)>"


def figure() -> go.Figure:
    return go.Figure(go.Scatter(x=[1, 2], y=[float("nan"), 1.0], name=HOSTILE), layout={"height": 300})


def test_what_was_packed_is_all_there() -> None:
    found = unpacked(packed(figure(), plotly_js="here.js", alt=HOSTILE, picks="steps"))
    assert found == {
        "plotly": {"address": "here.js", "integrity": PLOTLY_HASH},
        "alt": HOSTILE,
        "picks": "steps",
        "figure": json.loads(to_json(figure())),
    }
    assert found["figure"]["data"][0]["y"] == [None, 1.0]


def test_equal_figures_are_equal_bytes() -> None:
    """So that Streamlit does not send again what a page has, and a page does not draw again what stands in it."""
    assert packed(figure(), plotly_js="a", alt="b") == packed(figure(), plotly_js="a", alt="b")


def test_the_file_is_the_program_of_the_reports() -> None:
    assert PLOTLY_JS.read_text(encoding="utf-8") == get_plotlyjs()
    assert b64decode(PLOTLY_HASH.removeprefix("sha256-")) == hashlib.sha256(PLOTLY_JS.read_bytes()).digest()
