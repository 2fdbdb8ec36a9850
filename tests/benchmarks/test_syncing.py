"""The benchmark of syncing counts what is synced, and puts the system's own call back."""

import os
from pathlib import Path

from benchmarks.syncing import measured


def test_blocks_with_and_without_syncing_are_counted(tmp_path: Path) -> None:
    sync = os.fsync
    synced, plain = measured(tmp_path, rounds=2, steps=4)
    assert os.fsync is sync
    assert min(synced.syncs, plain.syncs) > 0
    assert [len(each.steps) for each in (synced, plain)] == [8, 8]
    assert "syncs" in str(synced)
