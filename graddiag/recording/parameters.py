"""Gradients by parameter: after ``backward()``, and once more just before the update, whoever clipped in between."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from graddiag import schema
from graddiag.errors import SettingError
from graddiag.recording.scaling import AMP_SCALE, BEFORE_UNSCALE, Scale
from graddiag.recording.used_gradients import UsedGradients
from graddiag.tracing.backward import EndOfBackward
from graddiag.tracing.hooks import recurrent_modules

_SAME: Final = 1e-4  # two norms of one gradient are no further apart, relative to it


@dataclass(frozen=True)
class GradientNorms:
    """L2 norms by parameter, 0-dim float64 on the parameter's device, and the count of NaN and inf entries before.

    ``changed_after_update``: between the update before and this step's backward pass the old gradient was changed
    (clipped, for example), which had no effect. ``scale``: the GradScaler's, already divided out; ``skipped``: how many
    updates it skipped since the step before; ``before_unscale``: the norm of the scaled gradient just before it was
    unscaled, where it was changed between ``backward()`` and there. ``reached``: the parameters that a backward pass of
    this step gave a gradient, by id; ``not_zeroed``: those where it was added to the gradient of the update before.
    ``changed_between``: the accumulated gradient was changed between two backward passes of the step (clipped, for
    example); what it was before is then not known, and ``before`` is empty.
    """

    before: Mapping[str, Tensor]
    after: Mapping[str, Tensor]
    nonfinite: Sequence[Tensor]
    changed_after_update: bool = False
    scale: Tensor | None = None
    skipped: int = 0
    before_unscale: Tensor | None = None
    reached: frozenset[int] = frozenset()
    not_zeroed: Sequence[str] = ()
    changed_between: bool = False

    def totals(self) -> dict[str, Tensor | int | None]:
        """Columns of the steps table: global norms over all parameters, None when no parameter got a gradient."""
        counts = [count.to(self.nonfinite[0].device) for count in self.nonfinite]
        return {
            schema.GRAD_NORM: total_norm(self.before.values()),
            schema.GRAD_NORM_CLIPPED: total_norm(self.after.values()),
            schema.NONFINITE: torch.stack(counts).sum() if counts else 0,
            schema.GRADIENTS_NOT_ZEROED: len(self.not_zeroed),
            **({} if self.scale is None else {AMP_SCALE: self.scale}),
            **({} if self.before_unscale is None else {BEFORE_UNSCALE: self.before_unscale}),
        }


class GradientMeter:
    """Measures every gradient as ``backward()`` leaves it; owns its hooks until ``close``.

    Where gradients accumulate over several backward passes the accumulated one counts. The gradients themselves are
    neither changed nor kept.
    """

    def __init__(self, model: nn.Module, guard: Callable[[Callable[[], None]], None], scale: Scale) -> None:
        self._guard = guard
        self._scale = scale
        self._parameters = dict(model.named_parameters())
        self._before: dict[str, Tensor] = {}
        self._nonfinite: list[Tensor] = []
        self._reached: set[int] = set()
        self._used = UsedGradients(self._parameters)
        self._versions: dict[str, int] = {}
        self._before_unscale: Tensor | None = None
        self._left: dict[str, tuple[int, int]] = {}
        self._changed_between = False
        self._end = EndOfBackward(guard, after_others=True)
        self._handles: dict[str, list[torch.utils.hooks.RemovableHandle]] = {}
        self._attach()

    def take(self) -> GradientNorms:
        """The norms of the step that is about to end (or has just ended); the next step starts empty."""
        scale = self._scale.at_update()
        if scale is not None:
            self.unscaling()
        after = {name: _divided(size, scale) for name, size in self._norms().items() if name in self._before}
        norms = GradientNorms(
            {} if self._changed_between else self._before,
            after,
            self._nonfinite,
            self._used.changed,
            self._scale.seen,
            self._scale.skipped,
            self._before_unscale,
            frozenset(self._reached),
            tuple(self._used.not_zeroed),
            self._changed_between,
        )
        self._used.changed, self._used.not_zeroed = False, []
        self._left, self._changed_between = {}, False
        self._before, self._nonfinite, self._before_unscale, self._versions = {}, [], None, {}
        self._reached = set()
        self._attach()
        return norms

    def follow_scaler(self, scaler: torch.amp.GradScaler) -> None:
        """Divides the scale of a scaler that nobody named out of what was measured, in this step and from here on."""
        scale = self._scale.follow(scaler)
        self._before = {name: _divided(size, scale) for name, size in self._before.items()}

    def unscaling(self) -> None:
        """The GradScaler is about to unscale the gradients: whatever changed them until now, saw scaled ones."""
        grads = self._gradients()
        if any(name in self._versions and grad._version > self._versions[name] for name, grad in grads.items()):
            self._before_unscale = total_norm([size for name, size in self._norms().items() if name in self._before])

    def check_used(self) -> None:
        """Checks whether the gradients that the last update used have been changed since."""
        self._used.check()

    def check_as_left(self) -> None:
        """Raises SettingError unless the gradients are what ``backward()`` left, in units of the loss."""
        if self._scale.seen is not None:
            raise SettingError(
                "try_thresholds(): the gradients carry a GradScaler's scale, and an update would be too large."
            )
        before, now = (float(total_norm(norms.values()) or 0.0) for norms in (self._before, self._norms()))
        if self._before and abs(now - before) > _SAME * before:
            raise SettingError(
                f"try_thresholds(): the norm of the gradient was {before:.3g} after backward() and is now {now:.3g}. "
                "Call it before clipping."
            )

    def left_out(self) -> int:
        """Updates that the GradScaler skipped since the last one that was made."""
        self._scale.detect_skip()
        return self._scale.skipped

    def close(self) -> None:
        self._used.forget()
        for handles in self._handles.values():
            for handle in handles:
                handle.remove()
        self._handles.clear()

    def _attach(self) -> None:
        # parameters may be frozen at first and thawed later
        for name, parameter in self._parameters.items():
            if parameter.requires_grad and name not in self._handles:
                before = parameter.register_hook(_BeforeAccumulation(self, name))
                after = parameter.register_post_accumulate_grad_hook(_AfterAccumulation(self, name))
                self._handles[name] = [before, after]

    def updated(self) -> None:
        """An update has been made; what is done to its gradient from here on has no effect."""
        self._scale.updated()
        self._used.updated()

    def computed(self, name: str) -> None:
        """The gradient of a parameter has been computed, and is not added yet to the one that it has."""
        self._guard(lambda: self._compare(name))

    def _compare(self, name: str) -> None:
        parameter = self._parameters[name]
        self._used.before_accumulation(parameter)
        left, grad = self._left.get(name), parameter.grad
        if left is None or grad is None or grad.is_sparse or left[0] != id(grad) or left[1] == grad._version:
            return
        # what was zeroed in place was thrown away, and not changed; asked once at most in a step
        self._changed_between = self._changed_between or bool(grad.any())

    def accumulated(self, name: str) -> None:
        """A parameter has got its gradient: what all have is measured when the pass has ended."""
        parameter = self._parameters[name]
        self._reached.add(id(parameter))
        self._used.accumulated(parameter)
        if parameter.grad is not None:
            self._left[name] = (id(parameter.grad), parameter.grad._version)
        self._end.schedule("norms", self._measure)

    def _measure(self) -> None:
        scale = self._scale.at_backward()
        self._before_unscale = None
        if scale is not None:
            self._versions = {name: grad._version for name, grad in self._gradients().items()}
        self._before = {name: _divided(size, scale) for name, size in self._norms().items()}
        self._left = {name: (id(grad), grad._version) for name, grad in self._held().items()}
        # finite norms leave nothing to count; asking is free on the CPU and a synchronisation elsewhere
        if all(size.is_cpu for size in self._before.values()) and all(
            size.isfinite() for size in self._before.values()
        ):
            self._nonfinite = []
        else:
            self._nonfinite = [(~_entries(grad).isfinite()).sum() for grad in self._gradients().values()]

    def _held(self) -> dict[str, Tensor]:
        return {name: p.grad for name, p in self._parameters.items() if p.grad is not None}

    def _gradients(self) -> dict[str, Tensor]:
        return {name: grad.detach() for name, grad in self._held().items()}

    def _norms(self) -> dict[str, Tensor]:
        return {name: _norm(grad) for name, grad in self._gradients().items()}


class _AfterAccumulation:
    """A gradient hook that stays behind when the parameter is copied or pickled."""

    def __init__(self, meter: GradientMeter, name: str) -> None:
        self._meter = meter
        self._name = name

    def __call__(self, parameter: Tensor) -> None:
        self._meter.accumulated(self._name)

    def __deepcopy__(self, memo: object) -> "_NoHook":
        return _NoHook()

    def __reduce__(self) -> "tuple[type[_NoHook], tuple[()]]":
        return _NoHook, ()


class _BeforeAccumulation(_AfterAccumulation):
    """The same, called with the new gradient before it is added to the old one; autograd.grad calls it too."""

    __torch_unserializable__ = True

    def __call__(self, gradient: Tensor) -> None:
        self._meter.computed(self._name)


class _NoHook:
    """What is left of a hook in a copy of the parameter."""

    def __call__(self, parameter: Tensor) -> None:
        return None


def total_norm(norms: Iterable[Tensor]) -> Tensor | None:
    """sqrt of the sum of squares of 0-dim norms, on the first one's device."""
    each = list(norms)
    if not each:
        return None
    return torch.linalg.vector_norm(torch.stack([norm.to(each[0].device) for norm in each]))


