"""The whole spectrum of every recurrent weight of a model."""

from collections.abc import Mapping

from torch import nn

from graddiag.cells import type_of
from graddiag.cells.spectra import BlockSpectrum, block_spectra
from graddiag.tracing.hooks import recurrent_modules
from graddiag.tracing.storage import whole_weight

Spectra = Mapping[tuple[str, str], BlockSpectrum]
"""By qualified name of the weight, and gate."""


def full_spectra(model: nn.Module) -> Spectra:
    """Singular values and eigenvalues of each gate's block of each W_hh; a synchronisation.

    Left out are weights that hold NaN or inf, shards, and those of a module of no known kind. A decomposition takes
    time of the order of H^3.
    """
    found = {}
    for module_name, module in recurrent_modules(model).items():
        kind = type_of(module)
        for name, parameter in module.named_parameters(prefix=module_name, recurse=False):
            weight = whole_weight(parameter) if kind is not None and "weight_hh" in name else None
            if kind is not None and weight is not None and bool(weight.isfinite().all()):
                of_gate = zip(kind.gate_names, block_spectra(weight, module.hidden_size), strict=True)
                found.update({(name, gate): spectrum for gate, spectrum in of_gate})
    return found
