"""Spectra of the recurrent weights at some of the recorded steps."""

from typing import Final

from torch import nn

from graddiag import schema
from graddiag.recording.parameters import Spectrum, recurrent_spectra
from graddiag.recording.rows import spectra_columns
from graddiag.store import RunWriter
from graddiag.tracing.spectra import full_spectra

# a spectrum costs a decomposition and W_hh moves slowly: it is taken at recorded steps this far apart
_EVERY: Final = 100


class SpectrumMeter:
    """Takes radius and norm of each W_hh, and of snapshots the whole spectrum."""

    def __init__(self, module: nn.Module, writer: RunWriter, every: int) -> None:
        self._module = module
        self._writer = writer
        self._every = max(_EVERY, every)

    def of_step(self, step: int) -> dict[str, Spectrum]:
        """Radius and norm of each W_hh, where they are due."""
        return {} if step % self._every else recurrent_spectra(self._module)

    def write(self, step: int) -> None:
        """Writes the whole spectrum of each W_hh."""
        if spectra := full_spectra(self._module):
            self._writer.append(schema.TABLE_SPECTRA, spectra_columns(step, spectra))
