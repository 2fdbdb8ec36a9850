"""sigmoid and tanh in a form that vector instructions compute: float32 to a few units in the last place.

Sources: tanh as a rational function from Eigen (generic_fast_tanh_float); exp by the reduction of Cody & Waite with the
polynomial of Cephes (expf).
"""

import math
from typing import Any, Final

import numpy as np
from numba import types
from numba.extending import overload

ONE: Final = np.float32(1)
ZERO: Final = np.float32(0)

# beyond it tanh is 1 in float32
_TANH_END: Final = np.float32(7.99881172180175781)
_A1: Final = np.float32(4.89352455891786e-03)
_A3: Final = np.float32(6.37261928875436e-04)
_A5: Final = np.float32(1.48572235717979e-05)
_A7: Final = np.float32(5.12229709037114e-08)
_A9: Final = np.float32(-8.60467152213735e-11)
_A11: Final = np.float32(2.00018790482477e-13)
_A13: Final = np.float32(-2.76076847742355e-16)
_B0: Final = np.float32(4.89352518554385e-03)
_B2: Final = np.float32(2.26843463243900e-03)
_B4: Final = np.float32(1.18534705686654e-04)
_B6: Final = np.float32(1.19825839466702e-06)

# below the first exp is 0 beside 1, from the second on it is infinite
_EXP_LEAST: Final = np.float32(-87)
_EXP_MOST: Final = np.float32(89)
_HALF: Final = np.float32(0.5)
_LOG2_E: Final = np.float32(1.44269504)
_LN2_HIGH: Final = np.float32(0.693359375)
_LN2_LOW: Final = np.float32(-2.12194440e-4)
_P0: Final = np.float32(1.9875691500e-4)
_P1: Final = np.float32(1.3981999507e-3)
_P2: Final = np.float32(8.3334519073e-3)
_P3: Final = np.float32(4.1665795894e-2)
_P4: Final = np.float32(1.6666665459e-1)
_P5: Final = np.float32(5.0000001201e-1)
_EXPONENT_BIAS: Final = np.int32(127)
_MANTISSA_BITS: Final = np.int32(23)


def tanh(x: Any) -> Any:
    """tanh(x) of a float; compiled code alone calls it."""
    raise NotImplementedError


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) of a float; compiled code alone calls it."""
    raise NotImplementedError


@overload(tanh, inline="always")  # type: ignore[untyped-decorator]
def _tanh(x: Any) -> Any:
    return _tanh_of_float32 if x == types.float32 else _tanh_of_float64


@overload(sigmoid, inline="always")  # type: ignore[untyped-decorator]
def _sigmoid(x: Any) -> Any:
    return _sigmoid_of_float32 if x == types.float32 else _sigmoid_of_float64


def _tanh_of_float32(x: Any) -> Any:
    y = min(max(x, -_TANH_END), _TANH_END)
    y2 = y * y
    odd = y2 * (y2 * (y2 * (y2 * (y2 * (y2 * _A13 + _A11) + _A9) + _A7) + _A5) + _A3) + _A1
    return min(max(y * odd / (y2 * (y2 * (y2 * _B6 + _B4) + _B2) + _B0), -ONE), ONE)


def _sigmoid_of_float32(x: Any) -> Any:
    y = min(max(-x, _EXP_LEAST), _EXP_MOST)
    n = np.floor(y * _LOG2_E + _HALF)
    r = y - n * _LN2_HIGH - n * _LN2_LOW
    fraction = (((((_P0 * r + _P1) * r + _P2) * r + _P3) * r + _P4) * r + _P5) * (r * r) + r + ONE
    power = np.int32((np.int32(n) + _EXPONENT_BIAS) << _MANTISSA_BITS).view(np.float32)
    return ONE / (ONE + fraction * power)


def _tanh_of_float64(x: Any) -> Any:
    return math.tanh(x)


def _sigmoid_of_float64(x: Any) -> Any:
    return 1 / (1 + math.exp(-x))
