"""What of a model graddiag does not follow by itself, although it looks recurrent: named before a training begins."""

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

import torch
from torch import nn

from graddiag.tracing.hooks import recurrent_modules

_NAMES: Final = re.compile(r"RNN|Rnn|LSTM|Lstm|GRU|Gru|CfC|Cfc|LTC|Ltc|Recurrent|Cell$|(^|[a-z])Cell")
_OPERATIONS: Final = re.compile(r"\b(?:aten::|aten\.)?(?:quantized_)?(lstm|gru|rnn_tanh|rnn_relu)(?:_cell)?\b")


def unfollowed_parts(model: nn.Module, followed: Collection[str] = ()) -> dict[str, str]:
    """Modules that look recurrent and are not followed, by qualified name, with the reason.

    Named are scripted, traced, exported and quantized parts that hold an LSTM, GRU or RNN, and classes whose name says
    that they are recurrent and that hold none of torch's layers and none of the modules ``followed``: the innermost of
    these. The model itself is not judged by its name: its loop may call ``recorder.tap``.
    """
    known = _with_ancestors(model, {*recurrent_modules(model), *followed})
    special: dict[str, str] = {}
    named: dict[str, str] = {}
    for name, module in model.named_modules():
        if any(name == each or name.startswith(f"{each}.") for each in (*followed, *special) if each):
            continue
        if (reason := _special(module)) is not None:
            special[name] = reason
        elif name and name not in known and _looks_recurrent(module):
            named[name] = "its class is none of torch's, so its equations are not known"
    innermost = {name: why for name, why in named.items() if not any(each.startswith(f"{name}.") for each in named)}
    return special | innermost


def described(model: nn.Module, parts: Mapping[str, str]) -> str:
    """The parts in one sentence, at most four by name."""
    modules = dict(model.named_modules())
    named = [f"{name or '(model)'!r} ({type(modules[name]).__name__}: {why})" for name, why in list(parts.items())[:4]]
    more = f" and {len(parts) - 4} more" if len(parts) > 4 else ""
    return "; ".join(named) + more


def _with_ancestors(model: nn.Module, names: Collection[str]) -> set[str]:
    """The names, those of every module that holds one of them, and those of the modules inside them."""
    found: set[str] = set()
    for name in names:
        parts = name.split(".")
        found.update(".".join(parts[:count]) for count in range(len(parts) + 1))
        found.update(f"{name}.{inner}".strip(".") for inner, _ in model.get_submodule(name).named_modules())
    return found


def _special(module: nn.Module) -> str | None:
    """Why the hooks of Python do not follow a recurrent layer in ``module``; None where they do, or there is none."""
    if isinstance(module, torch.jit.ScriptModule):
        how = "traced" if "Traced" in type(module).__name__ else "scripted"
        return (
            f"it is {how}, and runs without Python"
            if any(_OPERATIONS.search(text) for text in _graphs(module))
            else None
        )
    if isinstance(module, torch.fx.GraphModule):
        targets = " ".join(str(node.target) for node in module.graph.nodes if node.op == "call_function")
        return "it is exported, and its layers are single operations" if _OPERATIONS.search(targets) else None
    if ".quantized" in type(module).__module__ and _looks_recurrent(module):
        return "it is quantized, and has no gradient"
    return None


def _graphs(module: torch.jit.ScriptModule) -> Iterator[str]:
    """What ``module`` does, as far as torch tells: a module may have no forward, or several."""
    yield str(getattr(module, "original_name", "")).lower()
    with contextlib.suppress(RuntimeError, AttributeError):
        yield str(module.inlined_graph)


def _looks_recurrent(module: nn.Module) -> bool:
    return _NAMES.search(type(module).__name__) is not None
