"""What the equations of one kind of cell give: the one interface that layers, recording and analyses use."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from graddiag.cells.activations import SATURATION, Bounds
from graddiag.cells.grad_transform import GradTransform
from graddiag.cells.jacobian import Tangents, Trajectory
from graddiag.cells.values import Adjoint, CellKind, States, Weights
from graddiag.kinds import GATES, CellType, Nonlinearity


class Cell(ABC):
    """One kind of cell in one variant, as equations on tensors; legend as in ``graddiag.cells``.

    Attributes:
        type: what is known of it without torch.
        kind: its name with its variant, the key in ``registry.CELLS`` and the ``kind`` of a trace.
        nonlinearity: of a plain RNN; None where the activations are part of the definition.
        residual: whether it adds what it makes to the state before it, h_t = h_{t-1} + phi(a_t).
        torch_layer, torch_cell: torch's fused function for a stack of layers, and for one timestep; None without one.
    """

    type: ClassVar[CellType]
    kind: CellKind
    nonlinearity: Nonlinearity | None = None
    residual: bool = False
    torch_layer: Any = None
    torch_cell: Any = None

    @abstractmethod
    def forward(self, x: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights) -> States:
        """States of one layer in the order of processing. x [T, N, I], h0 [N, P], c0 [N, H] where there is a c."""

    @abstractmethod
    def recover(self, x: Tensor, h: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights) -> States:
        """The states behind known outputs h [T, N, P], without running the recursion of h again."""

    @abstractmethod
    def adjoint(
        self,
        states: States,
        weights: Weights,
        grad_h_direct: Tensor,
        grad_c_direct: Tensor | None = None,
        grad_transform: GradTransform | None = None,
    ) -> Adjoint:
        """Total gradients at every timestep from the immediate ones.

        Args:
            grad_h_direct: l_t, [T, N, P].
            grad_c_direct: gradient into c_n where each sequence ends, [T, N, H], zero elsewhere; None without one.
            grad_transform: what is done to the gradient that a timestep sends back before it reaches the one before.
        """

    @abstractmethod
    def jacobian(self, along: Trajectory, weights: Weights) -> Tangents:
        """J_t = d s_t / d s_{t-1} at every timestep of a trajectory, in factors."""

    def saturation(self, gate: str) -> Bounds:
        """Where the activations of a gate are saturated."""
        activation = GATES[gate].activation
        if activation == "nonlinearity":
            return (None, None) if self.nonlinearity is None else SATURATION[self.nonlinearity]
        return SATURATION[activation]

    def before_projection(self, states: States) -> Tensor:
        """What a projection W_hr is applied to, [T, N, H]."""
        raise NotImplementedError(f"{self.type.title}: it has no projection.")

    def grad_c_through_h(self, states: States, grad_h: Tensor) -> Tensor:
        """What dh_t gives to dc_t where h_t is made of c_t, [T, N, H]; without a projection."""
        raise NotImplementedError(f"{self.type.title}: it has no cell state.")
