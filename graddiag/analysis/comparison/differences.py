"""What differs in the settings of runs that are compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graddiag import schema
from graddiag.run import RunManifest

_FIELDS: Final = (schema.TASK, schema.MODEL, schema.CLIP, "loss_reduction", "every", "graddiag_version")
_NESTED: Final = ("config", "versions")

# what tells the runs of one arm apart, or goes by another name, is no difference between arms
_EXPECTED: Final = frozenset({"config.seed", "config.clip", "config.command"})


@dataclass(frozen=True)
class Difference:
    """A setting that is not the same in all arms: its name, and its value in each (several, if it varies inside)."""

    key: str
    values: Mapping[str, str]


def differences(runs: Sequence[tuple[str, RunManifest]]) -> tuple[Difference, ...]:
    """The settings, by arm, that are not the same in every arm; a setting that an arm has not is "not set"."""
    settings: dict[str, dict[str, list[str]]] = {}
    arms = list(dict.fromkeys(arm for arm, _ in runs))
    flat = [(arm, dict(_settings(manifest))) for arm, manifest in runs]
    for key in dict.fromkeys(key for _, values in flat for key in values):
        found: dict[str, list[str]] = {arm: [] for arm in arms}
        for arm, values in flat:
            found[arm].append(values.get(key, "not set"))
        settings[key] = found
    return tuple(
        Difference(key, {arm: ", ".join(dict.fromkeys(values)) for arm, values in found.items()})
        for key, found in settings.items()
        if key not in _EXPECTED and len({frozenset(values) for values in found.values()}) > 1
    )


def _settings(manifest: RunManifest) -> Iterator[tuple[str, str]]:
    for name in _FIELDS:
        value = getattr(manifest, name)
        yield name, "not set" if value is None else str(value)
    for name in _NESTED:
        yield from _flattened(name, getattr(manifest, name))


def _flattened(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}.{key}"
        if isinstance(value, Mapping):
            yield from _flattened(name, value)
        else:
            yield name, str(value)
