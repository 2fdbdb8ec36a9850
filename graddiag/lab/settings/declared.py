"""What is declared of a setting beside its type and range: where it is shown, and under which name it was known.

Each setting is a pydantic field with a ``description``. The options of the command line, the Lab's form, refusals and
the tables of the manual are made from it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from graddiag.errors import SettingError


@dataclass(frozen=True)
class Shown:
    """How a setting is shown, as metadata of its field.

    Attributes:
        label: in the Lab's form; empty where the form leaves it out.
        most: the most that the form offers.
        metavar: of its option, instead of its type.
        default: what happens where it is left out, where the field's own default does not say it.
        former: the name that it had; it is still read.
    """

    label: str = ""
    most: int | None = None
    metavar: str | None = None
    default: str | None = None
    former: str | None = None


@dataclass(frozen=True)
class Setting:
    """One setting: its name, its field, and how it is shown."""

    name: str
    field: FieldInfo
    shown: Shown

    @property
    def option(self) -> str:
        """Its option of the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def help(self) -> str:
        return self.field.description or ""

    @property
    def type(self) -> Any:
        """Its type without None: bool, int, float, Path, or str where there is a choice of words."""
        kinds = [kind for kind in get_args(self.field.annotation) if kind is not type(None)]
        kind = kinds[0] if type(None) in get_args(self.field.annotation) else self.field.annotation
        return str if get_origin(kind) is Literal else kind

    @property
    def default(self) -> str:
        """In words: what it is, or what happens, where it is left out; without what depends on the task."""
        if self.shown.default is not None:
            return self.shown.default
        if self.field.is_required():
            return ""
        value = self.field.default
        return "none" if value is None else ("off", "on")[value] if isinstance(value, bool) else str(value)


def declared(model: type[BaseModel]) -> Iterator[Setting]:
    """The settings of ``model`` in the order of its fields."""
    for name, field in model.model_fields.items():
        shown = next((each for each in field.metadata if isinstance(each, Shown)), Shown())
        yield Setting(name, field, shown)


def former_names(model: type[BaseModel]) -> dict[str, str]:
    """The name that each renamed setting has now, by the one that it had."""
    return {each.shown.former: each.name for each in declared(model) if each.shown.former}


def with_present_names(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` with the name that each setting has now; one under its former name wins."""
    former = former_names(model)
    renamed = {former[name]: value for name, value in given.items() if name in former}
    return {**{name: value for name, value in given.items() if name not in former}, **renamed}


M = TypeVar("M", bound=BaseModel)


def checked(model: type[M], given: Mapping[str, Any], of: str) -> M:
    """The settings ``given`` as a ``model``; ``of`` is what they are settings of, in a refusal.

    Raises:
        SettingError: the first thing wrong, as one sentence that names the setting.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _refusal(model, error, of) from None


_ALLOWED: Final = {
    "dict_type": "it has to be a table",
    "list_type": "it has to be a list",
    "tuple_type": "it has to be a list",
}


def _refusal(model: type[BaseModel], error: ValidationError, of: str) -> SettingError:
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SettingError):
        return cause
    key = tuple(str(part) for part in first["loc"])
    name = ".".join(key)
    if first["type"] == "extra_forbidden":
        fields = _at(model, key[:-1]).model_fields
        near = get_close_matches(key[-1], fields, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        table = f"the table {'.'.join(key[:-1])} of " if key[1:] else ""
        return SettingError(f"{name}: no setting of {table}{of}; these are: {', '.join(fields)}.{meant}", key)
    if first["type"] == "missing":
        return SettingError(f"{name}: it is missing; {of} needs it.", key)
    allowed = _ALLOWED.get(first["type"], f"{first['msg'][0].lower()}{first['msg'][1:]}")
    return SettingError(f"{name} {first['input']!r} cannot be used: {allowed}.", key)


def _at(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    """The model of the settings at ``path`` within those of ``model``."""
    for name in path:
        given = model.model_fields[name].annotation
        model = next(
            kind for kind in (given, *get_args(given)) if isinstance(kind, type) and issubclass(kind, BaseModel)
        )
    return model
