"""What the loss of a step is worth: how much of the loss of a constant prediction the model removes.

The targets are not handed to graddiag. Where the loss is a cross-entropy or a mean squared error they follow exactly
from the outputs and the gradient of the loss with respect to them:

    cross-entropy     delta = c (softmax(z) - y)       rows sum to 0; c from the entries that are not the target
    by class          delta = c w_y (softmax(z) - y)   the same with a weight for each class
    binary            delta = c (sigmoid(z) - y)       y = 1 where delta < 0; there c w, with the weight of positives
    squared error     delta = 2 c (z - y)              c = sum delta^2 / (4 L), for the logged loss L

z: outputs of the last linear layer that ran, rows [R, C]; delta = dL/dz. A fit leaves no more than rounding. Where no
linear layer fits, as with a head by ``functional.linear`` or a squashed output, z is what the model itself returns.
"""

import math
import weakref
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn

from graddiag.tracing.device_transfer import Tree
from graddiag.tracing.model_hook import BeforeForward, ModelHook, compiled_something, is_transformed, no_action

# rows are thinned so that no step keeps more numbers than this
_MOST: Final = 1 << 20
FITS: Final = 1e-3  # of the root mean square, left by a fit in float32 or better
_FITS_HALF: Final = 3e-2  # in float16 and bfloat16
_HALF: Final = (torch.float16, torch.bfloat16)
_ROUNDS: Final = 3
_FREE: Final = 2  # numbers that a fit must leave over, else anything fits
_MODEL: Final = "the model's output"  # no name of a layer
_HEADS: Final = 4  # linear layers that ran last and may each have a loss of their own
_ROUNDING: Final = 4e-7  # of a probability in float32, which is all that is left of the gradient of a sure target


@dataclass
class _Output:
    """One call of a linear layer or of the model: its outputs [R, C] as they were, and their gradient once it has come.
    place: the output's among those of its operation. whole: what it is a view of, or
    itself, as long as that lives."""

    rows: Tensor
    stride: int
    place: int
    whole: weakref.ref[Tensor]
    grad: Tensor | None = None

    def arrived(self, grads: tuple[Tensor | None, ...]) -> None:
        grad = grads[self.place]
        if grad is not None:
            rows = grad.detach().reshape(-1, self.rows.shape[1])[:: self.stride].double()
            self.grad = rows if self.grad is None else self.grad + rows


