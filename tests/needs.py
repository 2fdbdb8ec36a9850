"""Libraries that graddiag works with and does not need."""

import os
import shutil
from importlib import import_module
from types import ModuleType
from typing import Final

import pytest

NO_CHROMIUM: Final = "chromium is not installed, so nothing was drawn in a browser. Debian: apt-get install chromium"


def needs(module: str, extra: str) -> ModuleType:
    """The module. Where it is not installed the test is skipped and says so; in CI it fails."""
    if os.environ.get("CI"):
        return import_module(module)
    return pytest.importorskip(module, reason=f"{module} is not installed: pip install 'graddiag[{extra}]'")


def needs_chromium() -> str:
    """The path of chromium. Where there is none the test is skipped and says so; in CI it fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(NO_CHROMIUM)
    return found
