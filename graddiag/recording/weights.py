"""What updates make of the weights: sizes of weights and updates, parameter by parameter."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from graddiag import schema
from graddiag.recording.optimizers import held_names
from graddiag.recording.parameters import GradientNorms, entries_of, norm_of, total_norm
from graddiag.tracing.storage import check_whole


class WeightCopy:
    """A copy of parameters before an update, to measure the update by. Costs as much memory as those parameters.

    names: of the parameters that the update changes; None for all that are trainable.
    """

    def __init__(self, model: nn.Module, names: Collection[str] | None = None) -> None:
        self._model = model
        check_whole(model)  # it may have been sharded since it was watched
        trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        with torch.no_grad():
            self._before = {n: p.detach().clone() for n, p in trainable.items() if names is None or n in names}

    def sizes(self) -> "UpdateSizes":
        """What the update has made of them, measured after it."""
        now = dict(self._model.named_parameters())
        with torch.no_grad():
            updates = {n: norm_of(now[n].detach() - before) for n, before in self._before.items() if n in now}
        held = {name: p.grad for name, p in now.items() if name in self._before}
        zeros = {name: _zeros(grad.detach()) for name, grad in held.items() if grad is not None and grad.numel()}
        return UpdateSizes({name: norm_of(before) for name, before in self._before.items()}, updates, zeros)


@dataclass(frozen=True)
class UpdateSizes:
    """By parameter: the L2 norm before an update, that of what the update changed, and the share of exact zeros in the
    gradient that it used; a parameter that no update held has its norm alone."""

    weights: Mapping[str, Tensor]
    updates: Mapping[str, Tensor]
    zeros: Mapping[str, Tensor]

    def joined(self, later: "UpdateSizes") -> "UpdateSizes":
        """Of both updates; a parameter that is in both is that of the later one."""
        pairs = zip(vars(self).values(), vars(later).values(), strict=True)
        return UpdateSizes(*({**mine, **others} for mine, others in pairs))

    def columns(self, norms: GradientNorms | None) -> tuple[Tensor | None, dict[str, dict[str, Tensor]]]:
        """Update over weight, for all updated parameters together, and columns by parameter."""
        size = total_norm([self.weights[name] for name in self.updates])
        change = total_norm(self.updates.values())
        columns = {
            schema.GRAD_NORM: {} if norms is None else dict(norms.before),
            schema.GRAD_NORM_CLIPPED: {} if norms is None else dict(norms.after),
            schema.ZEROS: dict(self.zeros),
            schema.WEIGHT_NORM: dict(self.weights),
            schema.UPDATE_RATIO: {name: _relative(self.updates[name], self.weights[name]) for name in self.updates},
        }
        return None if size is None or change is None else _relative(change, size), columns


class OtherWeights:
    """The trainable parameters that no optimizer was heard to update, from one recorded step to the next.

    One that is as it was has an update of 0. One that has changed was updated by something that cannot be heard, by
    hand for example, and the size of that update is missing.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._seen: dict[str, tuple[int, Tensor | None]] = {n: (p._version, None) for n, p in model.named_parameters()}

    def sizes(self, without: Collection[str]) -> UpdateSizes:
        """Of all but the parameters ``without``, whose updates were heard."""
        own = {n: p for n, p in self._model.named_parameters() if p.requires_grad and n not in without}
        weights = {name: norm_of(parameter.detach()) for name, parameter in own.items()}
        still = [name for name, parameter in own.items() if self._is_as_seen(name, parameter, weights[name])]
        self._seen = {name: (parameter._version, weights[name]) for name, parameter in own.items()}
        grads = {name: p.grad.detach() for name, p in own.items() if p.grad is not None and p.numel()}
        zeros = {name: _zeros(grad) for name, grad in grads.items()}
        return UpdateSizes(weights, {name: torch.zeros_like(weights[name]) for name in still}, zeros)

    def _is_as_seen(self, name: str, parameter: Tensor, norm: Tensor) -> bool:
        """An accelerator is not asked for its values: there a change through ``.data`` is not noticed."""
        if name not in self._seen:
            return False
        version, before = self._seen[name]
        return version == parameter._version and (before is None or not norm.is_cpu or bool(before == norm))


class UpdateMeter:
    """Measures the updates of a step, one optimizer's after another's."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._copy: WeightCopy | None = None
        self._sizes: UpdateSizes | None = None
        self._others = OtherWeights(model)

    def before(self, optimizer: Optimizer | None = None) -> None:
        """Before the update of ``optimizer``; None: of all trainable parameters, by hand."""
        self._copy = WeightCopy(self._model, None if optimizer is None else held_names(self._model, optimizer))

    def after(self) -> None:
        """After it: measures what it changed, where ``before`` was called."""
        if self._copy is not None:
            sizes, self._copy = self._copy.sizes(), None
            self._sizes = sizes if self._sizes is None else self._sizes.joined(sizes)

    def columns(self, norms: GradientNorms | None) -> tuple[Tensor | None, dict[str, dict[str, Tensor]]]:
        """Update over weight of the step, and columns by parameter; None and none where no update was measured. A
        parameter whose update cannot be heard has no update ratio."""
        self.after()  # by hand the update came before
        if self._sizes is None:
            return None, {}
        ratio, _ = self._sizes.columns(norms)
        return ratio, self._others.sizes(self._sizes.weights).joined(self._sizes).columns(norms)[1]

    def forget(self) -> None:
        self._copy = self._sizes = None


def _relative(change: Tensor, size: Tensor) -> Tensor:
    """change / size; a parameter that did not change did so by 0, be its norm 0 as well."""
    return torch.where(change == 0, change, change / size)


def _zeros(grad: Tensor) -> Tensor:
    """Share of exact zeros, 0-dim float64; entries that a sparse gradient leaves out are zeros, NaN is none."""
    entries = entries_of(grad)
    # as numbers of the gradient's own type, which are summed many times faster than truth values
    zero = torch.eq(entries, 0, out=torch.empty_like(entries))
    return (zero.sum(dtype=torch.float32).double() + grad.numel() - entries.numel()) / grad.numel()
