"""The whole spectrum of every recurrent weight of a model, as rows of the table ``spectra``."""

from collections.abc import Mapping

import numpy as np
from torch import nn

from graddiag import schema
from graddiag.cells import type_of
from graddiag.cells.spectra import BlockSpectrum, block_spectra
from graddiag.tracing.hooks import recurrent_modules
from graddiag.tracing.rows import Columns

Spectra = Mapping[tuple[str, str], BlockSpectrum]
"""By qualified name of the weight, and gate."""


def full_spectra(model: nn.Module) -> Spectra:
    """Singular values and eigenvalues of each gate's block of each W_hh; a synchronisation.

    Weights that hold NaN or inf are left out, and those of a module of no known kind. A decomposition takes time of the
    order of H^3.
    """
    found = {}
    for module_name, module in recurrent_modules(model).items():
        kind = type_of(module)
        for name, weight in module.named_parameters(prefix=module_name, recurse=False):
            if kind is not None and "weight_hh" in name and bool(weight.isfinite().all()):
                of_gate = zip(kind.gate_names, block_spectra(weight, module.hidden_size), strict=True)
                found.update({(name, gate): spectrum for gate, spectrum in of_gate})
    return found


def spectra_columns(step: int, spectra: Spectra) -> Columns:
    """One row per weight, gate and index."""
    sizes = [len(each.singular) for each in spectra.values()]
    where = [key for key, size in zip(spectra, sizes, strict=True) for _ in range(size)]
    real, imag = zip(*(_parts(each) for each in spectra.values()), strict=True)
    return {
        schema.STEP: step,
        schema.PARAMETER: [name for name, _ in where],
        schema.GATE: [gate for _, gate in where],
        schema.INDEX: np.concatenate([np.arange(size) for size in sizes]),
        schema.SINGULAR_VALUE: np.concatenate([each.singular.cpu().numpy() for each in spectra.values()]),
        schema.EIGENVALUE_REAL: np.ma.concatenate(real),
        schema.EIGENVALUE_IMAG: np.ma.concatenate(imag),
    }


def _parts(spectrum: BlockSpectrum) -> "tuple[np.ma.MaskedArray, np.ma.MaskedArray]":
    if spectrum.eigenvalues is None:
        nothing = np.ma.masked_all(len(spectrum.singular))
        return nothing, nothing
    values = spectrum.eigenvalues.cpu().numpy()
    return np.ma.masked_array(values.real, False), np.ma.masked_array(values.imag, False)
