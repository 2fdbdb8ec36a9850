"""Where a public name is defined, read from the sources without importing them."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
_LAZY: Final = ("graddiag", "graddiag.clipping", "graddiag.lab")  # their __all__ is computed; importing them is cheap


@dataclass(frozen=True)
class Definition:
    """``home`` is the full name of a function, class or constant where it is defined; ``text`` its value, if text."""

    home: str
    is_function: bool
    text: str | None = None


@cache
def source_of(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def public_names(module: str) -> list[str]:
    """What a module offers: its ``__all__``; without one, what it defines or, for the schema, takes from its files."""
    if module in _LAZY:
        return [name for name in import_module(module).__all__ if name in _members(module)]
    for node in source_of(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    offered = _members(module).items() if module == "graddiag.schema" else _defined(module)
    return [name for name, each in offered if not name.startswith("_") and _own(module, each)]


def _own(module: str, found: "Definition | tuple[str, str]") -> bool:
    return isinstance(found, Definition) or found[0].startswith(f"{module}.")


def definition(module: str, name: str) -> Definition:
    """The definition of a name that ``module`` has, wherever it was imported from.

    Raises:
        KeyError: it has none of that name.
    """
    found = _members(module)[name]
    return found if isinstance(found, Definition) else definition(*found)


@cache
def _members(module: str) -> Mapping[str, Definition | tuple[str, str]]:
    """What a module defines, and for what it imports from graddiag the module and the name there."""
    found: dict[str, Definition | tuple[str, str]] = {}
    for node in ast.walk(source_of(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("graddiag."):
            for each in node.names:
                if each.name == "*":
                    found |= dict(_defined(node.module or ""))
                else:
                    found[each.asname or each.name] = (node.module or "", each.name)
    return found | dict(_defined(module))


def _defined(module: str) -> Iterator[tuple[str, Definition]]:
    for node in source_of(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, Definition(f"{module}.{node.name}", isinstance(node, ast.FunctionDef))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and not target.id.startswith("__"):
                text = node.value.value if isinstance(node.value, ast.Constant) else None
                yield target.id, Definition(f"{module}.{target.id}", False, text if isinstance(text, str) else None)
