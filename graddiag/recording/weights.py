"""What updates make of the weights: sizes of weights and updates, parameter by parameter."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from graddiag import schema
from graddiag.recording.model_parameters import HasParameters
from graddiag.recording.norms import ByParameter, entries_of, norms_of
from graddiag.recording.optimizers import held_names
from graddiag.recording.parameters import GradientNorms
from graddiag.tracing.storage import check_measurable, is_shard, own_entries


class WeightCopy:
    """A copy of parameters before an update, to measure the update by. Costs as much memory as those parameters.

    names: of the parameters that the update changes; None for all that are trainable.
    """

    def __init__(self, model: HasParameters, names: Collection[str] | None = None) -> None:
        self._model = model
        check_measurable(model.named_parameters())  # it may have been sharded since it was watched
        trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        with torch.no_grad():
            self._before = {
                n: own_entries(p).detach().clone() for n, p in trainable.items() if names is None or n in names
            }

    def sizes(self) -> "UpdateSizes":
        """What the update has made of them, measured after it, once: the copy becomes the difference."""
        now = {name: p for name, p in self._model.named_parameters() if name in self._before}
        weights, differences = norms_of(self._before), {name: self._before[name] for name in now}
        if now:
            with torch.no_grad():
                torch._foreach_sub_(list(differences.values()), [own_entries(p).detach() for p in now.values()])
        return UpdateSizes(weights, norms_of(differences), _zeros(now))


@dataclass(frozen=True)
class UpdateSizes:
    """By parameter: the L2 norm before an update, that of what the update changed, and the share of exact zeros in the
    gradient that it used; a parameter that no update held has its norm alone."""

    weights: ByParameter
    updates: ByParameter
    zeros: ByParameter

    def joined(self, later: "UpdateSizes") -> "UpdateSizes":
        """Of both updates; a parameter that is in both is that of the later one."""
        pairs = zip(vars(self).values(), vars(later).values(), strict=True)
        return UpdateSizes(*(mine.joined(others) for mine, others in pairs))

    def ratio(self) -> Tensor | None:
        """Update over weight, for all updated parameters together, 0-dim; None where none was updated."""
        size, change = self.weights.only(self.updates.names).total(), self.updates.total()
        return None if size is None or change is None else _relative(change, size)

    def columns(self, norms: GradientNorms | None, *, partial: bool = False) -> dict[str, ByParameter]:
        """The columns of the table ``parameters``; of a ``partial`` one the norm of the update for its ratio."""
        names, updates = self.updates.names, self.updates.vector
        ratios = updates if partial else _relative(updates, self.weights.at(names))
        return {
            schema.GRAD_NORM: ByParameter() if norms is None else norms.before,
            schema.GRAD_NORM_CLIPPED: ByParameter() if norms is None else norms.after,
            schema.ZEROS: self.zeros,
            schema.WEIGHT_NORM: self.weights,
            schema.UPDATE_RATIO: ByParameter(names, ratios),
        }


class OtherWeights:
    """The trainable parameters that no optimizer was heard to update, from one recorded step to the next.

    One that is as it was has an update of 0. One that has changed was updated by something that cannot be heard, by
    hand for example, and the size of that update is missing.
    """

    def __init__(self, model: HasParameters) -> None:
        self._model = model
        self._seen: dict[str, tuple[int, float | None]] = {n: (p._version, None) for n, p in model.named_parameters()}

    def sizes(self, without: Collection[str]) -> UpdateSizes:
        """Of all but the parameters ``without``, whose updates were heard."""
        others = set(without)
        own = {n: p for n, p in self._model.named_parameters() if n not in others and p.requires_grad}
        weights = norms_of(own)
        # an accelerator is not asked for its values: there a change through ``.data`` is not noticed
        found = weights.vector.tolist() if weights.vector.is_cpu else [None] * len(own)
        now = {name: (own[name]._version, norm) for name, norm in zip(weights.names, found, strict=True)}
        still = [name for name, seen in now.items() if _is_same(self._seen.get(name), seen)]
        self._seen = now
        return UpdateSizes(weights, ByParameter(still, torch.zeros_like(weights.only(still).vector)), _zeros(own))


class UpdateMeter:
    """Measures the updates of a step, one optimizer's after another's."""

    def __init__(self, model: HasParameters) -> None:
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

    def columns(
        self, norms: GradientNorms | None, *, partial: bool = False
    ) -> tuple[Tensor | None, dict[str, ByParameter]]:
        """Update over weight of the step, and columns by parameter; None and none where no update was measured. A
        parameter whose update cannot be heard has no update ratio. partial: of shares the step has
        none."""
        self.after()  # by hand the update came before
        if self._sizes is None:
            return None, {}
        every = self._others.sizes(self._sizes.weights.names).joined(self._sizes)
        return None if partial else self._sizes.ratio(), every.columns(norms, partial=partial)

    def forget(self) -> None:
        self._copy = self._sizes = None


def _relative(change: Tensor, size: Tensor) -> Tensor:
    """change / size; a parameter that did not change did so by 0, be its norm 0 as well."""
    return torch.where(change == 0, change, change / size)


def _zeros(parameters: Mapping[str, nn.Parameter]) -> ByParameter:
    """Share of exact zeros in each gradient, float64; entries that a sparse one leaves out are zeros, NaN is none.
    Of a shard the zeros in it over the size of the whole."""
    grads = {name: p.grad for name, p in parameters.items() if p.grad is not None and p.grad.numel()}
    if not grads:
        return ByParameter()
    counts = [torch.count_nonzero(entries_of(grad)) for grad in grads.values()]
    sizes = torch.tensor([grad.numel() for grad in grads.values()], dtype=torch.float64)
    own = torch.tensor([own_entries(grad).numel() if is_shard(grad) else grad.numel() for grad in grads.values()])
    others = torch.stack([count.to(counts[0].device) for count in counts])
    shares = (own / sizes).to(others.device, non_blocking=True)
    return ByParameter(tuple(grads), shares - others / sizes.to(others.device, non_blocking=True))


def _is_same(before: tuple[int, float | None] | None, now: tuple[int, float | None]) -> bool:
    """Whether a parameter has the version and, as far as known, the norm that it had."""
    return before is not None and before[0] == now[0] and (before[1] is None or before[1] == now[1])
