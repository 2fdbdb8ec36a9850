"""The leading Lyapunov exponents of a trace, of few samples and few directions, for the table ``lyapunov``.

Legend: T timesteps, N batch, n samples used, D entries of the state (h, or h and c), k exponents.
"""

from dataclasses import replace

import torch
from torch import Tensor

from graddiag import schema
from graddiag.cells.lyapunov import LogGrowth, Traversal, log_growth
from graddiag.tracing.credit import tangents_of
from graddiag.tracing.trace import Trace


def traversal_of(trace: Trace, transient: int, windows: int = 1) -> Traversal:
    """The traversal of the sequences of a trace, in the order in which the layer processed them."""
    T, N, _ = trace.h.shape
    lengths = torch.full((N,), T, device=trace.h.device) if trace.lengths is None else trace.lengths
    return Traversal(lengths.to(trace.h.device, non_blocking=True), trace.direction == "forward", transient, windows)


def leading_growth(trace: Trace) -> LogGrowth | None:
    """How the leading directions of a trace's state grew, after a tenth of the sequence; total [1, n, k].

    Of ``schema.LYAPUNOV_EXPONENTS`` directions, and of at most ``schema.LYAPUNOV_SAMPLES`` samples evenly spaced in the
    batch, by their length, with the longest. None where the layer's derivatives are gone, or where its state goes
    through operations between its calls.
    """
    if not trace.has_derivatives:
        return None
    every = slice(None, None, -(-trace.h.shape[1] // schema.LYAPUNOV_SAMPLES))
    lengths = trace.lengths
    chosen = every if lengths is None else lengths.argsort(descending=True, stable=True)[every].sort().values
    few = _of_samples(trace, chosen)
    J = tangents_of(few)
    return log_growth(J, traversal_of(few, len(trace.h) // 10), min(J.size, schema.LYAPUNOV_EXPONENTS))


def _of_samples(trace: Trace, some: slice | Tensor) -> Trace:
    """What the derivatives of a trace are made of, of some of its samples."""

    def chosen(block: Tensor | None) -> Tensor | None:
        return None if block is None else block[..., some, :]

    gates = {name: gate[:, some] for name, gate in trace.gates.items()}
    few = replace(trace, h=trace.h[:, some], h0=trace.h0[some], gates=gates, c=chosen(trace.c), c0=chosen(trace.c0))
    lengths = None if trace.lengths is None else trace.lengths[some]
    return replace(few, normed=chosen(trace.normed), spread=chosen(trace.spread), lengths=lengths)
