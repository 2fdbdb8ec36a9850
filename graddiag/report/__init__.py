"""Reports: runs as one file that anyone can open, read and check."""

from graddiag.report.content import SECTIONS
from graddiag.report.write import SUFFIXES, write_report

__all__ = ["SECTIONS", "SUFFIXES", "write_report"]
