"""Libraries that graddiag works with and does not need."""

import os
from importlib import import_module
from types import ModuleType

import pytest


def needs(module: str, extra: str) -> ModuleType:
    """The module. Where it is not installed the test is skipped and says so; in CI it fails."""
    if os.environ.get("CI"):
        return import_module(module)
    return pytest.importorskip(module, reason=f"{module} is not installed: pip install 'graddiag[{extra}]'")
