"""The pictures of a page, as AppTest has them."""

import gzip
import json
from typing import Any

from streamlit.testing.v1 import AppTest


def unpacked(data: bytes) -> dict[str, Any]:
    """What ``plotly_component.packed`` was given: ``figure``, as a dictionary, ``alt``, ``picks`` and ``plotly``."""
    found: dict[str, Any] = json.loads(gzip.decompress(data))
    return found


def charts(page: AppTest) -> list[dict[str, Any]]:
    """What each picture of the page was drawn with: ``figure``, ``alt``, ``picks``."""
    found = [each.proto for each in page.get("bidi_component") if each.proto.component_name == "graddiag_chart"]
    return [unpacked(each.bytes) for each in found]


def figures(page: AppTest) -> list[dict[str, Any]]:
    return [chart["figure"] for chart in charts(page)]
