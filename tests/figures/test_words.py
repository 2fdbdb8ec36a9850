"""The words of figures: an axis has a title, and where a norm is drawn they say whether before or after clipping."""

import re
from collections.abc import Iterator, Sequence
from html import unescape
from typing import Any

import plotly.graph_objects as go
import pytest

from graddiag import figures
from tests.analysis.damaged import whole
from tests.figures.test_awkward import DAMAGED, FIGURES, drawn_alone

ALL = [*FIGURES, *DAMAGED]
RATIOS = {  # of norms of one backward pass or of none: a common factor, which clipping is, is in neither
    "reach": "‖dL/dh‖, first timestep / last",
    "cell path": "‖cell path‖ / ‖dL/dc‖",
    "weights in time": "share of Σ‖G‖",
    "effective_timesteps": "‖ΣG‖ / Σ‖G‖",
    "updates": "‖update‖ / ‖weights‖",
    "omega": "squared norms, equation 10",
}
ON_THE_PAGE = {"parallel"}  # the page of an experiment says so, tests/dashboards/test_experiment.py


def figure_of(name: str) -> go.Figure:
    """Of a run with every table, clipped."""
    return DAMAGED[name](whole()) if name in DAMAGED else drawn_alone(name, whole())


def captions_of(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[go.Figure, str]:
    """The figure, and the captions of the results that it was drawn from."""
    found: list[str] = []

    def listening(draw: Any) -> Any:
        def drawn(*results: Any, **how: Any) -> go.Figure:
            found.extend(_captions(results))
            return draw(*results, **how)

        return drawn

    for each in figures.__all__:
        if callable(draw := getattr(figures, each)) and not isinstance(draw, type):
            monkeypatch.setattr(figures, each, listening(draw))
    return figure_of(name), " ".join(found)


def _captions(results: Any) -> Iterator[str]:
    if isinstance(results, Sequence) and not isinstance(results, str):
        for each in results:
            yield from _captions(each)
    elif hasattr(results, "caption"):
        yield results.caption


def axes(figure: go.Figure) -> list[Any]:
    return [*figure.select_xaxes(), *figure.select_yaxes()]


def measures(axis: Any) -> bool:
    """Whether there are numbers along it: not names, and not hidden because they stand at another axis."""
    hidden = axis.visible is False or axis.showticklabels is False
    names = axis.type == "category" or any(re.search("[a-z]{2}", text) for text in axis.ticktext or ())
    return not hidden and not names


def words(figure: go.Figure) -> str:
    """Title, heads, axes, colour scale and legend."""
    own = [figure.layout.title.text, figure.layout.coloraxis.colorbar.title.text]
    others = [axis.title.text for axis in axes(figure)] + [note.text for note in figure.layout.annotations]
    return unescape(" | ".join(text for text in (*own, *others, *(trace.name for trace in figure.data)) if text))


@pytest.mark.parametrize("name", ALL)
def test_every_axis_with_numbers_has_a_title(name: str) -> None:
    assert [axis.plotly_name for axis in axes(figure_of(name)) if measures(axis) and not axis.title.text] == []


@pytest.mark.parametrize("name", [name for name in ALL if name not in ON_THE_PAGE])
def test_a_norm_is_said_to_be_that_before_or_after_clipping(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    figure, caption = captions_of(name, monkeypatch)
    told = words(figure)
    if name in RATIOS:
        assert RATIOS[name] in told
    elif figure.data and re.search(r"\bnorm\b|‖", told):
        assert re.search(r"(before|after) clipping|norm after / (norm )?before", f"{told} {caption}")


def test_most_figures_of_a_whole_run_are_drawn() -> None:
    """Or these tests would say nothing."""
    assert {name for name in ALL if not figure_of(name).data} == {"effects", "noise", "direction"}
