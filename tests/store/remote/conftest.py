"""An object store in the memory of this process, with a spool and a mirror of each test's own."""

from pathlib import Path

import fsspec
import pytest

ROOT = "memory://bucket/runs"


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADDIAG_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("GRADDIAG_CACHE", str(tmp_path / "cache"))
    files = fsspec.filesystem("memory")
    monkeypatch.setattr(type(files), "store", {})
    monkeypatch.setattr(type(files), "pseudo_dirs", [""])
    return tmp_path
