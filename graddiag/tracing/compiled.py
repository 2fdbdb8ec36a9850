"""What of graddiag torch.compile leaves alone, and how a module with its hooks runs as it would without them.

torch.compile compiles each function that Python calls between its compiled parts, hooks included. A layer at which it
stops (``nn.LSTM``, ``nn.GRU``, ``nn.RNN``) runs as ever there, and is recorded if its hooks do, too.
"""

import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final, TypeVar, cast

import torch
from torch import nn

_BUILT_IN: Final = ("torch.nn.", "torch.ao.")  # torch.compile takes their forward where they have hooks alone
_HOOKS: Final = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

AnyCallable = TypeVar("AnyCallable", bound=Callable[..., Any])


def _frames() -> Any:
    """What torch knows of the functions that are about to run; None in a version of torch that has none of it."""
    found = getattr(getattr(torch._C, "_dynamo", None), "eval_frame", None)
    needed = ("_FrameAction", "_FrameExecStrategy", "set_code_exec_strategy", "get_eval_frame_callback")
    return found if all(hasattr(found, name) for name in needed) else None


_FRAMES: Final = _frames()
records_layers: Final = _FRAMES is not None
"""Whether layers at which torch.compile stops are recorded."""


def uncompiled(function: AnyCallable) -> AnyCallable:
    """Marks a function: where Python calls it, torch.compile compiles neither it nor what it calls. In code that is
    compiled whole it is traced nevertheless: ask ``torch.compiler.is_dynamo_compiling`` there."""
    return _marked(function, inside=True)


def passed_over(function: AnyCallable) -> AnyCallable:
    """Marks a function likewise, but not what it calls."""
    return _marked(function, inside=False)


def _marked(function: AnyCallable, *, inside: bool) -> AnyCallable:
    if _FRAMES is not None:
        action = _FRAMES._FrameAction
        strategy = _FRAMES._FrameExecStrategy(action.SKIP, action.SKIP if inside else action.DEFAULT)
        _FRAMES.set_code_exec_strategy(cast(FunctionType, function).__code__, strategy)
    return function


@passed_over
def run_as_without_hooks(module: nn.Module, own: type) -> None:
    """Before ``module`` runs between compiled parts: its forward is not compiled only because it has hooks of the type
    ``own``, which are graddiag's; the last bits of its gradients would be others."""
    if _FRAMES is not None and callable(_FRAMES.get_eval_frame_callback()):
        _pass_over_forward(module, own)


@uncompiled
def _pass_over_forward(module: nn.Module, own: type) -> None:
    kind = type(module)
    hooks = (each for name in _HOOKS for each in vars(module)[name].values())
    if kind.__module__.startswith(_BUILT_IN) and all(isinstance(each, own) for each in hooks):
        passed_over(kind.forward)


def stops_at_layers() -> bool:
    """Whether torch.compile stops at the recurrent layers of torch.nn: it does unless its ``allow_rnn`` is set."""
    config = sys.modules.get("torch._dynamo.config")
    return not getattr(config, "allow_rnn", False)
