"""Remedies that act while a network is trained, beside clipping."""

from dataclasses import dataclass

import torch
from torch import Tensor

from graddiag.cells import GradTransform, Instrumented


@dataclass(frozen=True)
class HDetach:
    """h-detach: at each timestep, with a ``probability``, nothing is sent back to h_{t-1} through the gates of an LSTM.

    What goes along the cell path is left alone, so the gradient that reaches far is not drowned by the one that does
    not; with probability 1 it is all there is: dc_{t-1} = dc_t f_t. One draw for the whole batch, from torch's global
    generator, in the backward pass. ``then`` is what is done to the gradient besides.

    Source: Kanuparthi et al. (2019), h-detach: modifying the LSTM gradient towards better optimization.
    """

    probability: float
    then: GradTransform | None = None

    def __call__(self, t: int, sent_h: Tensor, sent_c: Tensor | None) -> None:
        if torch.rand(()) < self.probability:
            sent_h.zero_()
        if self.then is not None:
            self.then(t, sent_h, sent_c)


def detach_h(recurrent: Instrumented, probability: float) -> None:
    """Makes the layers of ``recurrent`` follow h-detach, before what a clip policy does inside of back-propagation."""
    recurrent.grad_transform = HDetach(probability, recurrent.grad_transform)
