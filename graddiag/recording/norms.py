"""Norms of many tensors at once: one vector with a number for each parameter, and the norm of all together."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from graddiag.tracing.storage import own_entries

# entries on the CPU up to which gradients are copied into one tensor: there a call costs more than the copy
_FLAT: Final = 1 << 16
_NOTHING: Final = torch.zeros(0, dtype=torch.float64)


class ByParameter(Mapping[str, Tensor]):
    """A number for each of some parameters: ``vector`` [P] on one device, in the order of ``names``; items 0-dim."""

    __slots__ = ("names", "vector")

    def __init__(self, names: Sequence[str] = (), vector: Tensor = _NOTHING) -> None:
        self.names = tuple(names)
        self.vector = vector

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.names:
            raise KeyError(name)
        return self.vector[self.names.index(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def only(self, names: Collection[str]) -> "ByParameter":
        """Of the parameters that ``names`` holds too."""
        if names == self.names:
            return self
        wanted = set(names)
        kept = [place for place, name in enumerate(self.names) if name in wanted]
        if len(kept) == len(self.names):
            return self
        return ByParameter([self.names[place] for place in kept], self._picked(kept))

    def at(self, names: Sequence[str]) -> Tensor:
        """The numbers of ``names``, which are all there, in their order."""
        if names == self.names:
            return self.vector
        places = {name: place for place, name in enumerate(self.names)}
        return self._picked([places[name] for name in names])

    def without(self, names: Collection[str]) -> "ByParameter":
        """Of the parameters that ``names`` does not hold."""
        return self.only(set(self.names).difference(names))

    def joined(self, later: "ByParameter") -> "ByParameter":
        """Of both; a parameter that is in both has the number of ``later``."""
        rest = self.without(later.names)
        if not rest or not later:
            return later if later else rest
        vector = torch.cat([rest.vector, later.vector.to(rest.vector)])
        return ByParameter([*rest.names, *later.names], vector)

    def _picked(self, places: Sequence[int]) -> Tensor:
        """Without waiting for an accelerator."""
        return self.vector[torch.tensor(places, dtype=torch.int64).to(self.vector.device, non_blocking=True)]

    def total(self) -> Tensor | None:
        """sqrt of the sum of squares, 0-dim; None of no parameter."""
        if len(self) == 1:
            return self.vector[0]
        return torch.linalg.vector_norm(self.vector) if self else None


def norms_of(tensors: Mapping[str, Tensor]) -> ByParameter:
    """The L2 norm of each tensor, float64, on the device of the first. NaN and inf are kept; a sparse tensor counts as
    its entries. float32 and narrower are squared in float64, where nothing they hold can underflow."""
    if not tensors:
        return ByParameter()
    with torch.no_grad():
        norms = torch._foreach_norm([entries_of(each) for each in tensors.values()], 2, torch.float64)
        return ByParameter(tuple(tensors), torch.stack([norm.to(norms[0].device) for norm in norms]))


def norm_together(tensors: list[Tensor]) -> Tensor:
    """The L2 norm of all tensors together, 0-dim float64; of dense tensors on the CPU, at least one."""
    if sum(map(torch.numel, tensors)) <= _FLAT:
        found = torch.linalg.vector_norm(torch._C._nn.flatten_dense_tensors(tensors), dtype=torch.float64)
    else:
        found = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors, 2, torch.float64)))
    return found.detach()


def entries_of(grad: Tensor) -> Tensor:
    """The entries that are there: all of a dense tensor, those that a sparse one holds, this rank's of a DTensor."""
    return grad.coalesce().values() if grad.is_sparse else own_entries(grad)
