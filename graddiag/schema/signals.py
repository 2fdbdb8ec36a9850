"""The signals: one number per recorded step, layer and timestep, each a column of the table ``timesteps``.

A signal is declared here and computed in ``graddiag/tracing/signals.py``. The table, its titles and units on pictures,
exports, the manual and the division by a loss scale follow from the declaration.
"""

from dataclasses import dataclass
from typing import Final

GRAD_H = "grad_h"
GRAD_H_DIRECT = "grad_h_direct"
GRAD_H_MAX = "grad_h_max"
GRAD_C = "grad_c"
GRAD_C_PATH = "grad_c_path"
GRAD_A = "grad_a"
GRAD_W_HH = "grad_w_hh"
GRAD_W_HH_COSINE = "grad_w_hh_cosine"
TRANSPORT_GAIN = "transport_gain"
PASSED = "passed"
MEMORY_ENDED = "memory_ended"
STATE_ATTACHED = "state_attached"
H_RMS = "h_rms"
C_RMS = "c_rms"

_NORM: Final = "L2 over batch and units, units of the loss"


@dataclass(frozen=True)
class Signal:
    """One signal.

    Attributes:
        name: its column.
        label: its title, in words.
        unit: which norm, of what, in which units.
        meaning: what it is, for the tables of the manual.
        scales_with_loss: whether it is in units of the loss: it is divided by the scale of a scaled loss, and taken
            before clipping.
        signed: whether it has a sign: it has no log scale and no geometric mean.
        since: the schema that brought it; in a run of an older one it is null throughout.
    """

    name: str
    label: str
    unit: str
    meaning: str
    scales_with_loss: bool = False
    signed: bool = False
    since: int = 1

    @property
    def full_unit(self) -> str:
        """The unit, and whether it is before clipping."""
        return f"{self.unit}, before clipping" if self.scales_with_loss else self.unit


SIGNALS: Final[dict[str, Signal]] = {
    signal.name: signal
    for signal in (
        Signal(
            GRAD_H,
            "Total gradient ‖dL/dh‖",
            _NORM,
            "total dL/dh_t: immediate and through time",
            scales_with_loss=True,
        ),
        Signal(
            GRAD_H_DIRECT,
            "Immediate gradient ‖dL/dh‖",
            _NORM,
            "immediate dL/dh_t: through the layer's output at t, and h_n",
            scales_with_loss=True,
        ),
        Signal(
            GRAD_H_MAX,
            "Largest ‖dL/dh‖ of a sample",
            "L2 over units, units of the loss",
            "largest dL/dh_t of a single sample",
            scales_with_loss=True,
        ),
        Signal(GRAD_C, "Total gradient ‖dL/dc‖", _NORM, "total dL/dc_t (LSTM)", scales_with_loss=True),
        Signal(
            GRAD_C_PATH,
            "‖dL/dc‖ along the cell path",
            _NORM,
            "part of dL/dc_t that came along the cell, dc_{t+1} f_{t+1}",
            scales_with_loss=True,
        ),
        Signal(
            GRAD_A, "Gradient ‖dL/da‖", _NORM, "dL/da_t, at the pre-activations of all gates", scales_with_loss=True
        ),
        Signal(
            GRAD_W_HH,
            "Contribution ‖G‖ to dL/dW_hh",
            "Frobenius, units of the loss",
            "||G_t||, what timestep t adds to dL/dW_hh",
            scales_with_loss=True,
        ),
        Signal(
            GRAD_W_HH_COSINE,
            "Cosine of G with the sum of G",
            "1",
            "cosine between G_t and the sum of all G_t",
            signed=True,
        ),
        Signal(
            TRANSPORT_GAIN,
            "Transport gain",
            "1",
            "||J_t^T lambda_t|| / ||lambda_t||: stretch of one step back, before bptt:C, tbptt:K or h-detach; "
            "operations between two calls are a part of it, samples whose memory ends there are left out; null where "
            "no gradient reached t, where it is not known, or one of the two norms is below the smallest normal number",
        ),
        Signal(
            PASSED,
            "Norm sent back after clipping inside / before",
            "1",
            "norm of what t sends back after bptt:C, tbptt:K or h-detach / before; null without them",
            since=3,
        ),
        Signal(
            MEMORY_ENDED,
            "Share of samples whose memory ends later",
            "share",
            "samples whose state is reset between two later timesteps (a mask ends an episode), so that what comes "
            "after cannot reach t; null where no operation lies between the calls",
            since=4,
        ),
        Signal(
            STATE_ATTACHED,
            "Initial state in the graph",
            "1",
            "at the first timestep that ran: 1 if the sequence begins from a state that a gradient goes through, 0 if "
            "not; null at all others",
            since=4,
        ),
        Signal(H_RMS, "RMS of h", "1", "root mean square of h_t over batch and units"),
        Signal(C_RMS, "RMS of c", "1", "root mean square of c_t over batch and units (LSTM)"),
    )
}
