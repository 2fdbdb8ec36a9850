"""``watch(cells=...)``: which modules of a model are followed, in the forms in which a user says it."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, cast

import torch
from torch import nn

from graddiag.errors import SettingError, UnsupportedError
from graddiag.tracing.custom.cell_call import CellCall, CellForm, Place, form_of
from graddiag.tracing.custom.forward import is_plain

CellChoice = nn.Module | type[nn.Module] | str
Cells = CellChoice | Iterable[CellChoice] | Mapping[Any, CellCall | Place | tuple[Place, ...] | None]
"""A module, its qualified name (``*`` matches), its class, several of them, or a mapping of them to a CellCall."""


def followed_cells(model: nn.Module, cells: Cells | None) -> dict[str, CellForm]:
    """The modules of ``model`` that ``cells`` names, by qualified name, with where their calls have the state.

    Raises:
        SettingError: no module of the model is meant, or its forward has no such argument.
        UnsupportedError: a module cannot be called again, as it is compiled or scripted.
    """
    found: dict[str, CellForm] = {}
    for cell, call in _pairs(cells):
        for name, module in _modules(model, cell):
            _check(name, module)
            found[name] = form_of(name, module, call)
    return found


def _pairs(cells: Cells | None) -> list[tuple[Any, CellCall]]:
    if cells is None:
        return []
    if isinstance(cells, nn.Module | type | str):
        return [(cells, CellCall())]
    if isinstance(cells, Mapping):
        return [(cell, _call(cell, value)) for cell, value in cells.items()]
    try:
        return [(cell, CellCall()) for cell in cells]
    except TypeError:
        raise _not_a_cell(cells) from None


def _call(cell: Any, value: Any) -> CellCall:
    """What a mapping says of a cell: a CellCall, or the argument that holds the state alone."""
    if value is None or isinstance(value, CellCall):
        return value or CellCall()
    if isinstance(value, str | tuple) or (isinstance(value, int) and not isinstance(value, bool)):
        return CellCall(state=value)
    raise SettingError(
        f"watch(cells={{{cell!r}: {value!r}}}): it says where the state is: give the name of the argument, or "
        "graddiag.CellCall(state=..., result=...)."
    )


def _modules(model: nn.Module, cell: Any) -> list[tuple[str, nn.Module]]:
    named = list(model.named_modules())
    if isinstance(cell, str):
        found = [(name, module) for name, module in named if name == cell or fnmatchcase(name, cell)]
    elif isinstance(cell, type) and issubclass(cell, nn.Module):
        found = [(name, module) for name, module in named if isinstance(module, cell)]
    elif isinstance(cell, nn.Module):
        found = [(name, module) for name, module in named if module is cell]
    else:
        raise _not_a_cell(cell)
    if not found:
        what = repr(cell) if isinstance(cell, str) else cell.__name__ if isinstance(cell, type) else type(cell).__name__
        names = ", ".join(repr(name) for name, _ in named[1:9]) + (", ..." if len(named) > 9 else "")
        raise SettingError(
            f"watch(cells={what}): the model {type(model).__name__} holds no such module. Its modules: "
            f"{names or 'only itself'}. Watch the model that the cell belongs to, or name one of these."
        )
    return found


def _check(name: str, module: nn.Module) -> None:
    scripted = isinstance(module, torch.jit.ScriptModule)
    compiled = hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
    if scripted or compiled:
        how = "scripted" if scripted else "compiled"
        raise UnsupportedError(
            f"watch(cells=...): {name or '(model)'!r} ({type(module).__name__}) is {how}, and graddiag calls a cell "
            f"again to measure it. Follow the module that it was made from, or use recorder.tap on its state."
        )
    if not is_plain(module.forward, module):
        raise UnsupportedError(
            f"watch(cells=...): the forward of {name or '(model)'!r} ({type(module).__name__}) was replaced on the "
            "object, so a copy of it cannot be called. Replace it in a subclass, or use recorder.tap on its state."
        )


def _not_a_cell(cell: Any) -> SettingError:
    return SettingError(
        f"watch(cells={cast(object, cell)!r}): give a module of the model, its name, its class, a list of these, or a "
        "mapping of them to graddiag.CellCall(state=..., result=...)."
    )
