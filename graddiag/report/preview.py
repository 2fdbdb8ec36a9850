"""A report inside another page: as light as it goes, with plotly.js from a server that has it."""

from markupsafe import escape

from graddiag.figures.plotly_component import PLOTLY_HASH
from graddiag.report.html import packed_plotly


def lightened(report: str, plotly_js: str) -> str:
    """``report``, an HTML report, for an iframe on a page. ``plotly_js``: where the page's server gives plotly.js.

    It fetches plotly.js from there, and runs it only if it is the very one of the report. The rest is the same.
    """
    held = f'<script type="text/plain" id="plotly">{packed_plotly()}</script>'
    fetched = f'<script src="{escape(plotly_js)}" integrity="{PLOTLY_HASH}"></script>'
    alone, also = (str(escape(sources)) for sources in (f"'{PLOTLY_HASH}'", f"'{PLOTLY_HASH}' 'self'"))
    return report.replace(held, fetched, 1).replace(alone, also, 1)
