"""The leading Lyapunov exponents of a trace, of few samples and few directions, for the table ``lyapunov``.

Legend: T timesteps, N batch, n samples measured, D entries of the state (h, or h and c), k exponents.
"""

from dataclasses import replace

import torch
from torch import Tensor

from graddiag import schema
from graddiag.cells.lyapunov import Growth, Way, growth
from graddiag.tracing.credit import tangents_of
from graddiag.tracing.trace import Trace


def way_of(trace: Trace, transient: int, windows: int = 1) -> Way:
    """How the sequences of a trace are walked, in the order in which the layer processed them."""
    T, N, _ = trace.h.shape
    lengths = torch.full((N,), T, device=trace.h.device) if trace.lengths is None else trace.lengths
    return Way(lengths.to(trace.h.device, non_blocking=True), trace.direction == "forward", transient, windows)


def leading_growth(trace: Trace) -> Growth | None:
    """How the leading directions of a trace's state grew, after a tenth of the sequence; total [1, n, k].

    Of ``schema.LYAPUNOV_EXPONENTS`` directions, and of at most ``schema.LYAPUNOV_SAMPLES`` samples evenly spaced in the
    batch, with the first, which is the longest of a packed one. None where the layer's derivatives are gone.
    """
    if trace.weights is None:
        return None
    few = _of_samples(trace, slice(None, None, -(-trace.h.shape[1] // schema.LYAPUNOV_SAMPLES)))
    J = tangents_of(few)
    return growth(J, way_of(few, len(trace.h) // 10), min(J.size, schema.LYAPUNOV_EXPONENTS))


def _of_samples(trace: Trace, some: slice) -> Trace:
    """What the derivatives of a trace are made of, of some of its samples."""

    def chosen(block: Tensor | None) -> Tensor | None:
        return None if block is None else block[..., some, :]

    gates = {name: gate[:, some] for name, gate in trace.gates.items()}
    few = replace(trace, h=trace.h[:, some], h0=trace.h0[some], gates=gates, c=chosen(trace.c), c0=chosen(trace.c0))
    lengths = None if trace.lengths is None else trace.lengths[some]
    return replace(few, normed=chosen(trace.normed), spread=chosen(trace.spread), lengths=lengths)
