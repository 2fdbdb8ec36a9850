"""The cliff: the error surface of one recurrent unit over 50 timesteps, and gradient descent on it.

x_t = w sigmoid(x_{t-1}) + b, x_0 = .5, E = (sigmoid(x_50) - .7)^2. In the words of this project, with h = sigmoid(x),
it is an RNN of one sigmoid unit without input: h_t = sigmoid(w h_{t-1} + b), E = (h_50 - .7)^2.

Source: Pascanu, Mikolov & Bengio (2013), section 2.3, equation 8 and figure 6.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from graddiag import clipping
from graddiag.analysis.values import Floats
from graddiag.lessons.networks import line
from graddiag.lessons.values import Descent, Section, Surface

Range = tuple[float, float]

TIMESTEPS: Final = 50
START: Final = 0.5
TARGET: Final = 0.7
W_RANGE: Final[Range] = (3.0, 7.0)
B_RANGE: Final[Range] = (-4.0, -1.0)
GRID: Final = 140
ALONG: Final = 1501
W_SEEN: Final[Range] = (2.5, 7.5)
B_SEEN: Final[Range] = (-4.5, -0.5)
_LITTLE: Final = 0.01  # of h_50
_BETWEEN, _ROUNDS = 33, 12
_NARROWEST, _ROOM = 1.0, 0.15  # of w or b; on either side, of the width


def error_and_gradient(w: Floats | float, b: Floats | float) -> tuple[Floats, Floats, Floats]:
    """E, dE/dw and dE/db at each (w, b), any shapes that broadcast; derivatives carried forward through time, exactly.

    dx_t/dw = h_{t-1} + w h' dx_{t-1}/dw and dx_t/db = 1 + w h' dx_{t-1}/db with h' = h_{t-1} (1 - h_{t-1}).
    """
    h, by_w, by_b = _unrolled(w, b)
    outer = 2 * (h - TARGET) * h * (1 - h)
    return (h - TARGET) ** 2, outer * by_w, outer * by_b


def _unrolled(w: Floats | float, b: Floats | float) -> tuple[Floats, Floats, Floats]:
    """h_50, dx_50/dw and dx_50/db."""
    w, b = np.broadcast_arrays(np.asarray(w, dtype=np.float64), np.asarray(b, dtype=np.float64))
    h = np.full(w.shape, sigmoid(np.array(START)))
    by_w = by_b = np.zeros(w.shape)
    for _ in range(TIMESTEPS):
        back = w * h * (1 - h)
        x, by_w, by_b = w * h + b, h + back * by_w, 1 + back * by_b
        h = sigmoid(x)
    return h, by_w, by_b


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def surface(w_range: Range = W_RANGE, b_range: Range = B_RANGE) -> Surface:
    """The error and the norm of its gradient over a part of the plane of w and b."""
    w, b = np.linspace(*w_range, GRID), np.linspace(*b_range, GRID)
    error, by_w, by_b = error_and_gradient(w[None, :], b[:, None])
    return Surface(w, b, error, np.hypot(by_w, by_b))


def view(descents: Sequence[Descent]) -> tuple[Range, Range]:
    """The part of the plane, over w and over b, with the ``descents`` and with the steepest place at the w they start
    from; points beyond ``W_SEEN`` and ``B_SEEN``, where a descent is thrown far away, are left out."""
    found = section(float(descents[0].points[0, 0]))
    steepest = [[found.w, float(found.b[found.grad_norm.values.argmax()])]]
    points = np.concatenate([steepest, *(descent.points for descent in descents)])
    w, b = points.T
    points = points[(w >= W_SEEN[0]) & (w <= W_SEEN[1]) & (b >= B_SEEN[0]) & (b <= B_SEEN[1])]
    return _around(points[:, 0]), _around(points[:, 1])


def _around(values: Floats) -> Range:
    low, high = float(values.min()), float(values.max())
    half = (0.5 + _ROOM) * max(high - low, _NARROWEST)
    return 0.5 * (low + high) - half, 0.5 * (low + high) + half


def section(w: float) -> Section:
    """The error and the norm of its gradient over b in [-4, -1] at one w.

    1501 places at equal distances, over which the median is taken, and as many more on the wall as it needs to be seen:
    at w = 7 it is narrower than 1e-9.
    """
    places = np.linspace(*B_RANGE, ALONG)
    b = _resolved(w, places)
    error, by_w, by_b = error_and_gradient(w, b)
    norm = np.hypot(by_w, by_b)
    median = float(np.median(norm[np.isin(b, places)]))
    return Section(w, b, line("error", "error E", error), line("grad", "‖∇E‖", norm), median)


def _resolved(w: float, b: Floats) -> Floats:
    """``b`` and places between, until h_50 moves little from each to the next; it grows with b, on the wall at once."""
    for _ in range(_ROUNDS):
        far = np.diff(_unrolled(w, b)[0]) > _LITTLE
        if not far.any():
            break
        b = np.union1d(b, np.linspace(b[:-1][far], b[1:][far], _BETWEEN))
    return b


def descend(start: tuple[float, float], lr: float, clip: str, steps: int) -> Descent:
    """``steps`` steps of gradient descent from (w, b) = ``start``, each gradient clipped by the policy ``clip``.

    Raises:
        SettingError: a clip policy that ``graddiag.clipping.parse`` does not know.
    """
    policy = clipping.parse(clip)
    point = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    points, errors, norms = [], [], []
    for _ in range(steps + 1):
        w, b = point.tolist()
        error, by_w, by_b = error_and_gradient(w, b)
        point.grad = torch.tensor([float(by_w), float(by_b)], dtype=torch.float64)
        points.append((w, b))
        errors.append(float(error))
        norms.append(float(policy([point]).norm_before))
        with torch.no_grad():
            point.sub_(point.grad, alpha=lr)
    return Descent(clip, np.array(points), np.array(errors), np.array(norms))
