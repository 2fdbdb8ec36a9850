"""On which page of a PDF each part is, read out of the PDF itself as Chromium writes it: objects in plain text."""

import re
from collections.abc import Mapping
from typing import Final

_OBJECT: Final = re.compile(rb"(?:^|\n)(\d+) 0 obj\s*(<<.*?>>|\[.*?\])\s*(?:stream|endobj)", re.DOTALL)
_KIDS: Final = re.compile(rb"/Kids \[([^\]]*)\]")
_REFERENCE: Final = re.compile(rb"(\d+) 0 R")
_DESTINATIONS: Final = re.compile(rb"/Dests (\d+) 0 R")
_DESTINATION: Final = re.compile(rb"/([A-Za-z0-9_.-]+) \[(\d+) 0 R /XYZ")


def pages_of(pdf: bytes) -> Mapping[str, int]:
    """The page, counted from 1, of each id that a link in the document leads to; empty where that cannot be read."""
    objects = {int(number): body for number, body in _OBJECT.findall(pdf)}
    catalogue = next((body for body in objects.values() if b"/Type /Catalog" in body), b"")
    root, named = re.search(rb"/Pages (\d+) 0 R", catalogue), _DESTINATIONS.search(catalogue)
    if root is None or named is None:
        return {}
    places = {number: page for page, number in enumerate(_leaves(objects, int(root[1])), start=1)}
    found = _DESTINATION.findall(objects.get(int(named[1]), b""))
    return {name.decode("ascii"): places[int(page)] for name, page in found if int(page) in places}


def _leaves(objects: Mapping[int, bytes], number: int) -> list[int]:
    """The pages below a node of the tree of pages, in their order."""
    kids = _KIDS.search(objects.get(number, b""))
    if kids is None:
        return [number]
    return [leaf for kid in _REFERENCE.findall(kids[1]) for leaf in _leaves(objects, int(kid))]
