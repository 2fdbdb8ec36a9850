"""The figure of a counterfactual: its numbers are those of the result, and what a log axis cannot show is marked."""

import json

import numpy as np
import pytest

from graddiag import analysis, figures
from graddiag.figures.theme import Theme
from graddiag.run import Run
from tests.analysis.clipping.test_what_if import looked_run, steps_of_every_kind
from tests.analysis.runs import INF, NAN, manifest


def traces(figure: object, name: str) -> list[object]:
    return [trace for trace in figure.data if (trace.name or "").startswith(name)]


def test_the_numbers_are_those_of_the_result() -> None:
    found = analysis.counterfactual(steps_of_every_kind(clip="norm:1.0"))
    figure = figures.counterfactual(found, step=0)
    gap, cliff = traces(figure, "clip off, seed 0")
    np.testing.assert_allclose(gap.y, [-28.1, -0.05, 0.4, 0.0, np.nan, np.nan, np.nan, -0.5], rtol=1e-5)
    assert gap.text[0] == "1.9 with, 30 without clipping"
    assert list(gap.x) == [0, 10, 20, 30, 40, 50, 60, 70]
    assert cliff.name.endswith("step 0")
    np.testing.assert_allclose(cliff.x, [0.5, 1.0, 8.0])
    assert cliff.text == ("threshold 0.5", "threshold 1", "without clipping")
    np.testing.assert_allclose(cliff.y, [1.95, 1.9, 30.0], rtol=1e-6)
    bad = {at for trace in figure.data if trace.name in ("NaN", "inf") and trace.yaxis == "y" for at in trace.x}
    assert bad == {40, 50, 60}
    assert (figure.layout.yaxis.type, figure.layout.yaxis2.type) == (None, "log")
    assert any(shape.yref == "y" and shape.y0 == 0 for shape in figure.layout.shapes)
    assert figure.layout.annotations[0].text.endswith("below 0 it helped")
    assert len(traces(figure, "set: C = 1")) == 1
    assert [note.text for note in figure.layout.annotations[:2]][1].endswith("at step 0")


def test_the_nearest_step_is_taken_and_by_default_the_cliff() -> None:
    found = analysis.counterfactual(looked_run((8.0, 2.0, [(1.0, 1.9), (None, 30.0)]), (2.0, 1.0, [(None, 0.9)])))
    assert traces(figures.counterfactual(found), "clip off, seed 0")[-1].name.endswith("step 0")
    assert traces(figures.counterfactual(found, step=9), "clip off, seed 0")[-1].name.endswith("step 10")


def test_without_clipping_stands_last_where_the_norm_is_below_the_thresholds() -> None:
    found = analysis.counterfactual(looked_run((0.3, 2.0, [(0.1, 1.95), (1.0, 1.9), (None, 1.9)])))
    cliff = traces(figures.counterfactual(found), "clip off, seed 0")[-1]
    np.testing.assert_allclose(cliff.x, [0.1, 1.0, 1.6])
    assert cliff.marker.symbol == ("circle", "circle", "x-thin-open")


def test_of_several_runs_one_and_the_same_step_is_drawn_where_all_have_it() -> None:
    runs = [
        looked_run((8.0, 2.0, [(1.0, 1.9), (None, 30.0)]), (2.0, 1.0, [(1.0, 0.9), (None, 1.0)])),
        looked_run((8.0, 2.0, [(1.0, 1.9), (None, 2.0)]), (2.0, 1.0, [(1.0, 0.9), (None, 9.0)]), arm="clip on"),
    ]
    figure = figures.counterfactual([analysis.counterfactual(run) for run in runs])
    cliffs = [trace for trace in figure.data if ", step " in (trace.name or "")]
    assert [trace.name for trace in cliffs] == ["clip off, seed 0, step 0", "clip on, seed 0, step 0"]
    assert figure.layout.annotations[1].text == "loss by clip threshold, at step 0"
    other = looked_run((1.0, 2.0, [(None, 1.9)]), (8.0, 2.0, [(1.0, 1.9), (None, 2.0)]), arm="b")
    alone = looked_run((8.0, 2.0, [(1.0, 1.9), (None, 30.0)]))
    figure = figures.counterfactual([analysis.counterfactual(run) for run in (alone, other)])
    assert figure.layout.annotations[1].text.endswith("at step 0")


def test_a_loss_that_is_not_above_zero_has_a_linear_axis() -> None:
    found = analysis.counterfactual(looked_run((8.0, -2.0, [(1.0, -2.5), (None, 3.0)])))
    assert figures.counterfactual(found).layout.yaxis2.type != "log"


AWKWARD = {
    "empty": Run.from_frames(manifest()),
    "one step": looked_run((8.0, 2.0, [(1.0, 1.9), (None, 30.0)])),
    "nothing tried": looked_run((INF, 2.0, [(None, NAN)])),
    "all NaN": looked_run((NAN, NAN, [(1.0, NAN), (None, NAN)])),
    "all zero": looked_run((0.0, 0.0, [(1.0, 0.0), (None, 0.0)])),
    "one seed": steps_of_every_kind(),
    "markup": looked_run((8.0, 2.0, [(1.0, 1.9), (None, 3.0)]), name="<b>run</b>", arm="<img src=x> $x$ %{x}"),
}


@pytest.mark.parametrize("kind", AWKWARD)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_renders_whatever_the_run(kind: str, theme: Theme) -> None:
    found = analysis.counterfactual(AWKWARD[kind])
    text = figures.counterfactual(found, theme=theme).to_json()
    assert "<img" not in text
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.caption


def test_several_runs_in_one_picture() -> None:
    runs = [steps_of_every_kind(clip="none"), steps_of_every_kind(clip="norm:1.0", arm="clip on"), AWKWARD["empty"]]
    figure = figures.counterfactual([analysis.counterfactual(run) for run in runs])
    assert len({trace.line.color for trace in traces(figure, "clip o")}) == 2
