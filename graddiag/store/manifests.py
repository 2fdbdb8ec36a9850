"""``manifest.json``: what a run is, read and written."""

import json
import math
import os
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from graddiag import schema
from graddiag.errors import RunFormatError
from graddiag.processes import has_ended
from graddiag.run import RunManifest
from graddiag.store.annotations import annotated
from graddiag.store.files import MANIFEST, read_file, replace_text

_EXPECTED = "Expected a JSON object as graddiag writes it; was the folder copied or edited while it was being written?"


def read_manifest(folder: Path) -> RunManifest:
    """The manifest of a run folder, with the tags and notes that people have given the run since.

    A run whose process was killed could not write how it ended; where that is known, it reads as interrupted.

    Raises:
        RunFormatError: ``folder`` is not a run, its manifest is damaged, or its schema is not one this graddiag reads.
    """
    path = folder / MANIFEST
    try:
        found = read_file(path)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise _not_a_run(folder, error) from error
    try:
        content = json.loads(found)
    except ValueError as error:
        raise RunFormatError(f"{path} is damaged: {error} ({len(found)} bytes). {_EXPECTED}") from error
    except RecursionError as error:
        raise RunFormatError(f"{path} is damaged: it is nested too deeply. {_EXPECTED}") from error
    if not isinstance(content, dict):
        raise RunFormatError(f"{path} is damaged: found a JSON {type(content).__name__}. {_EXPECTED}")
    _check_version(path, content.get("schema_version"))
    try:
        return as_left(annotated(RunManifest.model_validate_json(found), folder))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RunFormatError(f"{path} is damaged: {first['msg']} at {place!r}. {_EXPECTED}") from error


def as_left(manifest: RunManifest) -> RunManifest:
    """The manifest with the status that it has by now: interrupted once the process that wrote the run is gone."""
    if manifest.status == "running" and has_ended(manifest.writer):
        return manifest.model_copy(update={"status": "interrupted"})
    return manifest


def write_manifest(folder: Path, manifest: RunManifest) -> None:
    replace_text(folder / MANIFEST, json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: numbers, text, lists and objects as they are; NaN, inf and all else as text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    return plain(str(value))


def _not_a_run(folder: Path, error: OSError | ValueError) -> RunFormatError:
    if isinstance(error, PermissionError):
        return RunFormatError(f"{folder} cannot be read: {error.strerror}. Ask its owner for the right to read it.")
    if not os.path.exists(folder):  # unlike Path.exists it takes names that no folder can have
        found = "there is no such folder"
    elif not os.path.isdir(folder):
        found = "it is a file"
    else:
        found = f"it lacks {MANIFEST} ({getattr(error, 'strerror', None) or error})"
    return RunFormatError(
        f"{folder} is not a run: {found}. `graddiag list --root FOLDER` shows the runs under a folder."
    )


def _check_version(path: Path, version: Any) -> None:
    if isinstance(version, int) and schema.OLDEST_READABLE_SCHEMA <= version <= schema.SCHEMA_VERSION:
        return
    raise RunFormatError(
        f"{path} says schema {version!r}; this graddiag reads {schema.OLDEST_READABLE_SCHEMA} to "
        f"{schema.SCHEMA_VERSION}. Install the graddiag that wrote it, or a newer one."
    )
