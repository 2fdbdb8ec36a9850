"""Gradients by parameter: after ``backward()``, and once more just before the update, whoever clipped in between."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from graddiag import schema
from graddiag.errors import SettingError
from graddiag.recording.scaling import AMP_SCALE, BEFORE_UNSCALE, Scale
from graddiag.recording.used_gradients import UsedGradients
from graddiag.tracing.backward import EndOfBackward, current_pass
from graddiag.tracing.calls import holds_gradient
from graddiag.tracing.hooks import recurrent_modules
from graddiag.tracing.model_hook import ModelHook

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
    neither changed nor kept. ``discarded``: the backward passes since the last update whose gradients were zeroed, or
    let go of, before any update used them; ``passes``: all of them.
    """

    def __init__(
        self,
        model: nn.Module,
        guard: Callable[[Callable[[], None]], None],
        scale: Scale,
        after_pass: Callable[[], None] = lambda: None,
    ) -> None:
        self._guard = guard
        self._scale = scale
        self._after_pass = after_pass
        self._parameters = dict(model.named_parameters())
        self._before: dict[str, Tensor] = {}
        self._nonfinite: dict[str, Tensor] = {}
        self._taken: dict[str, _Taken] = {}
        self._not_zeroed: dict[str, None] = {}
        self._changed = False
        self._reached: set[int] = set()
        self._used = UsedGradients(self._parameters)
        self._versions: dict[str, int] = {}
        self._before_unscale: Tensor | None = None
        self._pass = -1
        self.passes = self.discarded = 0
        self._left: dict[str, tuple[int, int]] = {}
        self._changed_between = False
        self._end = EndOfBackward(guard, after_others=True)
        self._handles: dict[str, list[torch.utils.hooks.RemovableHandle]] = {}
        self._attach()

    def take(self, names: Collection[str] | None = None) -> None:
        """Notes the norms of ``names`` (None: of all), which an update is about to use or has just used."""
        scale = self._scale.at_update()
        if scale is not None:
            self.unscaling(names)
        self.passes = self.discarded = 0
        for name in self._parameters if names is None else names:  # clipped before its update, which is no fault
            self._left.pop(name, None)
        if names is None:
            self._taken = {}
        for name, size in self._norms(names).items():
            if name in self._before:
                after = _divided(size, scale)
                self._taken[name] = _Taken(self._before[name], after, self._nonfinite.get(name))
        self._changed |= self._used.changed
        self._used.changed = False
        self._not_zeroed |= dict.fromkeys(self._used.not_zeroed(names))

    def norms(self, without: Collection[str] = ()) -> GradientNorms:
        """The norms of the step: what its updates took, and of parameters that nobody updates what is there now.

        ``without``: parameters of a watched optimizer that makes no update in this step.
        """
        rest = {name for name in self._before if name not in self._taken and name not in without}
        now = self._norms(rest) if rest else {}
        others = {name: _Taken(self._before[name], now[name], self._nonfinite.get(name)) for name in now}
        each = {name: (self._taken | others)[name] for name in self._before if name in self._taken or name in others}
        return GradientNorms(
            {} if self._changed_between else {name: one.before for name, one in each.items()},
            {name: one.after for name, one in each.items()},
            [one.nonfinite for one in each.values() if one.nonfinite is not None],
            self._changed,
            self._scale.seen,
            self._scale.skipped,
            self._before_unscale,
            frozenset(self._reached),
            tuple(self._not_zeroed),
            self._changed_between,
        )

    def next_step(self) -> None:
        """Forgets what was measured: the step has ended."""
        self._before, self._nonfinite, self._before_unscale, self._versions = {}, {}, None, {}
        self._taken, self._not_zeroed, self._changed = {}, {}, False
        self._left, self._changed_between = {}, False
        self._reached = set()
        self.passes = self.discarded = 0
        self._attach()

    def follow_scaler(self, scaler: torch.amp.GradScaler) -> None:
        """Divides the scale of a scaler that nobody named out of what was measured, in this step and from here on."""
        scale = self._scale.follow(scaler)
        self._before = {name: _divided(size, scale) for name, size in self._before.items()}

    def unscaling(self, names: Collection[str] | None = None) -> None:
        """The GradScaler is about to unscale the gradients of ``names`` (None: of all): whatever changed them until
        now, saw scaled ones."""
        grads = self._gradients(names)
        if any(name in self._versions and grad._version > self._versions[name] for name, grad in grads.items()):
            sizes = self._norms(names)
            self._before_unscale = total_norm([size for name, size in sizes.items() if name in self._before])

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

    def restore_left_out(self, count: int) -> None:
        """``count`` updates had been skipped since the last one when the training was interrupted."""
        self._scale.skipped = count

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
                before = parameter.register_hook(ModelHook(self.computed, name))
                after = parameter.register_post_accumulate_grad_hook(ModelHook(self.accumulated, name))
                self._handles[name] = [before, after]

    def updated(self, names: Collection[str] | None = None) -> None:
        """An update of ``names`` (None: of all) has been made; what is done to its gradient later has no effect."""
        self._scale.updated()
        self._used.updated(names)

    def computed(self, name: str, _gradient: Tensor | None = None) -> None:
        """The gradient of a parameter has been computed, and is not added yet to the one that it has."""
        self._guard(lambda: self._computed(name))

    def accumulated(self, name: str, _parameter: Tensor | None = None) -> None:
        """A parameter has got its gradient: what all have is measured when the pass has ended."""
        self._guard(lambda: self._accumulated(name))

    def _computed(self, name: str) -> None:
        parameter = self._parameters[name]
        self._used.before_accumulation(parameter)
        if self._pass != current_pass():
            self._pass = current_pass()
            self.discarded += id(parameter) in self._reached and not holds_gradient(parameter)
        left, grad = self._left.get(name), parameter.grad
        if left is None or grad is None or grad.is_sparse or left[0] != id(grad) or left[1] == grad._version:
            return
        # what was zeroed in place was thrown away, and not changed; asked once at most in a step
        self._changed_between = self._changed_between or bool(grad.any())

    def _accumulated(self, name: str) -> None:
        parameter = self._parameters[name]
        self._reached.add(id(parameter))
        self._used.accumulated(parameter)
        if parameter.grad is not None:
            self._left[name] = (id(parameter.grad), parameter.grad._version)
        self._end.schedule("norms", self._measure)

    def _measure(self) -> None:
        self.passes += 1
        scale = self._scale.at_backward()
        self._before_unscale = None
        if scale is not None:
            self._versions = {name: grad._version for name, grad in self._gradients().items()}
        self._before = {name: _divided(size, scale) for name, size in self._norms().items()}
        held = {name: each.grad for name, each in self._parameters.items() if each.grad is not None}
        self._left = {name: (id(grad), grad._version) for name, grad in held.items()}
        # finite norms leave nothing to count; asking is free on the CPU and a synchronisation elsewhere
        if all(size.is_cpu for size in self._before.values()) and all(
            size.isfinite() for size in self._before.values()
        ):
            self._nonfinite = {}
        else:
            grads = self._gradients()
            self._nonfinite = {name: (~entries_of(grad).isfinite()).sum() for name, grad in grads.items()}
        self._after_pass()

    def _gradients(self, names: Collection[str] | None = None) -> dict[str, Tensor]:
        own = self._parameters.items() if names is None else ((n, p) for n, p in self._parameters.items() if n in names)
        return {name: p.grad.detach() for name, p in own if p.grad is not None}

    def _norms(self, names: Collection[str] | None = None) -> dict[str, Tensor]:
        return {name: norm_of(grad) for name, grad in self._gradients(names).items()}


class _Taken(NamedTuple):
    """Norms of one parameter's gradient as its update used it, and how many entries of it were NaN or inf before; None
    where all are known to be finite."""

    before: Tensor
    after: Tensor
    nonfinite: Tensor | None


def total_norm(norms: Iterable[Tensor]) -> Tensor | None:
    """sqrt of the sum of squares of 0-dim norms, on the first one's device."""
    each = list(norms)
    if not each:
        return None
    return torch.linalg.vector_norm(torch.stack([norm.to(each[0].device) for norm in each]))


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


def entries_of(grad: Tensor) -> Tensor:
    return grad.coalesce().values() if grad.is_sparse else grad


def norm_of(tensor: Tensor) -> Tensor:
    return torch.linalg.vector_norm(entries_of(tensor).detach(), dtype=torch.float64)
