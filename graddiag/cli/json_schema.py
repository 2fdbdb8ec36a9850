"""JSON schemas of what ``graddiag diagnose``, ``list`` and ``compare`` print with --json, from the types of results."""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import IntEnum
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NUMBER: Final = "Number"
_DEFS: Final = {
    _NUMBER: {
        "description": "A number; NaN and inf are these strings.",
        "anyOf": [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}],
    }
}
_PLAIN: Final[Mapping[Any, Mapping[str, Any]]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"$ref": f"#/$defs/{_NUMBER}"},
    types.NoneType: {"type": "null"},
    Any: {},
}

Schema = dict[str, Any]


def schema_of(name: str) -> Schema:
    """The schema of the JSON of a command, by its name in ``SCHEMAS``."""
    return SCHEMAS[name]()


def _diagnose() -> Schema:
    from graddiag.analysis import Diagnosis

    return _document("graddiag diagnose --json", {"type": "array", "items": _reference(Diagnosis)}, Diagnosis)


def _compare() -> Schema:
    from graddiag.analysis import Comparison

    return _document("graddiag compare --json", _reference(Comparison), Comparison)


def _list() -> Schema:
    from graddiag.overview import RUN_LIST_DTYPES

    kinds = {"string": str, "int64": int, "float64": float}
    columns = {name: _optional(_PLAIN[kinds[dtype]]) for name, dtype in RUN_LIST_DTYPES.items()}
    row = {"type": "object", "properties": columns, "required": list(columns), "additionalProperties": False}
    return _document("graddiag list --json", {"type": "array", "items": row})


SCHEMAS: Final[Mapping[str, Callable[[], Schema]]] = {"diagnose": _diagnose, "list": _list, "compare": _compare}


def _document(title: str, root: Schema, first: type | None = None) -> Schema:
    """A schema with the definition of every class that ``first`` leads to."""
    found: dict[type, Schema] = {}
    waiting = [] if first is None else [first]
    while waiting:
        cls = waiting.pop()
        if cls not in found:
            found[cls] = _object(cls)
            waiting += _classes(cls)
    definitions = {cls.__name__: each for cls, each in sorted(found.items(), key=lambda each: each[0].__name__)}
    return {"$schema": DIALECT, "title": title, **root, "$defs": {**_DEFS, **definitions}}


def _object(cls: type) -> Schema:
    """A dataclass: its fields, all of them there, and what its docstring says."""
    hints = get_type_hints(cls)
    names = [each.name for each in fields(cls)]
    about = " ".join((inspect.getdoc(cls) or "").split())
    properties = {name: _kind(hints[name]) for name in names}
    return {
        "description": about,
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": False,
    }


def _classes(cls: type) -> list[type]:
    """The dataclasses that the fields of ``cls`` hold."""
    hints = get_type_hints(cls)
    waiting, found = [hints[each.name] for each in fields(cls)], []
    while waiting:
        hint = waiting.pop()
        waiting += get_args(hint)
        if isinstance(hint, type) and is_dataclass(hint):
            found.append(hint)
    return found


def _kind(hint: Any) -> Schema:
    """The schema of a type, as ``analysis.values.to_plain`` writes its values."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _PLAIN:
        return dict(_PLAIN[hint])
    if origin in (Union, types.UnionType):
        return {"anyOf": [_kind(each) for each in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if isinstance(origin, type):
        return _container(origin, arguments)
    if is_dataclass(hint):
        return _reference(hint)
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return {"enum": [each.name.lower() for each in hint]}
    raise TypeError(f"no JSON schema of {hint}")


def _container(origin: type, arguments: Sequence[Any]) -> Schema:
    """A mapping by text, a tuple of fixed length, or a list; an array is a list of whatever it holds."""
    if origin.__name__ == "ndarray":
        return {"type": "array"}
    if issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _kind(arguments[1])}
    if issubclass(origin, tuple) and arguments[-1:] != (...,):
        items = [_kind(each) for each in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    return {"type": "array", "items": _kind(arguments[0])}


def _reference(cls: Any) -> Schema:
    return {"$ref": f"#/$defs/{cls.__name__}"}


def _optional(kind: Mapping[str, Any]) -> Schema:
    return {"anyOf": [dict(kind), dict(_PLAIN[types.NoneType])]}
