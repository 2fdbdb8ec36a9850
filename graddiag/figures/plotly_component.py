"""A figure for a page that draws it again and again: it is changed in place, by a program in the page."""

import gzip
import json
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Final

import plotly
from plotly.graph_objects import Figure
from plotly.io import to_json

PLOTLY_JS: Final = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"  # what ``get_plotlyjs`` reads
PLOTLY_HASH: Final = f"sha256-{b64encode(sha256(PLOTLY_JS.read_bytes()).digest()).decode()}"
PROGRAM: Final = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")

_LEVEL: Final = 5  # of compression: a higher one takes longer and saves little


def packed(figure: Figure, *, plotly_js: str, alt: str, picks: str | None = None) -> bytes:
    """``figure`` as ``PROGRAM`` takes it: JSON, compressed; equal figures give equal bytes.

    ``plotly_js``: where the page's server gives ``PLOTLY_JS``. ``alt``: its description for screen readers.
    ``picks``: the name of the marks that a click takes hold of, of a figure that one can point at.
    """
    asked = json.dumps({"plotly": {"address": plotly_js, "integrity": PLOTLY_HASH}, "alt": alt, "picks": picks})
    text = f'{asked[:-1]}, "figure": {to_json(figure, validate=False)}}}'
    return gzip.compress(text.encode(), _LEVEL, mtime=0)
