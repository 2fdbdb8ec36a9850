"""What a preset is: settings with defaults, what they become for a quick look, and a function that summarizes it.

The settings are read from a TOML file, from ``KEY=VALUE`` on the command line, or left as they are; ``written`` gives
them back as TOML, with a comment on each, to be edited and run again.
"""

import hashlib
import re
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, get_args

import tomlkit
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from graddiag.errors import InputError, SettingError
from graddiag.lab.settings.declared import checked
from graddiag.lab.sweeps import SweepSpec
from graddiag.presets.bench import Bench
from graddiag.presets.catalogue import CatalogueEntry, entry
from graddiag.report.content import ReportPart

LARGEST: Final[Mapping[type, float]] = {int: 2**63 - 1, float: 3.4e38}  # what int64 and float32 hold
_PRESET = "preset"
_LONGEST: Final = 40  # characters of settings in a folder's name
_PLAIN: Final = re.compile(r"[\w=.,+-]*", re.ASCII)  # what two folders can be told apart by


class Settings(BaseModel):
    """The settings of a preset: fields with defaults, each described in one sentence.

    Numbers are finite and such as torch can hold, and a value that a list has twice counts once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _held(cls, value: Any, info: ValidationInfo) -> Any:
        for each in value if isinstance(value, tuple) else (value,):
            largest = LARGEST.get(type(each))
            if largest is not None and abs(each) > largest:
                raise SettingError(
                    f"{info.field_name} {each}: it is beyond {largest:.3g}, the largest that torch can hold."
                )
        return tuple(dict.fromkeys(value)) if isinstance(value, tuple) else value


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class PresetSummary:
    """What a preset has found.

    Attributes:
        seen: sentences that say what was seen, with the numbers that were measured; the first says the most.
        parts: the pictures and tables that show it.
        runs: folders of the runs it recorded.
    """

    seen: tuple[str, ...]
    parts: tuple[ReportPart, ...]
    runs: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Preset(Generic[S]):
    """A preset.

    Attributes:
        settings: their type.
        quick: what is changed of them for a look that takes seconds.
        summarize: trains or computes on the bench with the settings, and summarizes what was found.
        sweeps: the experiments it trains, as specs for ``graddiag sweep``; None where its trainings are no sweep.
    """

    settings: type[S]
    quick: Mapping[str, Any]
    summarize: Callable[[S, Bench], PresetSummary]
    sweeps: Callable[[S], Sequence[SweepSpec]] | None = None


def settings_of(preset: Preset[S], given: Mapping[str, Any], *, quick: bool = False) -> S:
    """The settings of ``preset``: its defaults, the quick ones if they are asked for, and over these what is given.

    An empty text is None, for a setting that can be.

    Raises:
        SettingError: a key that is unknown, or a value that cannot be meant; the key is named.
    """
    merged = {**(preset.quick if quick else {}), **{key.replace("-", "_"): value for key, value in given.items()}}
    fields = preset.settings.model_fields
    empty = {key for key, value in merged.items() if value == "" and key in fields and _may_be_none(fields[key])}
    return checked(preset.settings, {**merged, **dict.fromkeys(empty)}, "this preset")


def assigned(preset: Preset[Any], texts: Sequence[str]) -> dict[str, Any]:
    """Settings out of ``KEY=VALUE`` texts; a setting that is a list takes values with commas between them.

    Spaces around a value go, but for a setting that is a text itself.

    Raises:
        SettingError: a text without ``=``.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, is_there, value = text.partition("=")
        if not is_there or not key.strip():
            raise SettingError(f"set {text!r}: write KEY=VALUE, for example steps=1000.")
        name = key.strip().replace("-", "_")
        found[name] = _value(preset.settings.model_fields.get(name), value)
    return found


def swept(preset: Preset[Any], texts: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """Every combination of the values that ``KEY=VALUE`` texts give; a key that comes several times has several values.

    Without texts it is one combination, of nothing.

    Raises:
        SettingError: a text without ``=``.
    """
    values: dict[str, list[Any]] = {}
    for text in texts:
        for key, value in assigned(preset, [text]).items():
            values.setdefault(key, []).append(value)
    return tuple(dict(zip(values, each, strict=True)) for each in product(*values.values()))


def labelled(variant: Mapping[str, Any]) -> str:
    """A combination in a word that can be part of a folder's name: ``-bias=minus3``; nothing for one of nothing."""
    parts = (
        f"-{key}={','.join(map(str, value)) if isinstance(value, list) else value}" for key, value in variant.items()
    )
    return re.sub(r"(?<=[=,])-", "minus", "".join(parts))


def settings_label(preset: Preset[Any], settings: Settings, *, quick: bool, swept: Collection[str] = ()) -> str:
    """How ``settings`` differ from the preset's own, or its quick ones, in a folder's name: ``-steps=30``.

    It is a hash where that would be long, or a text such as a path is among it; nothing where nothing differs.

    Args:
        swept: settings that are left out, as the name of a variant has them.
    """
    own, given = (each.model_dump(mode="json") for each in (settings_of(preset, {}, quick=quick), settings))
    label = labelled({key: value for key, value in given.items() if value != own[key] and key not in swept})
    if len(label) <= _LONGEST and _PLAIN.fullmatch(label):
        return label
    return f"-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def read(path: Path) -> tuple[str, dict[str, Any]]:
    """The name of the preset and the settings in a TOML file.

    Raises:
        InputError: the file cannot be read, is not TOML, or does not say which preset it is of.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"preset {path}: it cannot be read ({error}); give a name or a TOML file.") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"preset {path}: it is not TOML ({error}).") from error
    name = given.pop(_PRESET, None)
    if not isinstance(name, str):
        raise InputError(f"preset {path}: it has to say which one it is of: {_PRESET} = NAME.")
    return name, given


def written(name: str, settings: Settings) -> str:
    """``settings`` as TOML, each under a comment that says what it is; one that is None is a comment itself."""
    document = tomlkit.document()
    for line in _head(entry(name)):
        document.add(tomlkit.comment(line))
    document.add(_PRESET, tomlkit.item(name))
    values = settings.model_dump(mode="json")
    for key, field in type(settings).model_fields.items():
        document.add(tomlkit.nl())
        document.add(tomlkit.comment(field.description or key))
        if values[key] is None and field.default is None:
            document.add(tomlkit.comment(f"{key} = ..."))
        else:
            document.add(key, tomlkit.item("" if values[key] is None else values[key]))
    return tomlkit.dumps(document)


def sweeps_written(specs: Sequence[SweepSpec]) -> tuple[str, ...]:
    """Each of ``specs`` as the TOML that ``graddiag sweep`` reads."""
    return tuple(tomlkit.dumps(spec.model_dump(mode="json", exclude_defaults=True)) for spec in specs)


def _value(field: FieldInfo | None, text: str) -> Any:
    if field is not None and isinstance(field.default, tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text if field is not None and field.annotation is str else text.strip()


def _may_be_none(field: FieldInfo) -> bool:
    return type(None) in get_args(field.annotation)


def _head(about: CatalogueEntry) -> tuple[str, ...]:
    return (about.about, f"Source: {about.source}", f"Run it: graddiag lab FILE.toml, or graddiag lab {about.name}")