class WeightCopy:
    """A copy of the parameters before an update, to measure the update by. Costs as much memory as the parameters."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        with torch.no_grad():
            self._before = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    def norms(self) -> dict[str, Tensor]:
        """L2 norm of each parameter before the update."""
        return {name: _norm(before) for name, before in self._before.items()}

    def updates(self) -> dict[str, Tensor]:
        """L2 norm of what the update changed in each parameter."""
        now = dict(self._model.named_parameters())
        with torch.no_grad():
            return {name: _norm(now[name].detach() - before) for name, before in self._before.items() if name in now}

    def zeros(self) -> dict[str, Tensor]:
        """Share of exact zeros in the gradient that the update used, of each parameter that has one."""
        held = {name: p.grad for name, p in self._model.named_parameters() if name in self._before}
        return {name: _zeros(grad.detach()) for name, grad in held.items() if grad is not None and grad.numel()}


def update_sizes(
    weights: WeightCopy, norms: GradientNorms | None
) -> tuple[Tensor | None, dict[str, dict[str, Tensor]]]:
    """Update over weight, for all parameters together and as columns by parameter, after the update."""
    sizes, updates = weights.norms(), weights.updates()
    size, change = total_norm(sizes.values()), total_norm(updates.values())
    columns = {
        schema.GRAD_NORM: {} if norms is None else dict(norms.before),
        schema.GRAD_NORM_CLIPPED: {} if norms is None else dict(norms.after),
        schema.ZEROS: weights.zeros(),
        schema.WEIGHT_NORM: sizes,
        schema.UPDATE_RATIO: {name: _relative(updates[name], sizes[name]) for name in updates},
    }
    return None if size is None or change is None else _relative(change, size), columns


def _relative(change: Tensor, size: Tensor) -> Tensor:
    """change / size; a parameter that did not change did so by 0, be its norm 0 as well."""
    return torch.where(change == 0, change, change / size)


class Spectrum(NamedTuple):
    """Of a recurrent weight: spectral radius (None if its blocks are not square) and largest singular value."""

    radius: float | None
    norm: float


def recurrent_spectra(model: nn.Module) -> dict[str, Spectrum]:
    """Spectrum of each W_hh by parameter name, the largest over its gate blocks; a synchronisation.

    Neither number is the transport gain: they know nothing of gates and slopes. Weights that hold NaN or inf are left
    out.
    """
    found = {}
    for module_name, module in recurrent_modules(model).items():
        for name, parameter in module.named_parameters(prefix=module_name, recurse=False):
            if "weight_hh" in name and bool(parameter.isfinite().all()):
                found[name] = _spectrum(parameter, module.hidden_size)
    return found


def _spectrum(weight: Tensor, hidden_size: int) -> Spectrum:
    blocks = weight.detach().double().view(-1, hidden_size, weight.shape[-1])
    largest = float(torch.linalg.matrix_norm(blocks, ord=2).amax())
    square = blocks.shape[-1] == blocks.shape[-2]
    return Spectrum(float(torch.linalg.eigvals(blocks).abs().amax()) if square else None, largest)


def _divided(norm: Tensor, scale: Tensor | None) -> Tensor:
    return norm if scale is None else norm / scale.to(norm.device)


def _entries(grad: Tensor) -> Tensor:
    return grad.coalesce().values() if grad.is_sparse else grad


def _zeros(grad: Tensor) -> Tensor:
    """Share of exact zeros, 0-dim float64; entries that a sparse gradient leaves out are zeros, NaN is none."""
    entries = _entries(grad)
    # as numbers of the gradient's own type, which are summed many times faster than truth values
    zero = torch.eq(entries, 0, out=torch.empty_like(entries))
    return (zero.sum(dtype=torch.float32).double() + grad.numel() - entries.numel()) / grad.numel()


def _norm(tensor: Tensor) -> Tensor:
    return torch.linalg.vector_norm(_entries(tensor).detach(), dtype=torch.float64)
