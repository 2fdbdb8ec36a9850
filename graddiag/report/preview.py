"""A report inside another page: as light as it goes, with plotly.js from a server that has it."""

import gzip
import re
from base64 import b64encode
from typing import Final

from markupsafe import escape
from plotly.offline import get_plotlyjs

from graddiag.figures.plotly_component import PLOTLY_HASH

_FIGURES: Final = re.compile(r'(<script type="application/json" id="figures")>(.*?)(?=</script>)', re.DOTALL)


def lightened(report: str, plotly_js: str) -> str:
    """``report``, an HTML report, for an iframe on a page. ``plotly_js``: where the page's server gives plotly.js.

    It fetches plotly.js from there, and runs it only if it is the very one of the report; its figures are compressed.
    The rest is the same.
    """
    fetched = f'<script src="{escape(plotly_js)}" integrity="{PLOTLY_HASH}"></script>'
    alone, also = (str(escape(sources)) for sources in (f"'{PLOTLY_HASH}'", f"'{PLOTLY_HASH}' 'self'"))
    linked = report.replace(f"<script>{get_plotlyjs()}</script>", fetched, 1).replace(alone, also, 1)
    return _FIGURES.sub(lambda found: f"{found[1]} data-packed>{_packed(found[2])}", linked, count=1)


def _packed(text: str) -> str:
    return b64encode(gzip.compress(text.encode(), mtime=0)).decode()
