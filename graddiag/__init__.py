"""graddiag: exact gradients through time, out of the recurrent networks people train.

Public names are loaded when first used, so ``import graddiag`` brings in neither torch, plotly nor streamlit.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "watch": "graddiag.recorder",
    "Recorder": "graddiag.recorder",
    "capture": "graddiag.tracing",
    "CellCall": "graddiag.tracing",
    "Trace": "graddiag.tracing",
    "load_run": "graddiag.store",
    "annotate": "graddiag.store",
    "list_runs": "graddiag.overview",
    "Run": "graddiag.run",
    "RunManifest": "graddiag.run",
    "diagnose": "graddiag.analysis",
    "rule": "graddiag.analysis",
    "compare": "graddiag.analysis",
    "write_report": "graddiag.report",
    "show": "graddiag.notebook",
    "StopTraining": "graddiag.errors",
}
_MODULES = ("alerts", "analysis", "clipping", "errors", "figures", "lab", "nn", "schema")

__all__ = ["__version__", *_HOMES, *_MODULES]

if TYPE_CHECKING:
    from graddiag import alerts as alerts
    from graddiag import analysis as analysis
    from graddiag import clipping as clipping
    from graddiag import errors as errors
    from graddiag import figures as figures
    from graddiag import lab as lab
    from graddiag import nn as nn
    from graddiag import schema as schema
    from graddiag.analysis import diagnose as diagnose
    from graddiag.analysis.comparison.compare import compare as compare
    from graddiag.analysis.diagnosis.rules import rule as rule
    from graddiag.errors import StopTraining as StopTraining
    from graddiag.notebook.summary import show as show
    from graddiag.overview import list_runs as list_runs
    from graddiag.recorder import Recorder as Recorder
    from graddiag.recorder import watch as watch
    from graddiag.report import write_report as write_report
    from graddiag.run import Run as Run
    from graddiag.run import RunManifest as RunManifest
    from graddiag.store import annotate as annotate
    from graddiag.store import load_run as load_run
    from graddiag.tracing import Trace as Trace
    from graddiag.tracing.capturing import capture as capture
    from graddiag.tracing.custom import CellCall as CellCall


if not TYPE_CHECKING:  # a type checker is to see misspelt names

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        if name in _MODULES:
            return import_module(f"graddiag.{name}")
        raise AttributeError(f"module 'graddiag' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
