"""docs/analyses.md against the code: no analysis without a line, no figure that is not there, no source left out."""

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_type_hints

import pytest

from graddiag import analysis, figures
from graddiag.run import Run

PAGE = (Path(__file__).parents[2] / "docs" / "analyses.md").read_text()
OFFERED = {name: getattr(analysis, name) for name in analysis.__all__}


def of_a_run(offered: object) -> bool:
    hints = get_type_hints(offered).values() if inspect.isfunction(offered) else ()
    return Run in hints or Sequence[Run] in hints


OF_RUNS = {name: each for name, each in OFFERED.items() if of_a_run(each)}

# they show what was recorded, or say what there is, and are defined by the columns of the tables
OF_THE_TABLES = {
    *(
        "bands",
        "common_selections",
        "diagnose",
        "events",
        "final_loss",
        "goals",
        "heat",
        "heat_ratio",
        "logged_scalars",
    ),
    *(
        "loss_curve",
        "norm_history",
        "first_divergence",
        "profile",
        "recorded_steps",
        "selections",
        "signals",
        "snapshot_columns",
    ),
    *("snapshot_steps", "unit_heat", "reaches"),
}


@pytest.mark.parametrize("name", OF_RUNS)
def test_the_page_has_a_line_about_each(name: str) -> None:
    assert re.search(rf"\b(?:analysis|graddiag)\.{name}\(", PAGE)


@pytest.mark.parametrize("name", sorted(OF_RUNS.keys() - OF_THE_TABLES))
def test_each_says_where_it_is_from(name: str) -> None:
    assert any("Source: " in text for text in docstrings(OF_RUNS[name]))


def docstrings(function: Callable[..., object]) -> list[str]:
    """The docstrings of an analysis and of its result."""
    gives = get_type_hints(function)["return"]
    return [inspect.getdoc(each) or "" for each in (function, gives) if each is not None]


def test_figures_that_the_page_names_are_there() -> None:
    named = set(re.findall(r"figures\.(\w+)", PAGE))
    for words in re.findall(r"figures? ((?:`\w+`(?: \([^)]*\))?(?:, | and )?)+)", PAGE):
        named |= set(re.findall(r"`(\w+)`", words))
    assert len(named) > 20
    assert {name for name in named if not hasattr(figures, name)} == set()
