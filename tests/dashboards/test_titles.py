"""A picture has one title: on its figure, in a report (tests/views/test_views.py), on a page, and in the manual."""

import re
from pathlib import Path

import pytest

from graddiag import list_runs
from graddiag.store import load_run
from graddiag.views import VIEWS, ViewContext, views_of
from tests.analysis.damaged import LAYER, STEPS, record_whole
from tests.dashboards.conftest import Open
from tests.store.runs import write_run

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "analyses.md"
SECTIONS = ("training", "through time", "gates", "weights", "clipping", "health")
AT_STEP = re.compile(r", at step \d+$")


@pytest.mark.slow
def test_a_page_shows_the_title_of_each_view_that_has_something_to_show(open_page: Open, root: Path) -> None:
    run = load_run(record_whole(root))
    for section in SECTIONS:
        page = open_page("run", run="whole", section=section, layer=LAYER.key)
        assert not page.exception
        context = ViewContext(LAYER, step=(0, STEPS - 1))
        plots = [plot for view in views_of(section) for plot in view.plots([run], context)]
        wanted = [plot.view.title for plot in plots if plot.missing is None or not plot.view.optional]
        assert [AT_STEP.sub("", each.value) for each in page.subheader] == wanted, section


def test_the_manual_lists_every_picture_under_its_title() -> None:
    _, _, table = MANUAL.read_text(encoding="utf-8").partition("| title | key | section |\n|---|---|---|\n")
    rows = [f"| {view.title} | `{view.key}` | {view.section} |" for view in VIEWS]
    assert table.partition("\n\n")[0].splitlines() == rows


@pytest.mark.slow
def test_compare_and_experiment_use_the_titles_of_the_views(open_page: Open, root: Path) -> None:
    titles = {view.title for view in VIEWS}
    for arm in ("clip off", "clip on"):
        for seed in (0, 1):
            write_run(root, name=f"{arm}-{seed}", experiment="pair", arm=arm, seed=seed)
    links = list_runs(root)["run"].tolist()
    for page in (open_page("compare", run=links), open_page("experiment", experiment="pair")):
        assert not page.exception
        shown = [AT_STEP.sub("", each.value) for each in page.subheader]
        assert shown
        assert set(shown) - titles <= {"Effects"}  # a table, whose picture is "Effects, pair by pair"
