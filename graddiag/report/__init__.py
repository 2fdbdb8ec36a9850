"""Reports: runs as one file that anyone can open, read and check."""

from graddiag.report.content import SECTIONS
from graddiag.report.packed import FORMS, Form, Packed, pack_report
from graddiag.report.preview import lightened
from graddiag.report.write import SUFFIXES, write_report

__all__ = ["FORMS", "SECTIONS", "SUFFIXES", "Form", "Packed", "lightened", "pack_report", "write_report"]
