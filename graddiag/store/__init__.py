"""Disk only: writes a run's folder, reads it back, finds the runs under a root."""

from graddiag.store.annotations import Annotations, annotate
from graddiag.store.arrow import frame_of
from graddiag.store.blocks import check_scalar_name
from graddiag.store.catalog import (
    fingerprint,
    leads_out,
    part_sizes,
    read_manifests,
    root_fingerprint,
    run_folders,
    runs_at,
)
from graddiag.store.endings import ending
from graddiag.store.files import ANNOTATIONS, read_file, replace_file, replace_text
from graddiag.store.manifests import as_left, read_manifest
from graddiag.store.reader import load_run
from graddiag.store.remote.local import is_taken, local_root, local_run, mirror_folder, renewed, resolved_root, shown
from graddiag.store.remote.root_mirror import share_index
from graddiag.store.remote.sending import Sent, send_copies, send_waiting
from graddiag.store.remote.spool import waiting as waiting_uploads
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
    "Sent",
    "TableFormat",
    "Trashed",
    "annotate",
    "as_left",
    "check_same_machine",
    "check_scalar_name",
    "ending",
    "fingerprint",
    "frame_of",
    "is_taken",
    "leads_out",
    "load_run",
    "local_root",
    "local_run",
    "mirror_folder",
    "open_remote_writer",
    "part_sizes",
    "read_file",
    "read_manifest",
    "read_manifests",
    "read_root_index",
    "remote_url",
    "renewed",
    "replace_file",
    "replace_text",
    "resolved_root",
    "restore_run",
    "root_fingerprint",
    "run_folders",
    "runs_at",
    "send_copies",
    "send_waiting",
    "share_index",
    "shown",
    "slug",
    "trash_run",
    "trashed_runs",
    "waiting_uploads",
    "write_root_index",
    "write_table",
]
