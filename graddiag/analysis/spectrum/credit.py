"""The credit matrix of a trace."""

from collections.abc import Sequence

import numpy as np
import torch

from graddiag.analysis.flow.credit import CreditMatrix, credit_values
from graddiag.analysis.selection import Selection
from graddiag.analysis.values import Source
from graddiag.errors import SettingError
from graddiag.tracing import Trace
from graddiag.tracing.credit import credit


def credit_of(trace: Trace, at: Sequence[int] | None = None, *, name: str = "trace") -> CreditMatrix:
    """||dL_s/dh_t|| of a captured layer, for the loss timesteps ``at``; all of them by default.

    One walk along time for all of them together. ``name`` is what the result is called in captions and legends.

    Raises:
        SettingError: a timestep of ``at`` is not one of the sequence.
        UnsupportedError: no gradient reached the layer, or its weights were changed before the trace was taken.
    """
    T = len(trace.h)
    chosen = np.unique(np.arange(T) if at is None else np.asarray(at, dtype=np.int64))
    if len(chosen) and (chosen[0] < 0 or chosen[-1] >= T):
        raise SettingError(f"credit_of(at={list(at or ())}): the sequence has timesteps 0 to {T - 1}.")
    with torch.no_grad():
        values = credit(trace, chosen.tolist()).cpu().numpy()
    selection = Selection(trace.module, trace.layer, trace.direction, trace.call)
    return credit_values(Source(name), selection, None, chosen, values)
