"""The registry of cells: every kind with its variants, and the functions that take a kind by its name.

A kind of ``graddiag.kinds`` is looked up in the module of ``graddiag.cells`` with its name, which lists its variants.
"""

from dataclasses import replace
from importlib import import_module
from typing import Final

from torch import Tensor, nn

from graddiag.cells.cell import Cell
from graddiag.cells.grad_transform import GradTransform
from graddiag.cells.jacobian import Tangents, Trajectory
from graddiag.cells.layer_norm import gain_gradient
from graddiag.cells.observer import Instrumented
from graddiag.cells.products import outer_product
from graddiag.cells.projection import outer_sum, project
from graddiag.cells.sequences import followed
from graddiag.cells.values import Adjoint, CellKind, States, WeightGradients, Weights
from graddiag.kinds import CELL_TYPES, CellType


def _found() -> dict[CellKind, Cell]:
    modules = (import_module(f"graddiag.cells.{name}") for name in CELL_TYPES)
    return {cell.kind: cell for module in modules for cell in module.CELLS}


CELLS: Final = _found()


def type_of(module: nn.Module) -> CellType | None:
    """The kind of a recurrent module, torch.nn's, graddiag.nn's or a cell; None for another module.

    A layer of graddiag.nn's of a kind that torch does not have names it as its ``cell_type``.
    """
    if isinstance(module, Instrumented) and module.cell_type is not None:
        return CELL_TYPES[module.cell_type]
    mode = module.mode.partition("_")[0] if isinstance(module, nn.RNNBase) else None
    for kind in CELL_TYPES.values():
        cell = getattr(nn, f"{kind.title}Cell", None)
        if mode == kind.title or (cell is not None and isinstance(module, cell)):
            return kind
    return None


def forward(kind: CellKind, x: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights) -> States:
    """See ``Cell.forward``."""
    return CELLS[kind].forward(x, h0, c0, weights)


def recover(kind: CellKind, x: Tensor, h: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights) -> States:
    """See ``Cell.recover``."""
    return CELLS[kind].recover(x, h, h0, c0, weights)


def adjoint(
    kind: CellKind,
    states: States,
    weights: Weights,
    grad_h_direct: Tensor,
    grad_c_direct: Tensor | None = None,
    grad_transform: GradTransform | None = None,
) -> Adjoint:
    """See ``Cell.adjoint``; the result holds the immediate gradients too."""
    found = CELLS[kind].adjoint(states, weights, grad_h_direct, grad_c_direct, grad_transform)
    return replace(found, grad_h_direct=grad_h_direct, grad_c_direct=grad_c_direct)


def tangents(kind: CellKind, along: Trajectory, weights: Weights) -> Tangents:
    """See ``Cell.jacobian``."""
    return CELLS[kind].jacobian(along, weights)


def recurrent_gradient(states: States, adj: Adjoint) -> Tensor:
    """dL/dW_hh, the sum over timesteps of G_t = delta_t^T h_{t-1}: [G*H, P]."""
    w_hh = outer_product(adj.grad_a_hh[0], states.h0)
    if len(states.h) > 1:
        w_hh += outer_sum(adj.grad_a_hh[1:], followed(states.h, states.lengths))
    return w_hh


def input_gradient(weights: Weights, adj: Adjoint) -> Tensor:
    """dL/dx_t = delta_t W_ih, [T, N, I]."""
    return project(adj.grad_a, weights.w_ih.t(), None)


def weight_gradients(kind: CellKind, x: Tensor, states: States, weights: Weights, adj: Adjoint) -> WeightGradients:
    """dL/dW of every weight, one product each over all timesteps and the batch; the sum of all G_t for w_hh."""
    biased = weights.b_ih is not None
    b_ih = (adj.grad_a if adj.grad_y is None else adj.grad_y).sum((0, 1)) if biased else None
    shared = adj.grad_a_hh is adj.grad_a
    return WeightGradients(
        w_ih=outer_sum(adj.grad_a, x),
        w_hh=recurrent_gradient(states, adj),
        b_ih=b_ih,
        b_hh=(b_ih if shared else adj.grad_a_hh.sum((0, 1))) if biased else None,
        w_hr=None if weights.w_hr is None else outer_sum(adj.grad_h, CELLS[kind].before_projection(states)),
        gain=None if weights.gain is None else gain_gradient(states, adj),
    )
