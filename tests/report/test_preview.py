"""The preview of a report: the same report, without plotly.js in it."""

import pytest
from plotly.offline import get_plotlyjs

from graddiag.figures.plotly_component import PLOTLY_HASH
from graddiag.report import lightened, pack_report
from graddiag.report.html import packed_plotly, script_hash
from graddiag.store import load_run
from tests.dashboards.synthetic import pair, write_all

ADDRESS = 'component/plotly/"plotly.min.js'


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("root")
    return pack_report([load_run(root / link) for link in write_all(root, pair())], "html").content.decode()


def test_all_else_is_as_it_was_but_where_plotly_comes_from(report: str) -> None:
    known = script_hash(get_plotlyjs())
    light = lightened(report, ADDRESS)
    fetched = f'<script src="component/plotly/&#34;plotly.min.js" integrity="{known}"></script>'
    assert light.count(fetched) == 1
    assert light.count(f"{known}&#39; &#39;self&#39;") == 1
    held = f'<script type="text/plain" id="plotly">{packed_plotly()}</script>'
    assert light.replace(fetched, held).replace(" &#39;self&#39;", "") == report
    assert len(light) < len(report) - 1_500_000


def test_the_file_that_is_served_is_the_one_in_the_report() -> None:
    assert script_hash(get_plotlyjs()) == PLOTLY_HASH
