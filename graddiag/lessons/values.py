"""What the lessons give: frozen results, each with a caption that says what there is to see. They need no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from graddiag.analysis import number
from graddiag.analysis.frames import indexed
from graddiag.analysis.values import Floats, Ints, Series
from graddiag.kinds import Nonlinearity


def equal(name: str, value: str) -> str:
    """``name = value``, which no line breaks."""
    return f"{name} = {value}".replace(" ", "\N{NO-BREAK SPACE}")


def written(value: float) -> str:
    """``number``, with NaN as the pages write it."""
    return "NaN" if math.isnan(value) else number(value)


@dataclass(frozen=True)
class Decay:
    """||dL/dh_t|| of an RNN with W_hh = gain x orthogonal, and what theory says of it.

    Attributes:
        timesteps: t, [T]; the loss is at the last.
        norms: ||dL/dh_t||, L2 over units, [T]; 1 at the last.
        theory: gain^(T-1-t) ||dL/dh_{T-1}||, which the identity follows exactly.
        bound: ||dL/dh_{T-1}|| times the product of gain and the largest phi' of each timestep after t.
        slope: mean phi'(a_t) over units, [T].
    """

    gain: float
    nonlinearity: Nonlinearity
    timesteps: Ints
    norms: Series
    theory: Series
    bound: Series
    slope: Series

    @property
    def ratio(self) -> float:
        """The norm at the first timestep over that at the last."""
        return float(self.norms.values[0] / self.norms.values[-1])

    @property
    def factor(self) -> float:
        """By how much one step back multiplies the norm: the geometric mean; 0 where the gradient has died."""
        return float(self.ratio ** (1 / (len(self.timesteps) - 1)))

    @property
    def horizon(self) -> float:
        """Timesteps over which the norm falls to 1/e; inf where it does not fall."""
        return math.inf if self.factor >= 1 else 0.0 if self.factor == 0 else -1 / math.log(self.factor)

    @property
    def caption(self) -> str:
        if self.ratio == 0:
            return "The gradient is exactly zero at the first timestep: units that were off passed nothing on."
        return (
            f"From the last timestep back to the first the gradient {self._course}: a factor of {self.factor:.3f} per "
            f"timestep; the gain alone would give {self.gain:.3f}."
        )

    @property
    def _course(self) -> str:
        if math.isclose(self.ratio, 1):
            return "keeps its norm"
        ratio = number(self.ratio)
        return f"grows to {ratio} times its norm" if self.ratio > 1 else f"shrinks to {ratio} of its norm"

    def to_frame(self) -> pd.DataFrame:
        """One row per timestep."""
        columns = {"norm": self.norms, "theory": self.theory, "bound": self.bound, "slope": self.slope}
        return indexed({"timestep": self.timesteps}, **columns)


@dataclass(frozen=True)
class Powers:
    """||W^k|| of W = [[d, u], [0, d]]: the largest factor by which k steps back can stretch a gradient.

    Attributes:
        k: [K], from 1; norms: ||W^k||, the largest singular value; radius: d^k, what the eigenvalues alone predict;
        bound: ||W||^k, which no ||W^k|| exceeds.
        spectral_norm: ||W||, the bound on one step.
    """

    diagonal: float
    k: Ints
    norms: Series
    radius: Series
    bound: Series
    spectral_norm: float

    @property
    def peak(self) -> float:
        return float(self.norms.values.max())

    @property
    def peak_k(self) -> int:
        return int(self.k[self.norms.values.argmax()])

    @property
    def first_below_one(self) -> int | None:
        """The first k after the peak whose norm is below 1; None if there is none."""
        below = self.k[(self.norms.values < 1) & (self.k >= self.peak_k)]
        return int(below[0]) if len(below) else None

    @property
    def caption(self) -> str:
        end = self.first_below_one
        last = equal("k", str(self.k[-1]))
        after = (
            f"below 1 first at {equal('k', str(end))}" if end else f"still {number(self.norms.values[-1])} at {last}"
        )
        return (
            f"Both eigenvalues are {self.diagonal:g}; ‖W^k‖ peaks at {self.peak:.4g} for "
            f"{equal('k', str(self.peak_k))} and is {after}. One step is bounded by the largest singular value "
            f"‖W‖, {self.spectral_norm:.4g}, and k steps by its k-th power."
        )

    def to_frame(self) -> pd.DataFrame:
        """A row a power k."""
        return indexed({"k": self.k}, norm=self.norms, eigenvalues=self.radius, bound=self.bound)


@dataclass(frozen=True)
class Kept:
    """How much of the gradient is left: an LSTM's cell, a GRU and a tanh RNN over the same input.

    Attributes:
        bias: of the gate that keeps the state, f of the LSTM and z of the GRU; gate: its sigmoid.
        lines: gradient norm at each timestep over that at the last, [T] each; f^(T-1-t) as ``theory``.
        mean_f, mean_z: the gates' mean activation over timesteps and units.
    """

    bias: float
    timesteps: Ints
    lines: tuple[Series, ...]
    theory: Series
    mean_f: float
    mean_z: float

    @property
    def gate(self) -> float:
        return 1 / (1 + math.exp(-self.bias))

    @property
    def time_constant(self) -> float:
        """-1 / ln f, in timesteps."""
        return 1 / math.log1p(math.exp(-self.bias))

    @property
    def caption(self) -> str:
        reaching = ", ".join(f"{line.name} {number(float(line.values[0]))}" for line in self.lines)
        return f"Share of the last timestep's gradient that reaches the first: {reaching}{self._coincidence}."

    @property
    def _coincidence(self) -> str:
        """Whether the first two lines, LSTM and GRU, are the power of the gate at every timestep."""
        alike = all(np.allclose(line.values, self.theory.values, rtol=1e-6, atol=0) for line in self.lines[:2])
        return "; LSTM and GRU coincide with sigmoid(bias)^(T-1-t)" if alike else ""

    def to_frame(self) -> pd.DataFrame:
        """One row per timestep."""
        lines = {line.title: line for line in (*self.lines, self.theory)}
        return indexed({"timestep": self.timesteps}, **lines)


@dataclass(frozen=True)
class Clipped:
    """What one policy makes of one gradient of two entries, each in a separate row.

    Attributes:
        spec: as ``graddiag.clipping.parse`` reads it; title: in words; scales_together: all entries by one number.
        before, after: [2], NaN and inf kept.
        coefficient: norm after / norm before, the factor of all entries where they share one.
        cosine: of after with before, NaN where either has none.
        nonfinite: NaN or inf entries before clipping.
        allowed: corners or radius of the region that an after can lie in; None where the threshold is not fixed.
    """

    spec: str
    title: str
    scales_together: bool
    before: Floats
    after: Floats
    norm_before: float
    norm_after: float
    coefficient: float
    cosine: float
    nonfinite: int
    allowed: "Region | None"

    @property
    def direction(self) -> str:
        """What became of the direction, in words."""
        if math.isnan(self.cosine):
            return "no direction"
        return "direction kept" if self.cosine > 1 - 1e-9 else f"turned, cosine {self.cosine:.4f}"

    @property
    def caption(self) -> str:
        x, y = (written(float(value)) for value in self.after)
        after = f"After: ({x}, {y}), norm {written(self.norm_after)}"
        ratio = f"{'coefficient' if self.scales_together else 'norm ratio'} {number(self.coefficient)}"
        return f"{after}." if self.nonfinite else f"{after}, {ratio}, {self.direction}."

    def to_frame(self) -> pd.DataFrame:
        """A row an entry, before and after clipping."""
        index = np.arange(len(self.before))
        return pd.DataFrame({"policy": self.spec, "entry": index, "before": self.before, "after": self.after})


@dataclass(frozen=True)
class Region:
    """Where a clipped gradient may lie: a disc of radius x, or a box of half-widths x and y."""

    shape: Literal["disc", "box"]
    x: float
    y: float


@dataclass(frozen=True)
class Surface:
    """The error over a grid of (w, b), [b, w] each, and the norm of its gradient."""

    w: Floats
    b: Floats
    error: Floats
    grad_norm: Floats

    def to_frame(self) -> pd.DataFrame:
        """A row a place of the grid."""
        w, b = np.meshgrid(self.w, self.b)
        columns = {"w": w, "b": b, "error": self.error, "grad_norm": self.grad_norm}
        return pd.DataFrame({name: each.ravel() for name, each in columns.items()})


@dataclass(frozen=True)
class Section:
    """The error and the norm of its gradient along b at one w: the wall from the side.

    Attributes:
        b: [n], ascending, closer together on the wall.
        median: of the norm over b, places at equal distances.
    """

    w: float
    b: Floats
    error: Series
    grad_norm: Series
    median: float

    @property
    def caption(self) -> str:
        at = int(self.grad_norm.values.argmax())
        return (
            f"At {equal('w', f'{self.w:g}')} the gradient's norm is largest at {equal('b', f'{self.b[at]:.3f}')}: "
            f"{number(float(self.grad_norm.values[at]))}; over half of this section it is below {number(self.median)}."
        )

    def to_frame(self) -> pd.DataFrame:
        """A row a place on the section."""
        return indexed({"b": self.b}, error=self.error, grad_norm=self.grad_norm)


@dataclass(frozen=True)
class Descent:
    """Gradient descent on the surface: points (w, b) [steps+1, 2], at each the error and the norm before clipping."""

    clip: str
    points: Floats
    errors: Floats
    norms: Floats

    @property
    def length(self) -> float:
        """How far the largest single step went."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).max())

    @property
    def caption(self) -> str:
        name = "Without clipping" if self.clip == "none" else f"With {self.clip}"
        w, b = self.points[-1]
        return (
            f"{name}: the longest step is {number(self.length)}, the end is {equal('w', number(w))}, "
            f"{equal('b', number(b))} with error {number(float(self.errors[-1]))} (at the start "
            f"{number(float(self.errors[0]))}, at the lowest {number(float(self.errors.min()))}){self._restless}."
        )

    @property
    def _restless(self) -> str:
        """Whether the last steps go up and down, so that the end says little."""
        last = np.diff(self.errors[-5:])
        restless = len(last) > 1 and (last > 0).any() and (last < 0).any()
        return "; its last steps oscillate" if restless else ""

    def to_frame(self) -> pd.DataFrame:
        """A row a step of gradient descent."""
        w, b = self.points.T
        index = np.arange(len(self.points))
        return pd.DataFrame(
            {"clip": self.clip, "step": index, "w": w, "b": b, "error": self.errors, "grad_norm": self.norms}
        )


