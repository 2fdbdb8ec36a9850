"""The registry of views: each has one title and one table, and every surface shows all of them."""

import inspect
import io
from collections.abc import Iterator
from html import unescape
from typing import get_type_hints

import pandas as pd
import plotly.graph_objects as go
import pytest

from graddiag import analysis, figures
from graddiag.report.chapters import document
from graddiag.report.request import ignore_progress, request
from graddiag.run import Run
from graddiag.views import VIEWS, Plot, View, ViewContext, view, views_of
from tests.analysis import damaged as damages
from tests.analysis.damaged import damaged_where_read, whole
from tests.analysis.runs import LAYER, awkward, net

PLAIN = net(0.9, timesteps=5, clip="norm:1.0", arm="clip on")
NO_VIEW = {"lyapunov", "pickable"}  # of a trace in memory, and around another figure

EVERY_VIEW = pytest.mark.parametrize("each", VIEWS, ids=lambda each: each.key)


def context_of(layer: analysis.Selection) -> ViewContext:
    return ViewContext(layer, step=(0, 99), goal=analysis.Goal("loss", 1.0))


def plots_of(each: View, run: Run, layer: analysis.Selection = damages.LAYER) -> tuple[Plot, ...]:
    """Of the run; where the view takes a pair, of it and itself."""
    return each.plots([run, run] if each.of_several else [run], context_of(layer))


def drawn() -> Iterator[tuple[View, Plot]]:
    for each in VIEWS:
        for plot in plots_of(each, whole()):
            yield each, plot


def test_keys_and_titles_are_unique() -> None:
    assert len({each.key for each in VIEWS}) == len({each.title for each in VIEWS}) == len(VIEWS)
    assert view("noise") in views_of("health")


def test_every_figure_of_results_is_a_view() -> None:
    offered = {name: each for name in figures.__all__ if inspect.isfunction(each := getattr(figures, name))}
    drawing = {name for name, each in offered.items() if get_type_hints(each).get("return") is go.Figure}
    used = {name for each in VIEWS for name in (each.figure.__name__, *each.figure.__code__.co_names)}
    assert drawing - used == NO_VIEW


def test_a_figure_shows_the_title_of_its_view() -> None:
    seen = {each.key for each, _ in drawn()}
    assert len(seen) > len(VIEWS) - 9  # the rest has nothing to show in this run
    for each, plot in drawn():
        assert unescape(plot.figure(title=True).layout.title.text).startswith(each.title)


def test_a_report_shows_the_title_of_each_view_and_all_that_have_something_to_show() -> None:
    runs = [whole()]
    found = {each.title for each in document(runs, request(None, None, ignore_progress)).pictures}
    wanted = {
        plot.title
        for each in VIEWS
        if each.section not in ("summary", "experiment", "comparison")
        for layer in analysis.selections(runs[0])
        for plot in each.plots(runs, context_of(layer))
        if plot.missing is None
    }
    assert found == wanted


@EVERY_VIEW
@pytest.mark.parametrize("case", awkward())
def test_an_awkward_run_has_a_table_captions_and_a_reason(each: View, case: str) -> None:
    for plot in plots_of(each, awkward()[case], LAYER):
        assert plot.captions
        assert all(caption.strip() for caption in plot.captions)
        assert bool(plot.missing) or len(plot.figure().data) or plot.figure().layout.annotations
        read = pd.read_csv(io.StringIO(plot.csv()), keep_default_na=False) if len(plot.to_frame()) else None
        assert read is None or list(read.columns) == list(plot.to_frame().columns)


@pytest.mark.slow
@EVERY_VIEW
def test_a_damaged_run_has_a_table_all_the_same(each: View) -> None:
    for case, run in damaged_where_read():
        for plot in plots_of(each, run):
            try:
                plot.csv()
            except Exception as error:
                error.add_note(f"case: {case}")
                raise


def test_runs_side_by_side_are_in_one_table_and_one_figure() -> None:
    runs = [net(0.9, timesteps=5), PLAIN]
    (plot,) = view("norms").plots(runs, ViewContext())
    assert set(plot.to_frame()["run"]) == {run.manifest.name for run in runs}
    assert len(plot.results) == 2


def test_a_view_of_each_run_has_a_figure_a_run_on_one_scale() -> None:
    plots = view("snapshot").plots([whole(), whole()], context_of(damages.LAYER))
    assert len(plots) == 2
    assert plots[0].title.startswith(f"{view('snapshot').title}: ")
    assert plots[0].options["limits"] == plots[1].options["limits"]
    assert plots[0].captions[-1] == "The colour scale is the same for all runs."


def test_a_view_without_anything_says_why_unless_it_is_optional() -> None:
    empty = awkward()["empty"]
    (plot,) = view("norms").plots([empty], ViewContext())
    assert plot.missing == plot.captions[0] == analysis.norm_history(empty).missing
    assert view("noise").plots([empty], ViewContext()) == ()


def test_a_run_that_lacks_it_is_named_beside_one_that_has_it() -> None:
    empty = awkward()["empty"]
    (plot,) = view("norms").plots([PLAIN, empty], ViewContext())
    assert len(plot.results) == 1
    assert plot.captions[-1] == analysis.norm_history(empty).missing


def test_a_pair_is_two_runs() -> None:
    assert view("ratio").plots([PLAIN], context_of(LAYER)) == ()
    assert view("ratio").plots([PLAIN] * 3, context_of(LAYER)) == ()
