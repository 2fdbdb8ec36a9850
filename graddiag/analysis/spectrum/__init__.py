"""What is made of traces and of modules, in memory: the part of the analyses that needs torch, imported by its name.

``graddiag.analysis`` does not import it, so a run is still read and judged where there is no torch. The results are
those of ``analysis.spectra`` and ``analysis.credit``, which the figures take.
"""

from graddiag.analysis.spectrum.credit import credit_of
from graddiag.analysis.spectrum.lyapunov import lyapunov, lyapunov_of, state_jacobians
from graddiag.analysis.spectrum.weights import spectra_of

__all__ = ["credit_of", "lyapunov", "lyapunov_of", "spectra_of", "state_jacobians"]
