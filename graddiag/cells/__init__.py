"""The maths of one recurrent layer in one direction, on tensors: forward, recover, adjoint and Jacobian of
each kind of cell, and the registry of them.

Legend, here and in the modules beside this one:
    T timesteps, N batch, I input size, H hidden size, P size of h (H, or proj_size), G gates (1, 4, 3)
    x [T, N, I], h [T, N, P], c [T, N, H], gates [T, N, G*H] in torch's rows: LSTM i f g o, GRU r z n
    a_t pre-activations, delta_t = dL/da_t, l_t the immediate dL/dh_t; time runs in the order of processing.
"""

from graddiag.cells.cell import Cell
from graddiag.cells.grad_transform import GradTransform
from graddiag.cells.observer import Call, Instrumented, Observer, current_observer, observing
from graddiag.cells.registry import CELLS, adjoint, forward, recover, recurrent_gradient, type_of, weight_gradients
from graddiag.cells.values import Adjoint, CellKind, Immediate, States, WeightGradients, Weights

__all__ = [
    "CELLS",
    "Adjoint",
    "Call",
    "Cell",
    "CellKind",
    "GradTransform",
    "Immediate",
    "Instrumented",
    "Observer",
    "States",
    "WeightGradients",
    "Weights",
    "adjoint",
    "current_observer",
    "forward",
    "observing",
    "recover",
    "recurrent_gradient",
    "type_of",
    "weight_gradients",
]
