"""The presets of the lab: systems of the subject, each a small spec, run by ``graddiag lab NAME``.

Every preset trains or computes, records what it trains, and tells what was seen, with pictures: ``catalogue`` lists
them, without importing torch; ``preset`` says what one is made of; ``bench`` is where it works.
"""

from graddiag.presets.catalogue import ENTRIES, CatalogueEntry, entry, load, names

__all__ = ["ENTRIES", "CatalogueEntry", "entry", "load", "names"]
