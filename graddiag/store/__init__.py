"""Disk only: writes a run's folder, reads it back, finds the runs under a root."""

from graddiag.store.arrow import frame_of
from graddiag.store.blocks import check_scalar_name
from graddiag.store.catalog import fingerprint, read_manifests, run_folders
from graddiag.store.files import replace_text
from graddiag.store.manifests import read_manifest
from graddiag.store.reader import load_run
from graddiag.store.tables import TableFormat, write_table
from graddiag.store.writer import RunWriter

__all__ = [
    "RunWriter",
    "TableFormat",
    "check_scalar_name",
    "fingerprint",
    "frame_of",
    "load_run",
    "read_manifest",
    "read_manifests",
    "replace_text",
    "run_folders",
    "write_table",
]
