"""From a model to traces of its recurrent layers, and from a trace to its signals and snapshots."""

from graddiag.tracing.capturing import Capture, capture
from graddiag.tracing.custom import CellCall
from graddiag.tracing.hooks import ModuleHooks, recurrent_modules
from graddiag.tracing.trace import Trace

__all__ = ["Capture", "CellCall", "ModuleHooks", "Trace", "capture", "recurrent_modules"]
