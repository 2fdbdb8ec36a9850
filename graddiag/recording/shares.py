"""Sharded parameters (FSDP2): which part of them this rank measures, and since which step.

No rank waits for another: a norm over shards would be a collective, and would hang a training in which one rank is
watched alone, or records other steps. Each rank writes what it has into its own folder: norms of its entries, counts
of their zeros over the size of the whole parameter, and in place of an update ratio the norm of the update. Sums of
squares over the ranks are then exact, and ``graddiag.load_run`` takes them (``graddiag.store.shares``).
"""

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim import Optimizer

from graddiag import schema
from graddiag.errors import SettingError, UnsupportedError
from graddiag.recording.events import replaced_event
from graddiag.recording.finite_updates import has_finite_gradient
from graddiag.recording.guard import Part, PartGuard
from graddiag.recording.interception import Handle
from graddiag.recording.layers import LayerMeter
from graddiag.recording.model_parameters import HasParameters
from graddiag.recording.parameters import GradientMeter
from graddiag.recording.ranks import has_ranks, rank
from graddiag.recording.step_measures import PARTIAL, Scalar
from graddiag.recording.unwrapping import held_by
from graddiag.run import RankShares
from graddiag.store import RunWriter
from graddiag.tracing.compiled import uncompiled
from graddiag.tracing.storage import is_shard, own_entries


class Shares:
    """The parameters of a model, as a whole or in part; owns its hook until ``close``.

    Parameters that ``fully_shard`` has replaced are looked for before the first forward pass of the model, which is
    ahead of FSDP's own hooks, and at each update until some are found.

    sharded: whether there are shards, whose unsharded copies are freed after each pass. partial: whether a part is in
    another rank.
    """

    def __init__(self, model: nn.Module, writer: RunWriter, step: Callable[[], int], guard: PartGuard) -> None:
        self._model = model
        self._writer = writer
        self._step = step
        self._guard = guard
        self._named = dict(model.named_parameters())
        self._replaced: dict[int, int] = {}
        self._changed: Callable[[], None] = lambda: None
        self._handle: Handle | None = None
        self.sharded = self.partial = False

    def follow(self, gradients: GradientMeter, layers: LayerMeter, begin: Callable[[], None]) -> None:
        """Lets ``gradients`` and ``layers`` measure shards where there are some; ``begin`` begins the step anew where
        they come later."""

        def take_up() -> None:
            shares = shares_of(self._named.items(), self._step())
            own = {} if shares is None else shares.own
            left = {id(p) for name, p in self._named.items() if p.numel() and own.get(name) == 0}
            self.sharded, self.partial = any(map(is_shard, self._named.values())), shares is not None
            if self.sharded:
                self._writer.amend(shares=shares)
                gradients.follow(self._named, left)
                layers.copy_weights()

        def changed() -> None:
            take_up()
            for cell in layers.cells:
                self._guard(cell, partial(check_settings, self._model, cells=[cell]))
            begin()

        take_up()
        self._changed = changed
        if has_ranks() and not self.sharded:
            self._handle = register_module_forward_pre_hook(self._before_forward)

    def refresh(self) -> None:
        """Takes up parameters that have been sharded since."""
        if self.sharded or "torch.distributed.tensor" not in sys.modules or not has_ranks():
            return
        named = dict(self._model.named_parameters())
        if any(map(is_shard, named.values())):
            self._replaced = {id(p): id(self._named[name]) for name, p in named.items() if name in self._named}
            self._named = named
            self._changed()

    def takes_over(self, optimizer: Optimizer, watched: Sequence[Optimizer]) -> int | None:
        """Which of the ``watched`` ones held the parameters that ``optimizer`` holds now that they are shards, with an
        event; None where there is none."""
        self._guard(Part.PARAMETERS, self.refresh)
        was = {self._replaced[each] for each in held_by([optimizer]) if each in self._replaced}
        found = next((index for index, each in enumerate(watched) if was & held_by([each])), None) if was else None
        if found is not None:
            names = type(watched[found]).__name__, type(optimizer).__name__
            event = replaced_event(self._step(), *names)
            self._guard(Part.STEPS, lambda: self._writer.append(schema.TABLE_EVENTS, event))
        return found

    def has_finite_gradient(self, optimizer: Optimizer) -> bool:
        """``has_finite_gradient``; UnsupportedError where another rank may find otherwise."""
        if self.partial:
            raise UnsupportedError(NOT_ALONE)
        return has_finite_gradient(optimizer)

    def mark(self) -> dict[str, Scalar]:
        """What goes with the row of a step."""
        return {PARTIAL: 1} if self.partial else {}

    def close(self) -> None:
        """Takes the hook off."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    @uncompiled
    def _before_forward(self, module: nn.Module, _: Any) -> None:
        if module is self._model and not torch.compiler.is_dynamo_compiling():
            self.close()
            self._guard(Part.PARAMETERS, self.refresh)


def shares_of(named: Iterable[tuple[str, Tensor]], since: int = 0) -> RankShares | None:
    """How many entries of each parameter this rank counts, and of how many; None where it counts all of them.

    Of what is no shard each rank has a copy, and rank 0 counts.
    """
    of = dict(named)
    total = {name: p.numel() for name, p in of.items()}
    first = rank() == 0
    own = {name: own_entries(p).numel() if is_shard(p) or first else 0 for name, p in of.items()}
    shards = [name for name, p in of.items() if is_shard(p)]
    if all(own[name] == total[name] for name in shards):
        return None
    return RankShares(since=since, own=own, total=total)


def check_settings(model: HasParameters, on_nonfinite: str = "continue", cells: Collection[str] = ()) -> None:
    """Raises for settings that a model of shards cannot be watched with.

    Raises:
        SettingError: updates are to be left out, which each rank would decide by its own shards.
        UnsupportedError: a cell is to be followed, which would be called again, and gather its weights.
    """
    named = list(model.named_parameters())
    if on_nonfinite != "continue" and shares_of(named) is not None:
        raise SettingError(f"watch(on_nonfinite={on_nonfinite!r}): {NOT_ALONE}")
    for cell in cells:
        if any(is_shard(p) for name, p in named if name.startswith(f"{cell}." if cell else "")):
            raise UnsupportedError(f"cells={cell!r}: {NOT_AGAIN}")


NOT_ALONE = (
    "the parameters are shards, and a rank sees NaN or inf in its own alone: ranks would decide differently. "
    'Leave it at "continue".'
)
NOT_AGAIN = (
    "its parameters are shards. To measure it graddiag calls it once more, which would gather them again in this rank "
    "alone. Leave the cell out of fully_shard, or follow it by recorder.tap()."
)
