"""Policies that act inside of back-propagation, between two timesteps: bptt:C and tbptt:K.

They need the layers of graddiag.nn, whose backward pass takes a transform: ``attach(policy, model)`` once, before
training.
Called on parameters they change nothing and measure: the norms of a step are those of the gradient as it was clipped
inside, which has no norm from before. So are the gradients that a run records at every timestep.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor, nn

from graddiag.cells import Instrumented
from graddiag.clipping.fixed import NoClipping
from graddiag.clipping.outcome import ClipOutcome, ClipPolicy
from graddiag.errors import SettingError

Measure = Literal["value", "norm"]
_TINY: Final = 1e-30  # keeps 0 / 0 away and is far below any threshold


@dataclass(frozen=True)
class BpttClipping:
    """Clips the error vector that each timestep sends back to the one before, in every layer and direction.

    By ``value`` each entry of it is clamped to [-C, C], as rnnlm does with C = 15; by ``norm`` the vector of each
    sample is scaled to a length of at most C. In an LSTM the vector is that of h and c together. The gradient that
    enters at a timestep from its own loss is left alone. C is in units of the loss: in a mean over N sequences each
    sample's error carries 1/N. NaN stays; inf becomes C by value.

    Note:
        rnnlm clamps the error vector wherever a layer sends one to the layer before it, from the output to the hidden
        layer too. What comes from the output is the immediate gradient, which is left alone here.

    Source: rnnlm-0.4b (Mikolov), gradient_cutoff in matrixXvector; Mikolov (2012), section 3.2.2.
    """

    threshold: float
    by: Measure = "value"

    def __call__(self, parameters: Iterable[Tensor]) -> ClipOutcome:
        return NoClipping()(parameters)

    def transform_gradient(self, t: int, sent_h: Tensor, sent_c: Tensor | None) -> None:
        """Clips in place; see ``graddiag.cells.GradTransform``."""
        vectors = [sent_h] if sent_c is None else [sent_h, sent_c]
        if self.by == "value":
            for vector in vectors:
                vector.clamp_(-self.threshold, self.threshold)
            return
        length = torch.linalg.vector_norm(torch.cat(vectors, dim=-1), dim=-1, keepdim=True)
        for vector in vectors:
            vector.mul_((self.threshold / length.clamp(min=_TINY)).clamp(max=1.0))

    def __str__(self) -> str:
        return f"bptt:{self.threshold!r}" + (":norm" if self.by == "norm" else "")


@dataclass(frozen=True)
class TruncatedBptt:
    """Cuts back-propagation every K timesteps: windows of K, over which the state is carried and no gradient passes.

    At timesteps K, 2K, ... nothing is sent back; dL/dh_t is exactly 0 before such a cut where no loss of its window
    reaches. It is the same as calling the layer window by window with a detached state, in one call. The gradient into
    a given initial state is kept: cutting that is up to the loop that carries it. A reverse direction is cut in the
    order in which it reads.

    Source: Williams & Peng (1990), the epochwise variant; TensorFlow's PTB tutorial (num_steps).
    """

    window: int

    def __call__(self, parameters: Iterable[Tensor]) -> ClipOutcome:
        return NoClipping()(parameters)

    def transform_gradient(self, t: int, sent_h: Tensor, sent_c: Tensor | None) -> None:
        """Zeroes in place; see ``graddiag.cells.GradTransform``."""
        if t and t % self.window == 0:
            sent_h.zero_()
            if sent_c is not None:
                sent_c.zero_()

    def __str__(self) -> str:
        return f"tbptt:{self.window}"


def attach(policy: ClipPolicy, model: nn.Module) -> None:
    """Makes the recurrent layers of ``model`` follow a policy that acts inside of back-propagation.

    A policy that acts on parameters needs nothing in the layers: it only takes off one that was attached before. Call
    it before training; a pass that is under way is not changed.

    Raises:
        SettingError: such a policy, and a recurrent layer of torch.nn's, or none at all.
    """
    inside = isinstance(policy, BpttClipping | TruncatedBptt)
    layers = {name: m for name, m in model.named_modules() if isinstance(m, Instrumented | nn.RNNBase | nn.RNNCellBase)}
    for name, layer in layers.items():
        if inside and not isinstance(layer, Instrumented):
            kind = type(layer).__name__
            raise SettingError(
                f"clip {policy}: it acts inside of back-propagation, and module {name or '(model)'!r} is "
                f"torch.nn.{kind}, whose backward pass is closed. Use graddiag.nn.RNN, LSTM or GRU, which are drop-ins."
            )
    if inside and not layers:
        raise SettingError(f"clip {policy}: it acts in recurrent layers, and the model has none.")
    for layer in layers.values():
        if isinstance(layer, Instrumented):
            layer.grad_transform = (
                policy.transform_gradient if isinstance(policy, BpttClipping | TruncatedBptt) else None
            )
