"""What may be done to a gradient on its way from one timestep to the one before it."""

from typing import Protocol

from torch import Tensor


class Passing(Protocol):
    """Changes in place what timestep ``t`` sends back, in the order of processing.

    ``sent_h`` [N, P] goes to h_{t-1} through the recurrence, ``sent_c`` [N, H] to c_{t-1} of an LSTM; timestep 0 sends
    to the initial state. In units of the loss; padding sends zeros.
    """

    def __call__(self, t: int, sent_h: Tensor, sent_c: Tensor | None) -> None: ...
