"""Every page under axe-core, the accessibility checker, by day and night: nothing serious of our own making."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser

from tests.dashboards.serving import Served, serve
from tests.dashboards.synthetic import awkward, pair, write_all
from tests.dashboards.test_learn import FIGURES
from tests.dashboards.watched import Scheme, watched
from tests.needs import needs

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SERIOUS = ("serious", "critical")
PAIR = [("run", "pair/lstm-off"), ("run", "pair/lstm-on")]
PAGES = {
    "runs": "/",
    "run": "/run?run=pair/lstm-on",
    "run, training": "/run?run=pair/lstm-on&section=training",
    "run, gates": "/run?run=pair/lstm-on&section=gates",
    "run, weights": "/run?run=pair/lstm-on&section=weights",
    "run, clipping": "/run?run=pair/lstm-on&section=clipping",
    "run, NaN": "/run?run=nan",
    "compare": "/compare?" + urlencode(PAIR),
    "experiment": "/experiment?experiment=pair",
    "report": "/report?" + urlencode(PAIR),
    "lab, pair": "/lab",
    "lab, preset": "/lab?kind=preset",
    **{name: f"/{name}" for name in FIGURES},
}
STREAMLITS = {  # by rule, what is Streamlit's own in the markup of a node
    "scrollable-region-focusable": ("katex-display",),  # its box of a formula is 2 pixels too small, and scrolls
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("root") / "runs"
    write_all(root, (*pair(), awkward()["nan"]))
    with serve(root, tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", PAGES.values(), ids=PAGES)
def test_axe_finds_nothing_serious(chromium: Browser, served: Served, address: str, scheme: Scheme) -> None:
    axe = needs("axe_playwright_python.sync_playwright", "dev").Axe()
    with watched(chromium, served, scheme=scheme) as seen:
        seen.go(address)
        found = axe.run(seen.page).response
        assert len(found["passes"]) > 15
        assert [one for each in found["violations"] if each["impact"] in SERIOUS for one in ours(each)] == []
        assert seen.trouble() == []


def ours(violation: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The nodes of a violation that are not Streamlit's own making."""
    nodes = [(violation["id"], node["html"], node.get("failureSummary", "")) for node in violation["nodes"]]
    return [node for node in nodes if not any(part in node[1] for part in STREAMLITS.get(node[0], ()))]
