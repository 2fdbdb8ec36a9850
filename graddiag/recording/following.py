"""What a recording follows of a model, and what it does not: reported once, with what to do about it."""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from torch import nn
from torch.optim import Optimizer

from graddiag import schema
from graddiag.recording.events import (
    Event,
    gain_missing_event,
    layer_added_event,
    no_update_event,
    not_followed_event,
    nothing_followed_event,
)
from graddiag.recording.layers import LayerMeter
from graddiag.store import RunWriter
from graddiag.tracing.hooks import COMPILED, REPLICATED, TRANSFORMED
from graddiag.tracing.model_hook import compiled_something
from graddiag.tracing.unfollowed import described, unfollowed_parts

_WAYS: Final = (
    'Name the module whose call takes a state and gives the next one, watch(..., cells="NAME"), or call '
    'recorder.tap("NAME", state) at each timestep of the loop.'
)


_WAYS_OF: Final = {
    COMPILED: (
        "Call it in a method with @torch.compiler.disable, and watch the model that torch.compile was given; the rest "
        "of the model stays compiled. Its parameters and norms are recorded, and the training is unchanged."
    ),
    TRANSFORMED: "Only what loss.backward() goes through is recorded.",
    REPLICATED: "Use DistributedDataParallel, or one device.",
}


class Following:
    """Notices, step by step, what is not followed; ``silent``: the user has said that there is nothing to follow."""

    def __init__(self, model: nn.Module, layers: LayerMeter, *, silent: bool) -> None:
        self._model = model
        self._layers = layers
        self._silent = silent
        self._parts: Mapping[str, str] = {} if silent else unfollowed_parts(model, layers.cells)
        self._reported: set[str] = set()
        self._first = True

    def state(self) -> dict[str, Any]:
        """What has been reported, for ``restore`` in another process."""
        return {"reported": sorted(self._reported), "first": self._first}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._reported, self._first = {*state["reported"]}, bool(state["first"])

    def at_attach(self, step: int) -> list[Event]:
        """The parts that look recurrent and are not followed, as events."""
        return [self._not_followed(step, name, reason) for name, reason in self._parts.items()]

    def found(self, step: int) -> Iterator[Event]:
        """Layers that the model has got since the last recorded step; they are followed from now on."""
        for name in self._layers.find():
            yield layer_added_event(step, name)

    def of_step(self, step: int, reached: Collection[int] = ()) -> list[Event]:
        """What was not followed in a recorded step that is about to end, before its traces are taken. reached: the
        parameters that got a gradient, by id."""
        first, self._first = self._first, False
        if self._silent:
            return []
        heard_not = dict.fromkeys(self._layers.hooks.unheard_of(reached) if compiled_something() else (), COMPILED)
        unheard = {n: reason for n, reason in {**heard_not, **self._layers.unheard}.items() if self._is_new(n)}
        if first and self._layers.nothing_ran and not any(reason in _WAYS_OF for reason in unheard.values()):
            return [nothing_followed_event(step, self._message({**self._parts, **unheard}))]
        return [self._not_followed(step, name, reason) for name, reason in unheard.items()]

    def of_gains(self, step: int) -> Iterator[Event]:
        """An event for each cell whose transport gain is missing, at the first step that has it."""
        for name, reason in self._layers.reasons.items():
            if self._is_new(f"gain {name}"):
                yield gain_missing_event(step, name, reason)

    def _not_followed(self, step: int, name: str, reason: str) -> Event:
        part = described(self._model, {name: reason})
        return not_followed_event(step, name, f"graddiag does not follow {part}. {_WAYS_OF.get(reason, _WAYS)}")

    def _message(self, unheard: Mapping[str, str]) -> str:
        what = f"Nothing of {type(self._model).__name__} is followed through time: "
        ran = (
            "no RNN, LSTM, GRU or cell of torch.nn ran in it with gradients on, no cell was named, nothing was tapped. "
        )
        looks = f"It looks recurrent here: {described(self._model, unheard)}. " if unheard else ""
        return f"{what}{ran}{looks}{_WAYS} Pass cells=() if there is no recurrence."

    def _is_new(self, what: str) -> bool:
        new = what not in self._reported
        self._reported.add(what)
        return new


def log_no_update(writer: RunWriter, step: int, passes: int, optimizers: Sequence[Optimizer]) -> None:
    """Logs and warns that backward passes came and the watched optimizers made no update."""
    if not optimizers:
        return
    names = " and ".join(type(each).__name__ for each in optimizers)
    event = no_update_event(step, passes, names, compiled=compiled_something())
    writer.append(schema.TABLE_EVENTS, event)
    with suppress(RuntimeWarning):  # a filter may make an error of it, and this is inside of a backward pass
        warn_of(event)


def warn_of(event: Event) -> None:
    """A warning with the message of an event."""
    warnings.warn(event[schema.MESSAGE], RuntimeWarning, stacklevel=2)
