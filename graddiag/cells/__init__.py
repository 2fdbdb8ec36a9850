"""The maths of one recurrent layer in one direction, on tensors: forward, recover and adjoint of the RNN, LSTM and GRU.

Legend, here and in the modules beside this one:
    T timesteps, N batch, I input size, H hidden size, P size of h (H, or proj_size), G gates (1, 4, 3)
    x [T, N, I], h [T, N, P], c [T, N, H], gates [T, N, G*H] in torch's rows: LSTM i f g o, GRU r z n
    a_t pre-activations, delta_t = dL/da_t, l_t the immediate dL/dh_t; time runs in the order of processing.
"""

from graddiag.cells.dispatch import adjoint, forward, recover, recurrent_gradient, weight_gradients
from graddiag.cells.grad_transform import GradTransform
from graddiag.cells.observer import Call, Instrumented, Observer, current_observer, observing
from graddiag.cells.values import (
    RNN_ACTIVATIONS,
    Adjoint,
    CellKind,
    Immediate,
    States,
    WeightGradients,
    Weights,
    family,
)

__all__ = [
    "RNN_ACTIVATIONS",
    "Adjoint",
    "Call",
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
    "family",
    "forward",
    "observing",
    "recover",
    "recurrent_gradient",
    "weight_gradients",
]
