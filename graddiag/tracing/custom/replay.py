"""Calls a module once more, as it was when it was called first, without leaving a trace in it.

The call runs on replicas: shallow copies of the module and all of its submodules, with the parameters detached, no
hooks, and attributes copied. Buffers are those of the first call, and so are the state of every generator that
the call used, autocast and the training modes. What a replay computes is used only where it gives the state again that
the first call gave.
"""

import random
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from inspect import BoundArguments
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from graddiag.errors import UnsupportedError
from graddiag.tracing.custom.forward import is_plain

_HOOKS: Final = (
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"),
    *("_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs", "_forward_hooks_always_called"),
)


@dataclass(frozen=True)
class Surroundings:
    """What a call depends on beside its arguments and parameters.

    generators: states before the call, by device; autocast: dtype where it is on, by device type; buffers: copies of
    those that the call changes, by module and name; training: of each submodule.
    """

    generators: dict[torch.device, Tensor]
    autocast: dict[str, torch.dtype]
    buffers: dict[tuple[str, str], Tensor]
    training: dict[str, bool]


@dataclass
class CallWatch:
    """Notes the surroundings of the calls of one module; buffers that calls leave as they are, are copied once."""

    module: nn.Module
    _steady: set[tuple[str, str, bool]] = field(default_factory=set)

    def before(self, device: torch.device) -> tuple[Surroundings, dict[tuple[str, str], int]]:
        """The surroundings of a call that begins, with copies of all that it may change, and the versions of those."""
        training = {name: module.training for name, module in self.module.named_modules()}
        buffers, versions = {}, {}
        for key, buffer in _buffers(self.module):
            versions[key] = buffer._version
            if (*key, training[key[0]]) not in self._steady:
                buffers[key] = buffer.clone()
        types = dict.fromkeys(("cpu", device.type))
        autocast = {each: torch.get_autocast_dtype(each) for each in types if torch.is_autocast_enabled(each)}
        return Surroundings(_generator_states(device), autocast, buffers, training), versions

    def after(self, found: Surroundings, versions: Mapping[tuple[str, str], int]) -> Surroundings:
        """What has to be kept of ``found`` once the call has returned."""
        changed = {key for key, buffer in _buffers(self.module) if versions.get(key) != buffer._version}
        for key in versions.keys() - changed:
            self._steady.add((*key, found.training[key[0]]))
        used = {
            device: state
            for device, state in found.generators.items()
            if not torch.equal(state, _generator_state(device))
        }
        buffers = {key: buffer for key, buffer in found.buffers.items() if key in changed}
        return Surroundings(used, found.autocast, buffers, found.training)


class Replica:
    """A copy of a module that can be called in its place; parameters are shared and detached."""

    def __init__(self, module: nn.Module) -> None:
        self._original = module
        self._copies: dict[int, nn.Module] = {}
        self._module = self._copy(module)
        self._by_name = dict(self._module.named_modules())

    def __call__(self, bound: BoundArguments, found: Surroundings) -> Any:
        """The result of the call, with gradients on; generators are left where the call leaves them."""
        for key, buffer in _buffers(self._original):
            if isinstance(self._by_name[key[0]], torch.jit.ScriptModule):
                continue
            kept = found.buffers.get(key, buffer)
            self._by_name[key[0]]._buffers[key[1]] = kept.clone()
        for name, module in self._by_name.items():
            if not isinstance(module, torch.jit.ScriptModule):
                module.training = found.training.get(name, module.training)
        for device, state in found.generators.items():
            _set_generator_state(device, state)
        with ExitStack() as stack:
            for kind in {"cpu", *found.autocast}:
                dtype = found.autocast.get(kind)
                stack.enter_context(torch.autocast(kind, dtype=dtype, enabled=dtype is not None, cache_enabled=False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(_replaying())
            return self._module(*bound.args, **bound.kwargs)

    def _copy(self, module: nn.Module) -> nn.Module:
        known = self._copies.get(id(module))
        if known is not None or isinstance(module, torch.jit.ScriptModule):
            return known or module
        if not is_plain(module.forward, module):
            raise UnsupportedError(f"the forward of {type(module).__name__} in it was replaced on the object")
        copy = type(module).__new__(type(module))
        self._copies[id(module)] = copy
        left = (*_HOOKS, "forward")
        own = {name: self._attribute(value) for name, value in vars(module).items() if name not in left}
        own |= {name: OrderedDict() for name in _HOOKS}
        own["_parameters"] = {name: None if p is None else p.detach() for name, p in module._parameters.items()}
        own["_buffers"] = dict(module._buffers)
        own["_modules"] = {name: None if m is None else self._copy(m) for name, m in module._modules.items()}
        vars(copy).update(own)
        return copy

    def _attribute(self, value: Any) -> Any:
        """A copy of containers, so that what a call adds to them is lost; modules in them are replicas too."""
        if isinstance(value, nn.Module):
            return self._copy(value)
        if isinstance(value, torch.Generator):
            return value.clone_state()
        if isinstance(value, nn.Parameter):
            return value.detach()
        if type(value) in (list, set, deque):
            return type(value)(self._attribute(each) for each in value)
        if type(value) is tuple:
            return tuple(self._attribute(each) for each in value)
        if type(value) in (dict, OrderedDict):
            return type(value)((key, self._attribute(each)) for key, each in value.items())
        return value


class _Replays(threading.local):
    def __init__(self) -> None:
        self.running = 0


_replays: Final = _Replays()


def is_replaying() -> bool:
    """Whether the code that asks runs inside a call that graddiag makes again, in this thread: what it records of
    itself was recorded by the first call."""
    return _replays.running > 0


@contextmanager
def _replaying() -> Iterator[None]:
    _replays.running += 1
    try:
        yield
    finally:
        _replays.running -= 1


@contextmanager
def generators_kept(device: torch.device) -> Iterator[None]:
    """Whatever is drawn inside, every generator is afterwards where it was: torch's, Python's and numpy's."""
    states, python, numpy = _generator_states(device), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        for each, state in states.items():
            _set_generator_state(each, state)
        random.setstate(python)
        np.random.set_state(numpy)


def _buffers(module: nn.Module) -> Iterator[tuple[tuple[str, str], Tensor]]:
    """The buffers by submodule and name."""
    for name, each in module.named_modules():
        for key, buffer in each._buffers.items():
            if buffer is not None:
                yield (name, key), buffer


def _generator_states(device: torch.device) -> dict[torch.device, Tensor]:
    return {each: _generator_state(each) for each in dict.fromkeys((torch.device("cpu"), device))}


def _generator_state(device: torch.device) -> Tensor:
    return torch.get_rng_state() if device.type == "cpu" else torch.get_device_module(device).get_rng_state(device)


def _set_generator_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cpu":
        torch.set_rng_state(state)
    else:
        torch.get_device_module(device).set_rng_state(state, device)
