"""The preview of a report: the same report, without plotly.js in it and with its figures compressed."""

import gzip
import json
import re
from base64 import b64decode

import pytest
from plotly.offline import get_plotlyjs

from graddiag.figures.plotly_component import PLOTLY_HASH
from graddiag.report import lightened, pack_report
from graddiag.report.html import script_hash
from graddiag.store import load_run
from tests.dashboards.synthetic import pair, write_all

ADDRESS = 'component/plotly/"plotly.min.js'
FIGURES = re.compile(r'<script type="application/json" id="figures"( data-packed)?>(.*?)</script>', re.DOTALL)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("root")
    return pack_report([load_run(root / link) for link in write_all(root, pair())], "html").content.decode()


def test_its_figures_are_those_of_the_report(report: str) -> None:
    plain, light = FIGURES.search(report), FIGURES.search(lightened(report, ADDRESS))
    assert plain is not None
    assert light is not None
    assert light[1]
    assert json.loads(gzip.decompress(b64decode(light[2]))) == json.loads(plain[2])


def test_all_else_is_as_it_was_but_where_plotly_comes_from(report: str) -> None:
    known = script_hash(get_plotlyjs())
    light = FIGURES.sub("", lightened(report, ADDRESS))
    fetched = f'<script src="component/plotly/&#34;plotly.min.js" integrity="{known}"></script>'
    assert light.count(fetched) == 1
    assert light.count(f"{known}&#39; &#39;self&#39;") == 1
    back = light.replace(fetched, f"<script>{get_plotlyjs()}</script>").replace(" &#39;self&#39;", "")
    assert back == FIGURES.sub("", report)


def test_the_file_that_is_served_is_the_one_in_the_report() -> None:
    assert script_hash(get_plotlyjs()) == PLOTLY_HASH
