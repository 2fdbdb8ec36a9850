"""Gradients by parameter: after ``backward()``, and once more just before the update, whoever clipped in between."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from graddiag import schema
from graddiag.errors import SettingError
from graddiag.recording.gradient_hooks import GradientHooks
from graddiag.recording.norms import ByParameter, entries_of, norm_together, norms_of
from graddiag.recording.scaling import AMP_SCALE, BEFORE_UNSCALE, Scale
from graddiag.tracing.hooks import recurrent_modules
from graddiag.tracing.storage import is_shard, whole_weight

_SAME: Final = 1e-4  # two norms of one gradient are no further apart, relative to it
# gradients thrown away, and backward passes in all, after which a step that no update ends is given up
_DISCARDED: Final = 8
_PASSES: Final = 1000
_NONE: Final = ByParameter()
_TOGETHER: Final = (schema.ALL_PARAMETERS,)  # in the place of names where they are measured as one


class GradientNorms(NamedTuple):
    """L2 norms by parameter, float64, and how many entries were NaN or inf before. Where the global norm alone is asked
    for, all parameters are one entry.

    ``changed_after_update``: between the update before and this step's backward pass the old gradient was changed
    (clipped, for example), which had no effect. ``scale``: the GradScaler's, already divided out; ``skipped``: how many
    updates it skipped since the step before; ``before_unscale``: the norm of the scaled gradient just before it was
    unscaled, where it was changed between ``backward()`` and there. ``reached``: the parameters that a backward pass of
    this step gave a gradient, by id; ``not_zeroed``: those where it was added to the gradient of the update before.
    ``changed_between``: the accumulated gradient was changed between two backward passes of the step (clipped, for
    example); what it was before is then not known, and ``before`` is empty. ``not_zeroed_known``: whether that
    was looked for; of shards it cannot be seen, since FSDP assigns their gradients itself.
    """

    before: ByParameter
    after: ByParameter
    nonfinite: Tensor | int
    changed_after_update: bool = False
    scale: Tensor | None = None
    skipped: int = 0
    before_unscale: Tensor | None = None
    reached: Collection[int] = ()
    not_zeroed: Sequence[str] = ()
    changed_between: bool = False
    not_zeroed_known: bool = True

    def totals(self) -> dict[str, Tensor | int | None]:
        """Columns of the steps table: global norms over all parameters, None when no parameter got a gradient."""
        found: dict[str, Tensor | int | None] = {
            schema.GRAD_NORM: self.before.total(),
            schema.GRAD_NORM_CLIPPED: self.after.total(),
            schema.NONFINITE: self.nonfinite,
            schema.GRADIENTS_NOT_ZEROED: len(self.not_zeroed) if self.not_zeroed_known else None,
        }
        if self.scale is not None:
            found[AMP_SCALE] = self.scale
        if self.before_unscale is not None:
            found[BEFORE_UNSCALE] = self.before_unscale
        return found


class _Measured(NamedTuple):
    """Norms of gradients before and after whatever changed them, and how many entries of each were NaN or inf before;
    empty where all are known to be finite."""

    before: ByParameter = _NONE
    after: ByParameter = _NONE
    nonfinite: ByParameter = _NONE

    def joined(self, later: "_Measured") -> "_Measured":
        """Of both; a parameter that is in both is that of the later one."""
        nonfinite = self.nonfinite.without(later.before.names).joined(later.nonfinite)
        return _Measured(self.before.joined(later.before), self.after.joined(later.after), nonfinite)


class GradientMeter:
    """Measures every gradient as ``backward()`` leaves it; owns its hooks until ``close``.

    Where gradients accumulate over several backward passes the accumulated one counts. The gradients themselves are
    neither changed nor kept. ``passes``: the backward passes since the last update.

    by_parameter: whether norms of each parameter are asked for, else those of all together, which cost less.
    """

    def __init__(
        self,
        model: nn.Module,
        guard: Callable[[Callable[[], None]], None],
        scale: Scale,
        after_pass: Callable[[], None] = lambda: None,
        by_parameter: Callable[[], bool] = lambda: True,
    ) -> None:
        self._scale = scale
        self._after_pass = after_pass
        self._asked = by_parameter
        self._parameters = dict(model.named_parameters())
        self._left_to_others: Collection[int] = ()
        self._on_cpu = all(parameter.is_cpu for parameter in self._parameters.values())
        self._together: list[nn.Parameter] | None = None  # those that the last pass measured as one
        self._are_kept = True  # every gradient that a pass has left is there at the update
        self._before = self._nonfinite = _NONE
        self._taken = _Measured()
        self._not_zeroed: dict[str, None] = {}
        self._changed = False
        self._versions: dict[str, int] = {}
        self._before_unscale: Tensor | None = None
        self.passes = 0
        self._hooks = GradientHooks(self._parameters, guard, self._measure)

    @property
    def wait_in_vain(self) -> bool:
        """Whether so many passes came without an update that none is to be expected."""
        return self._hooks.discarded >= _DISCARDED or self.passes >= _PASSES

    def take(self, names: Collection[str] | None = None) -> None:
        """Notes the norms of ``names`` (None: of all), which an update is about to use or has just used."""
        scale = self._scale.at_update()
        if scale is not None:
            self.unscaling(names)
        self.passes = 0
        self._hooks.updating(names)
        taken = self._measured(self._norms(names), scale)
        self._taken = taken if names is None else self._taken.joined(taken)
        self._changed |= self._hooks.changed
        self._hooks.changed = False
        if self._hooks.not_zeroed:
            self._not_zeroed |= dict.fromkeys(self._hooks.not_zeroed_of(names))

    def norms(self, without: Collection[str] = ()) -> GradientNorms:
        """The norms of the step: what its updates took, and of parameters that nobody updates what is there now.

        ``without``: parameters of a watched optimizer that makes no update in this step.
        """
        taken = self._taken.before
        same = self._before.names == taken.names
        rest = [] if same else [n for n in self._before.only(set(self._before).difference(taken)) if n not in without]
        each = self._taken.joined(self._measured(self._norms(rest))) if rest else self._taken
        return GradientNorms(
            _NONE if self._hooks.changed_between else each.before,
            each.after,
            each.nonfinite.vector.sum() if each.nonfinite else 0,
            self._changed,
            self._scale.seen,
            self._scale.skipped,
            self._before_unscale,
            self._hooks.reached,
            tuple(self._not_zeroed),
            self._hooks.changed_between,
            not any(map(is_shard, self._parameters.values())),
        )

    def next_step(self) -> None:
        """Forgets what was measured: the step has ended."""
        self._before = self._nonfinite = _NONE
        self._before_unscale, self._versions, self._together = None, {}, None
        self._taken, self._not_zeroed, self._changed = _Measured(), {}, False
        self.passes = 0
        self._hooks.next_step()

    def follow(self, found: Mapping[str, nn.Parameter], left_to_others: Collection[int] = ()) -> None:
        """Measures the parameters ``found``, which the model has now; what was measured of others in this step is
        forgotten. ``left_to_others``: those, by id, that another rank counts."""
        self._left_to_others = left_to_others
        if any(self._parameters.get(name) is not parameter for name, parameter in found.items()):
            self._parameters = dict(found)
            self._on_cpu = all(parameter.is_cpu for parameter in found.values())
            self._hooks.follow(found)
            self.next_step()

    def follow_scaler(self, scaler: torch.amp.GradScaler) -> None:
        """Divides the scale of a scaler that nobody named out of what was measured, in this step and from here on."""
        self._before = _divided(self._before, self._scale.follow(scaler))

    def unscaling(self, names: Collection[str] | None = None) -> None:
        """The GradScaler is about to unscale the gradients of ``names`` (None: of all): whatever changed them until
        now, saw scaled ones."""
        grads = self._gradients(names)
        if any(name in self._versions and grad._version > self._versions[name] for name, grad in grads.items()):
            self._before_unscale = self._norms(names).only(self._before.names).total()

    def check_used(self) -> None:
        """Checks whether the gradients that the last update used have been changed since."""
        self._hooks.check_used()

    def check_as_left(self) -> None:
        """Raises SettingError unless the gradients are what ``backward()`` left, in units of the loss."""
        if self._scale.seen is not None:
            raise SettingError(
                "try_thresholds(): the gradients carry a GradScaler's scale, and an update would be too large."
            )
        before, now = (float(each.vector.norm()) for each in (self._before, self._norms()))
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
        self._hooks.close()

    def updated(self, names: Collection[str] | None = None) -> None:
        """An update of ``names`` (None: of all) has been made; what is done to its gradient later has no effect."""
        self._scale.updated()
        self._hooks.updated(names)

    def _measure(self) -> None:
        """At the end of a backward pass."""
        self.passes += 1
        scale, self._before_unscale = self._scale.at_backward(), None
        self._hooks.left()
        if scale is not None:
            self._versions = {name: grad._version for name, grad in self._gradients().items()}
        one = self._on_cpu and self._are_kept and scale is None and not self._asked()
        held = [p for p in self._hooks.parameters if p.grad is not None and self._is_counted(p)] if one else []
        self._together = None if not one or any(p.grad.is_sparse for p in held if p.grad is not None) else held
        self._before = _divided(self._norms(), scale)
        self._nonfinite = self._counted()
        self._after_pass()

    def _measured(self, after: ByParameter, scale: Tensor | None = None) -> _Measured:
        """Norms now beside those that the last backward pass left, of the parameters that have both."""
        after = _divided(after.only(self._before.names), scale)
        return _Measured(self._before.only(after.names), after, self._nonfinite.only(after.names))

    def _counted(self) -> ByParameter:
        """Entries that are NaN or inf. Finite norms leave nothing to count; asking is free on the CPU and a
        synchronisation elsewhere."""
        if self._on_cpu and all(map(math.isfinite, self._before.vector.tolist())):
            return _NONE
        grads = self._gradients()
        counts = [(~entries_of(grad).isfinite()).sum() for grad in grads.values()]
        if not counts:
            return _NONE
        if self._together is not None:
            return ByParameter(_TOGETHER, torch.stack(counts).sum(0, keepdim=True))
        return ByParameter(tuple(grads), torch.stack([count.to(counts[0].device) for count in counts]))

    def _gradients(self, names: Collection[str] | None = None) -> dict[str, Tensor]:
        own = self._parameters.items() if names is None else ((n, p) for n, p in self._parameters.items() if n in names)
        return {name: p.grad.detach() for name, p in own if p.grad is not None and self._is_counted(p)}

    def _is_counted(self, parameter: nn.Parameter) -> bool:
        return not self._left_to_others or id(parameter) not in self._left_to_others

    def _norms(self, names: Collection[str] | None = None) -> ByParameter:
        """Of the gradients there are; of all as one where they are measured together. Where one of these was let go of
        since the pass they are none, and are measured one by one from then on."""
        if self._together is None:
            return norms_of(self._gradients(names))
        grads = [parameter.grad for parameter in self._together if parameter.grad is not None]
        self._are_kept = len(grads) == len(self._together)
        if not grads or not self._are_kept:
            return _NONE
        return ByParameter(_TOGETHER, norm_together([entries_of(grad) for grad in grads]).view(1))


class Spectrum(NamedTuple):
    """Of a recurrent weight: spectral radius (None if its blocks are not square) and largest singular value."""

    radius: float | None
    norm: float


def recurrent_spectra(model: nn.Module) -> dict[str, Spectrum]:
    """Spectrum of each W_hh by parameter name, the largest over its gate blocks; a synchronisation.

    Neither number is the transport gain: they know nothing of gates and slopes. Weights that hold NaN or inf, and
    shards, are left out.
    """
    found = {}
    for module_name, module in recurrent_modules(model).items():
        for name, parameter in module.named_parameters(prefix=module_name, recurse=False):
            weight = whole_weight(parameter) if "weight_hh" in name else None
            if weight is not None and bool(weight.isfinite().all()):
                found[name] = _spectrum(weight, module.hidden_size)
    return found


def _spectrum(weight: Tensor, hidden_size: int) -> Spectrum:
    blocks = weight.detach().double().view(-1, hidden_size, weight.shape[-1])
    largest = float(torch.linalg.matrix_norm(blocks, ord=2).amax())
    square = blocks.shape[-1] == blocks.shape[-2]
    return Spectrum(float(torch.linalg.eigvals(blocks).abs().amax()) if square else None, largest)


def _divided(norms: ByParameter, scale: Tensor | None) -> ByParameter:
    return norms if scale is None else ByParameter(norms.names, norms.vector / scale.to(norms.vector.device))