@dataclass
class OutputMeter:
    """Follows the linear layers of a model outside its recurrent ones, and its own output until a linear layer is seen
    to fit, between ``start`` and ``take``.

    half: the types narrower than float32 that outputs had. cells: names of modules that are recurrent besides. always:
    whether every step is recorded.
    """

    model: nn.Module
    cells: Collection[str] = ()
    always: bool = True
    half: set[str] = field(default_factory=set)
    _calls: dict[str, list[_Output]] = field(default_factory=dict)
    _active: bool = False
    _kept: int = 0
    _error: Exception | None = None
    _seen: dict[str, Tensor] = field(default_factory=dict)
    _linear: dict[str, nn.Module] = field(default_factory=dict)
    _needs_model: bool = True
    _handles: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        recurrent = (nn.RNNBase, nn.RNNCellBase)
        cells = [self.model.get_submodule(name) for name in self.cells]
        found = [*cells, *(each for each in self.model.modules() if isinstance(each, recurrent))]
        inside = {id(child) for each in found for child in each.modules()}
        linear = {name: each for name, each in self.model.named_modules() if isinstance(each, nn.Linear)}
        self._linear = {name: each for name, each in linear.items() if id(each) not in inside}
        self._needs_model = id(self.model) not in inside and "" not in self._linear

    def state(self) -> dict[str, Any]:
        """The sums of all targets so far, for ``restore`` in another process."""
        return {"seen": {name: seen.cpu().clone() for name, seen in self._seen.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._seen = dict(state["seen"])

    def start(self) -> None:
        self._calls, self._active, self._kept = {}, True, 0
        if not self._handles:
            for name, module in self._linear.items():
                self._hook(name, module)
            if self._needs_model:
                self._hook(_MODEL, self.model)

    def _hook(self, name: str, module: nn.Module) -> None:
        self._handles.append(module.register_forward_pre_hook(BeforeForward(no_action)))
        self._handles.append(module.register_forward_hook(ModelHook(self._ran, name, weakref.ref(module))))

    def stop(self) -> None:
        """Follows no call from here on. Hooks come off, unless every step is recorded or torch.compile is in use, which
        compiles anew for each change of them."""
        self._active = False
        if not self.always and not compiled_something():
            self._take_off()

    def forget(self) -> None:
        """Lets go of what was followed, and follows nothing until the next ``start``."""
        self.start()
        self.stop()

    def close(self) -> None:
        self._take_off()
        self._calls, self._active = {}, False

    def _take_off(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _ran(self, name: str, own: weakref.ref[nn.Module], module: nn.Module, _args: Any, output: Any) -> None:
        if not self._active or not torch.is_grad_enabled() or own() is not module or is_transformed():
            return
        try:
            found = output if name != _MODEL else self._of_model(output)
            if isinstance(found, Tensor) and found.grad_fn is not None:
                self._follow(name, found)
        except Exception as error:  # ``take`` raises it; the forward pass continues
            self._error, self._active = error, False

    def _of_model(self, output: Any) -> Tensor | None:
        """What the model returns first, where it is to be followed: not the very numbers of a linear layer."""
        if not self._needs_model:
            return None
        if isinstance(output, Mapping):
            output = output.get("logits", next(iter(output.values()), None))
        elif isinstance(output, tuple | list):
            output = next(iter(output), None)
        if not isinstance(output, Tensor) or not output.dim():
            return None
        whole, calls = _whole(output), (call for each in self._calls.values() for call in each)
        return None if any(call.whole() is whole for call in calls) else output

    def _follow(self, name: str, output: Tensor) -> None:
        if not output.is_floating_point() or not output.numel() or self._kept >= _MOST:
            return
        width = output.shape[-1] if output.dim() > 1 else 1
        if output.dtype in _HALF:
            self.half.add(str(output.dtype).removeprefix("torch."))
        rows = output.detach().reshape(-1, width)
        stride = max(1, math.ceil(rows.numel() / _MOST))
        call = _Output(rows[::stride].clone(), stride, output.output_nr, weakref.ref(_whole(output)))
        self._kept += call.rows.numel()
        calls = self._calls.pop(name, [])  # the layer that ran last comes last
        self._calls[name] = [*calls, call]
        assert output.grad_fn is not None
        output.grad_fn.register_prehook(call.arrived)

    @torch.no_grad()
    def take(self, scale: Tensor | None = None) -> Tree:
        """Sums over the outputs of the layers that ran last of those that a gradient reached, the last first; 0-dim
        each, on its device; empty where there is none. ``read`` makes numbers of them. scale: the GradScaler's, which
        gradients carry.

        Raises:
            Exception: the one that stopped the following of outputs in a forward pass.
        """
        calls, self._calls = self._calls, {}
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        reached = {name: [call for call in each if call.grad is not None] for name, each in calls.items()}
        last = [
            name for name, each in reached.items() if each and len({(c.rows.shape[1], c.stride) for c in each}) == 1
        ]
        linear = [name for name in last if name != _MODEL]
        heads = [self._sums(name, reached[name], scale) for name in linear[-_HEADS:][::-1]]
        if _MODEL in last and not self._fits_one(heads):
            heads.append(self._sums(_MODEL, reached[_MODEL], scale))
        return {"heads": heads} if heads else {}

    def _fits_one(self, heads: list[dict[str, Any]]) -> bool:
        """Whether a linear layer is the head; from then on the model's own output is not needed. An accelerator is not
        asked: any will do there."""
        on_host = all(parameter.is_cpu for parameter in self.model.parameters())
        found = any(not on_host or "square" not in head for head in heads)
        self._needs_model = self._needs_model and not found
        return found

    def _sums(self, name: str, calls: list[_Output], scale: Tensor | None) -> dict[str, Any]:
        half = calls[0].rows.dtype in _HALF
        z = torch.cat([call.rows for call in calls]).double()
        delta = torch.cat([call.grad for call in calls if call.grad is not None])
        delta = delta if scale is None else delta / scale
        used, z, delta = _usable(z, delta)
        found: dict[str, Any] = {"half": float(half), "stride": float(calls[0].stride), "width": float(z.shape[1])}
        found["rows"], found["model"] = used.sum(), float(name == _MODEL)
        kinds = {"softmax": self._softmax, "weighted": self._weighted} if z.shape[1] > 1 else {}
        for kind, sums in {**kinds, "sigmoid": self._sigmoid}.items():
            found[kind] = sums(name, z, delta, used, half)
            if z.is_cpu and holds(found[kind]):  # the first one counts; an accelerator is not asked which
                return found
        found["square"] = _square(z, delta, used)
        last = len(calls[-1].rows)
        found["last"] = {"rows": used[-last:].sum(), "delta delta": _dot(delta[-last:], delta[-last:])}
        found["calls"] = float(len(calls))
        return found

    def _softmax(self, name: str, z: Tensor, delta: Tensor, used: Tensor, half: bool) -> dict[str, Tensor]:
        logs = z.log_softmax(1)
        p, y, at = logs.exp() * used, -delta, None
        for _ in range(_ROUNDS):  # an output above its smoothed target is found once the slope is about right
            target = y.argmax(1, keepdim=True)
            if at is not None and z.is_cpu and torch.equal(at, target):
                break
            at = target
            count = used.sum() * (z.shape[1] - 1)
            slope, smooth, left = _line(delta.scatter(1, at, 0.0), p.scatter(1, at, 0.0), count)
            y = p - slope * delta
        rounded = 0.0 if half else _ROUNDING / slope  # 1 - p of a target that the model is sure of
        sums = (_rms(delta.sum(1), used.sum()) - rounded).clamp(min=0.0) / _rms(delta, used.sum() * z.shape[1])
        y = y.clamp(min=0.0)
        left = torch.maximum(left, sums)
        fits = (left < (_FITS_HALF if half else FITS)) & (smooth > -FITS) & (slope > 0)
        seen = self._counted(f"{name} softmax", y.sum(0), used.sum(), fits)
        constant = -(y.sum(0) * (seen / seen.sum().clamp(min=1.0)).clamp(min=1e-12).log()).sum()
        return {"left": left, "fits": fits.double(), "c": 1 / slope, "loss": -_dot(y, logs), "constant": constant}

    def _weighted(self, name: str, z: Tensor, delta: Tensor, used: Tensor, half: bool) -> dict[str, Tensor]:
        """A cross-entropy with a weight by class: each row has a c of its own, and rows of one class have the same."""
        logs = z.log_softmax(1)
        p, at = logs.exp(), delta.argmin(1, keepdim=True)
        y = torch.zeros_like(p).scatter_(1, at, 1.0) * used
        others = ((1 - y) * p * used).sum(1, keepdim=True)  # 1 - p of the target, to all its digits
        c = ((1 - y) * delta).sum(1, keepdim=True) / others.clamp(min=1e-300)
        weights = (c * y * others**2).sum(0) / (y * others**2).sum(0).clamp(min=1e-300)
        m = (y * weights).sum(1, keepdim=True)
        count = used.sum() * z.shape[1]
        left = _rms(delta - m * (p * used - y), count) / _rms(delta, count).clamp(min=1e-30)
        free = used.sum() * (z.shape[1] - 1) - (y.sum(0) > 0).sum()  # numbers that the fit does not use up
        fits = (left < (_FITS_HALF if half else FITS)) & (m >= 0).all() & (free >= _FREE)
        total = m.sum().clamp(min=1e-300)
        seen = self._counted(f"{name} weighted", (m * y).sum(0) / total * used.sum(), used.sum(), fits)
        constant = -(m * y * (seen / seen.sum().clamp(min=1e-300)).clamp(min=1e-12).log()).sum()
        return {
            "left": left, "fits": fits.double(), "c": torch.ones_like(left), "loss": -(m * y * logs).sum(),
            "constant": constant,
        }  # fmt: skip

    def _sigmoid(self, name: str, z: Tensor, delta: Tensor, used: Tensor, half: bool) -> dict[str, Tensor]:
        p, y = z.sigmoid(), (delta < 0).double()
        off = (p - y) * used
        c = [_slope(delta * each, off * each) for each in (1 - y, y)]
        either = torch.maximum(c[0], c[1])  # of a batch of one kind alone
        slope, positives = (torch.where(each > 0, each, either) for each in c)
        count = used.sum() * z.shape[1]
        left = _rms(off - torch.where(y > 0, positives, slope) * delta, count) / _rms(off, count).clamp(min=1e-30)
        mean = ((slope / count - 1).abs() < FITS) & ((positives / count - 1).abs() < FITS)
        fits = (left < (_FITS_HALF if half else FITS)) & (slope > 0) & ((count >= 2 + _FREE) | mean)
        weight = slope / positives.clamp(min=1e-300)
        m = torch.where(y > 0, weight, torch.ones_like(weight)) * used
        seen = self._counted(f"{name} sigmoid", (m * y).sum(0), m.sum(0), fits)
        q = (seen / self._seen[f"{name} sigmoid rows"].clamp(min=1e-300)).clamp(1e-6, 1 - 1e-6)
        loss = nn.functional.binary_cross_entropy_with_logits(z, y, m, reduction="sum")
        constant = -((y * q.log() + (1 - y) * (1 - q).log()) * m).sum()
        return {"left": left, "fits": fits.double(), "c": 1 / slope, "loss": loss, "constant": constant}

    def _counted(self, name: str, counts: Tensor, rows: Tensor, fits: Tensor) -> Tensor:
        """The sum of all targets of recorded steps, those of this one among them where the loss is of this kind."""
        before = self._seen.get(name)
        before = torch.zeros_like(counts) if before is None or before.shape != counts.shape else before.to(counts)
        self._seen[name] = torch.where(fits, before + counts, before)
        all_rows = self._seen.get(f"{name} rows", torch.zeros_like(rows)).to(rows)
        self._seen[f"{name} rows"] = torch.where(fits, all_rows + rows, all_rows)
        return self._seen[name]


def _whole(output: Tensor) -> Tensor:
    """The tensor that a view is of; any other itself. Where its numbers begin says nothing: memory is used again."""
    return output if output._base is None else output._base


def _usable(z: Tensor, delta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which rows have a gradient and are finite, [R, 1] of 1 and 0; outputs and gradient with 0 in the others."""
    size = delta.abs().sum(1)
    good = (size > 0) & size.isfinite() & z.sum(1).isfinite()
    used = good.double()[:, None]
    if z.is_cpu and bool(good.all()):
        return used, z, delta
    return used, z.nan_to_num(0.0, 0.0, 0.0), delta.nan_to_num(0.0, 0.0, 0.0) * used


def holds(of: Mapping[str, Tensor]) -> bool:
    """Whether the loss is of this kind."""
    return bool(of["fits"]) and bool(of["constant"] > 0)


def _line(x: Tensor, y: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Least squares y = slope x, or where that leaves much y = slope x + constant: slope, constant, and what is left,
    as a share of the root mean square of y. ``count``: how many entries there are; all others are 0."""
    count = count.clamp(min=1.0)
    mx, my, xx, xy, yy = x.sum() / count, y.sum() / count, _dot(x, x), _dot(x, y), _dot(y, y)
    size = (yy / count).sqrt().clamp(min=1e-30)

    def left_by(slope: Tensor, constant: Tensor) -> Tensor:
        squares = yy - 2 * slope * xy + slope * slope * xx
        squares = squares + count * constant * (constant - 2 * my + 2 * slope * mx)
        return (squares.clamp(min=0.0) / count).sqrt() / size

    slope, zero = xy / xx.clamp(min=1e-300), torch.zeros_like(xy)
    left = left_by(slope, zero)
    leaning = (xy - count * mx * my) / (xx - count * mx * mx).clamp(min=1e-300)
    constant = my - leaning * mx
    left_by_it = left_by(leaning, constant)
    better = (left > FITS) & (left_by_it < left)
    return (
        torch.where(better, leaning, slope),
        torch.where(better, constant, zero),
        torch.where(better, left_by_it, left),
    )


def _slope(x: Tensor, y: Tensor) -> Tensor:
    """Least squares y = slope x."""
    return _dot(x, y) / _dot(x, x).clamp(min=1e-300)


def _rms(values: Tensor, count: Tensor) -> Tensor:
    return (_dot(values, values) / count.clamp(min=1.0)).sqrt()


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return torch.dot(x.reshape(-1), y.reshape(-1))


def _square(z: Tensor, delta: Tensor, used: Tensor) -> dict[str, Tensor]:
    """Sums by column [C], from which those of the targets follow once c is known."""
    z = z * used
    return {
        "z": z.sum(0), "zz": (z * z).sum(0), "delta": delta.sum(0), "z delta": (z * delta).sum(0),
        "delta delta": (delta * delta).sum(0),
    }  # fmt: skip
