"""Spectra of the recurrent weights of a module."""

import numpy as np
from torch import nn

from graddiag.analysis.flow.spectra import WeightBlock, WeightSpectrum
from graddiag.analysis.values import Source
from graddiag.analysis.words import gate_title
from graddiag.tracing.spectra import full_spectra


def spectra_of(module: nn.Module, *, name: str = "module") -> tuple[WeightSpectrum, ...]:
    """Singular values and eigenvalues of every W_hh in ``module``, gate by gate; weights with NaN or inf left out."""
    by_weight: dict[str, list[WeightBlock]] = {}
    for (parameter, gate), found in full_spectra(module).items():
        values = np.zeros(0, dtype=complex) if found.eigenvalues is None else found.eigenvalues.cpu().numpy()
        block = WeightBlock(
            gate, gate_title(gate), found.singular.cpu().numpy(), values.real.copy(), values.imag.copy()
        )
        by_weight.setdefault(parameter, []).append(block)
    return tuple(
        WeightSpectrum(Source(name), parameter, None, tuple(blocks)) for parameter, blocks in by_weight.items()
    )
