"""Reports: runs as one file that anyone can open, read and check."""

from graddiag.report.content import SECTIONS
from graddiag.report.formats import FORMATS, FORMS, SUFFIXES
from graddiag.report.packed import Packed, pack_report
from graddiag.report.preview import lightened
from graddiag.report.write import write_report

__all__ = ["FORMATS", "FORMS", "SECTIONS", "SUFFIXES", "Packed", "lightened", "pack_report", "write_report"]
