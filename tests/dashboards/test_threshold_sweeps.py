"""The Compare page of runs at which other thresholds were tried."""

from pathlib import Path

from graddiag.lab import plan_pair, train, training_spec
from tests.dashboards.conftest import Open
from tests.dashboards.test_pages import pictures, words


def test_compare_draws_what_was_tried_and_nothing_where_nothing_was(open_page: Open, root: Path) -> None:
    small = {"steps": 6, "length": 8, "batch": 3, "hidden": 4, "every": 2}
    looked = plan_pair(training_spec("recall", "rnn", clip="norm:0.01", try_thresholds_every=2, **small), [0], "looked")
    plain = plan_pair(training_spec("recall", "rnn", clip="norm:0.01", **small), [0], "plain")
    links = {plan: train(plan, root).path.relative_to(root).as_posix() for plan in (*looked, *plain)}

    page = open_page("compare", run=[links[plan] for plan in looked], section="clipping")
    assert not page.exception
    assert "Whether clipping saved a step" in words(page)
    assert "/ norm:0.01; " in words(page)
    without = open_page("compare", run=[links[plan] for plan in plain], section="clipping")
    assert "Whether clipping saved a step" not in words(without)
    assert pictures(page) == pictures(without) + 1
