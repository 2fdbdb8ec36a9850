"""The forward of one module with something done before and after it, also where it is called by its name."""

import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import nn

Enter = Callable[[tuple[Any, ...], dict[str, Any]], None]
Leave = Callable[[Any], None]


class FollowedForward:
    """Replaces ``module.forward`` until ``remove``: hooks of torch are not called by ``cell.forward(x, h)``.

    enter: called with the arguments; leave: with the result, or None where the call failed. traced: torch.compile has
    taken a call, which runs neither. Copies and pickles of the
    module are left with its plain method, which needs no graddiag.
    """

    def __init__(self, module: nn.Module, enter: Enter, leave: Leave) -> None:
        self._module = module
        self._original = module.forward
        self._enter: Enter | None = enter
        self._leave = leave
        self.traced = False
        self.__signature__ = inspect.signature(module.forward)
        vars(module)["forward"] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            self.traced = True
            return self._original(*args, **kwargs)
        if self._enter is None:
            return self._original(*args, **kwargs)
        self._enter(args, kwargs)
        output = None
        try:
            output = self._original(*args, **kwargs)
        finally:
            self._leave(output)
        return output

    def remove(self) -> None:
        """Gives the module its method back; where somebody else wrapped it meanwhile, only does nothing any more."""
        self._enter = None
        if vars(self._module).get("forward") is not self:
            return
        if is_plain(self._original, self._module):
            del vars(self._module)["forward"]
        else:
            vars(self._module)["forward"] = self._original

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[nn.Module, str]]:
        # while the module is made anew it has the method of its class alone
        return getattr, (self._module, "forward")


def is_plain(forward: Any, module: nn.Module) -> bool:
    """Whether ``forward`` is the method of the class of ``module``, or replaces it."""
    if isinstance(forward, FollowedForward):
        return True
    return isinstance(forward, MethodType) and forward.__func__ is type(module).forward and forward.__self__ is module
