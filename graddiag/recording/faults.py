"""Faults of the training loop that show in the gradients, step by step."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from torch import nn

from graddiag import schema
from graddiag.recording.events import (
    EVERYWHERE,
    Event,
    detached_event,
    gradient_changed_event,
    misplaced_event,
    no_gradient_event,
    not_zeroed_event,
    skipped_event,
)
from graddiag.recording.parameters import GradientNorms
from graddiag.tracing.calls import Calls, holds_gradient

_WHOLE_MODEL: Final = "(model)"


class Faults:
    """Counts the faults of a run; each is reported at the first step that has it, skipped updates at each.

    held: gives the ids of the parameters that the optimizers hold.
    """

    def __init__(self, model: nn.Module, held: Callable[[], Collection[int]] = frozenset) -> None:
        self._model = model
        self._held = held
        self._reported: set[str] = set()
        self._steps = 0
        self._unreached: Counter[str] = Counter()
        self._columns: dict[str, int] = {}

    def state(self) -> dict[str, Any]:
        """What has been counted and reported, for ``restore`` in another process."""
        return {"reported": sorted(self._reported), "steps": self._steps, "unreached": dict(self._unreached)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._reported, self._steps = {*state["reported"]}, int(state["steps"])
        self._unreached = Counter(state["unreached"])

    def of_step(
        self, step: int, norms: GradientNorms, calls: Calls, updated: Collection[int] | None = None
    ) -> list[Event]:
        """The events of a step that is about to end; ``columns`` belongs to the same step.

        updated: ids of the parameters that the step updates; None for all.
        """
        unreached = calls.unreached(norms.reached, updated, self._held)
        self._columns = {schema.UNREACHED_MODULES: len(unreached), schema.UPDATES_SKIPPED: norms.skipped}
        events = [skipped_event(step, norms.skipped)] if norms.skipped else []
        if norms.changed_after_update and self._is_new(schema.EVENT_CLIP_MISPLACED):
            events.append(misplaced_event(step))
        if norms.not_zeroed and self._is_new(schema.EVENT_GRADIENTS_NOT_ZEROED):
            events.append(not_zeroed_event(step, self._share(norms.not_zeroed), len(norms.not_zeroed)))
        if norms.changed_between and self._is_new(schema.EVENT_GRADIENT_CHANGED):
            events.append(gradient_changed_event(step))
        self._steps = step + 1
        return events + self._without_gradient(step, unreached, norms)

    def of_states(self, step: int, detached: Mapping[str, int]) -> list[Event]:
        """An event for each module whose state was cut off between its calls, at the first step that has it."""
        return [
            detached_event(step, name, count)
            for name, count in detached.items()
            if self._is_new(f"{schema.EVENT_STATE_DETACHED} {name}")
        ]

    def columns(self, calls: Calls, logged: Mapping[str, Any]) -> dict[str, Any]:
        """Columns of the steps table; sizes that were logged by the user go before those that were seen."""
        batch_size, timesteps = calls.sizes
        sizes = {schema.BATCH_SIZE: batch_size, schema.SEQUENCE_LENGTH: timesteps}
        columns, self._columns = self._columns, {}
        return columns | {name: logged.get(name, size) for name, size in sizes.items()}

    def totals(self, step: int, skipped: int = 0) -> list[Event]:
        """At the end of a run: updates ``skipped`` since the last one, and in how many steps no gradient reached what
        was reported."""
        return [skipped_event(step, skipped)] * bool(skipped) + [
            no_gradient_event(step, where, count, self._steps) for where, count in self._unreached.items() if count > 1
        ]

    def _without_gradient(self, step: int, unreached: Iterable[str], norms: GradientNorms) -> list[Event]:
        found = [name or _WHOLE_MODEL for name in unreached]
        if not norms.reached and self._is_without():
            found.append(EVERYWHERE)
        self._unreached.update(found)
        return [no_gradient_event(step, where, 1, step + 1) for where in found if self._unreached[where] == 1]

    def _is_without(self) -> bool:
        trainable = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        return bool(trainable) and not any(holds_gradient(parameter) for parameter in trainable)

    def _share(self, names: Iterable[str]) -> str:
        names, total = list(names), sum(1 for p in self._model.parameters() if p.requires_grad)
        return names[0] if len(names) == 1 else f"{len(names)} of {total} parameters"

    def _is_new(self, kind: str) -> bool:
        new = kind not in self._reported
        self._reported.add(kind)
        return new