@dataclass(frozen=True)
class Slopes:
    """dC/dz of one sigmoid unit with target 1 against z, for -ln p and for (1 - p)^2 / 2, [n] each."""

    z: Floats
    cross_entropy: Floats
    squared_error: Floats
    chosen: "UnitLoss"

    def to_frame(self) -> pd.DataFrame:
        """A row a value of z."""
        columns = {"cross_entropy": self.cross_entropy, "squared_error": self.squared_error}
        return pd.DataFrame({"z": self.z, **columns})


@dataclass(frozen=True)
class UnitLoss:
    """One sigmoid unit, target 1: p = sigmoid(z), its losses -ln p and (1 - p)^2 / 2, and their slopes in z."""

    z: float
    p: float
    cross_entropy: float
    squared_error: float
    cross_entropy_slope: float
    squared_error_slope: float

    @property
    def caption(self) -> str:
        return (
            f"At {equal('z', f'{self.z:g}')} the unit says {equal('p', number(self.p))}. Cross-entropy: loss "
            f"{self.cross_entropy:.4g}, slope {self.cross_entropy_slope:.5g}. Squared error: loss "
            f"{self.squared_error:.4g}, slope {self.squared_error_slope:.3g}."
        )


@dataclass(frozen=True)
class Escape:
    """p over the steps of gradient descent from a wrong start, target 1, by loss: [steps+1] each."""

    steps: Ints
    p: Mapping[str, Series]

    @property
    def caption(self) -> str:
        ends = " and ".join(
            f"{equal('p', number(float(line.values[-1])))} under {name}" for name, line in self.p.items()
        )
        return f"The same start, learning rate and number of steps end at {ends}."

    def to_frame(self) -> pd.DataFrame:
        """A row a step, a column a loss."""
        return indexed({"step": self.steps}, **self.p)


@dataclass(frozen=True)
class Squashed:
    """sigmoid(x) computed in two ways: exp(x) / (1 + exp(x)), and the stable form."""

    x: float
    dtype: str
    naive: float
    stable: float
