"""Disk only: writes a run's folder, reads it back, finds the runs under a root."""

from graddiag.store.annotations import Annotations, annotate
from graddiag.store.arrow import frame_of
from graddiag.store.blocks import check_scalar_name
from graddiag.store.catalog import fingerprint, leads_out, part_sizes, read_manifests, root_fingerprint, run_folders
from graddiag.store.endings import ending
from graddiag.store.files import ANNOTATIONS, read_file, replace_file, replace_text
from graddiag.store.manifests import as_left, read_manifest
from graddiag.store.reader import load_run
from graddiag.store.remote.local import local_root, local_run
from graddiag.store.remote.places import shown
from graddiag.store.remote.root_mirror import share_index
from graddiag.store.remote.urls import remote_url
from graddiag.store.remote.writing import check_same_machine, open_remote_writer
from graddiag.store.resumption import ResumePoint, RunOrigin
from graddiag.store.root_index import IndexRow, read_root_index, write_root_index
from graddiag.store.shares import RANKS
from graddiag.store.slugs import slug
from graddiag.store.tables import TableFormat, write_table
from graddiag.store.trash import Trashed, restore_run, trash_run, trashed_runs
from graddiag.store.writer import RunWriter

__all__ = [
    "ANNOTATIONS",
    "RANKS",
    "Annotations",
    "IndexRow",
    "ResumePoint",
    "RunOrigin",
    "RunWriter",
    "TableFormat",
    "Trashed",
    "annotate",
    "as_left",
    "check_same_machine",
    "check_scalar_name",
    "ending",
    "fingerprint",
    "frame_of",
    "leads_out",
    "load_run",
    "local_root",
    "local_run",
    "open_remote_writer",
    "part_sizes",
    "read_file",
    "read_manifest",
    "read_manifests",
    "read_root_index",
    "remote_url",
    "replace_file",
    "replace_text",
    "restore_run",
    "root_fingerprint",
    "run_folders",
    "share_index",
    "shown",
    "slug",
    "trash_run",
    "trashed_runs",
    "write_root_index",
    "write_table",
]
