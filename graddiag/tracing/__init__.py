"""From a model to traces, and from traces to the numbers a run holds."""

from graddiag.tracing.capture import Capture, capture
from graddiag.tracing.hooks import ModuleHooks, recurrent_modules
from graddiag.tracing.trace import Trace

__all__ = ["Capture", "ModuleHooks", "Trace", "capture", "recurrent_modules"]
