"""Reports: runs as one file that anyone can open, read and check."""

from graddiag.report.write import write_report

__all__ = ["write_report"]
