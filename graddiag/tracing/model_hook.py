"""Hooks on the user's model and its parameters: left behind by copies, silent where torch.compile traces them."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from graddiag.tracing.compiled import passed_over, run_as_without_hooks, uncompiled


class LeftBehind:
    """A hook in whose place a copy or pickle of the model holds a function of Python's own, which does nothing, so that
    it loads where graddiag is not installed."""

    __torch_unserializable__ = True  # what torch asks of a hook of a tensor, else it warns of a copy

    def __deepcopy__(self, memo: Any) -> Callable[..., None]:
        return nullcontext().__exit__

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (nullcontext(), "__exit__")


class ModelHook(LeftBehind):
    """Calls ``action(*names, *given)``, as a forward hook or as a hook of a parameter; a copy of the model has none.

    Where torch.compile traces the hook it does nothing and ``traced`` becomes True: the compiled code is that of the
    model without hooks.
    """

    def __init__(self, action: Callable[..., None], *names: Any) -> None:
        self._action = action
        self._names = names
        self.traced = False

    @uncompiled
    def __call__(self, *given: Any) -> None:
        if torch.compiler.is_dynamo_compiling():
            self.traced = True
            return
        self._action(*self._names, *given)


class BeforeForward(ModelHook):
    """Likewise, called before the forward of a module, which torch.compile then treats as if it had no hooks."""

    @passed_over
    def __call__(self, module: nn.Module, *given: Any) -> None:
        if torch.compiler.is_dynamo_compiling():
            self.traced = True
            return
        run_as_without_hooks(module, ModelHook)
        super().__call__(module, *given)


def no_action(*_: Any) -> None:
    """The action of a hook that is there for what ``BeforeForward`` does besides."""


def is_transformed() -> bool:
    """Whether a transformation of torch.func (vmap, grad, jvp) is running: tensors have no data there."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def compiled_something() -> bool:
    """Whether torch.compile has compiled anything in this process: what it has compiled before runs without hooks."""
    dynamo = sys.modules.get("torch._dynamo.utils")
    return dynamo is not None and any(dynamo.counters.values())
