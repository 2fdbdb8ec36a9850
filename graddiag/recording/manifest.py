"""The manifest of a run that begins, and the folder that it is written to."""

import operator
import platform
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from graddiag import __version__
from graddiag.errors import SettingError
from graddiag.recording.optimizers import not_updated, optimizer_settings
from graddiag.recording.ranks import announce, announced, rank, withdraw
from graddiag.recording.unwrapping import WatchedOptimizer
from graddiag.run import RunManifest
from graddiag.store import RANKS, ResumePoint, RunWriter, check_same_machine, open_remote_writer, remote_url


def new_manifest(
    module: nn.Module, watched: Sequence[WatchedOptimizer], name: str, every: int, about: Mapping[str, Any]
) -> RunManifest:
    """The manifest of a run of ``module`` that begins now. ``about``: the fields that only the user can fill in."""
    declared = {**about, **not_updated(module, [each.optimizer for each in watched])}
    return RunManifest(
        graddiag_version=__version__,
        id=uuid.uuid4().hex,
        name=name,
        every=every,
        versions=_versions(),
        environment=_environment(module),
        created=datetime.now(UTC),
        optimizer=optimizer_settings(watched),
        **declared,
    )


def open_writer(root: str | Path, manifest: RunManifest, resume: ResumePoint | None = None) -> RunWriter:
    """The run's folder, of a run that is there already where it is to ``resume``; in a distributed training that of
    rank 0, with one for each other rank inside it."""
    name = f"{manifest.experiment or ''}/{manifest.name}"
    if rank() == 0:
        url = remote_url(root)
        writer = RunWriter(root, manifest, resume=resume) if url is None else open_remote_writer(url, manifest, resume)
        key = announce(name, writer.path)
        writer.at_end(lambda: withdraw(key))
        return writer
    own = manifest.model_copy(update={"name": f"rank-{rank()}", "experiment": None})
    folder = announced(name)
    if remote_url(root) is not None:
        check_same_machine(folder, rank())
    return RunWriter(folder / RANKS, own, resume=resume)


def check_intervals(every: int, snapshot_every: int | None) -> None:
    """Raises SettingError for steps that cannot be recorded."""
    if every < 1:
        raise SettingError(f"watch(every={every}): it cannot be below 1 (every step); 10 is every tenth.")
    if snapshot_every is not None and (snapshot_every < 1 or snapshot_every % every):
        raise SettingError(
            f"watch(snapshot_every={snapshot_every}, every={every}): snapshots are taken at recorded steps; give a "
            f"multiple of {every}, {100 * every} for example, or None for no snapshots."
        )


def checked_seed(seed: int | None) -> int | None:
    """``seed`` as an int.

    Raises:
        SettingError: it is no whole number, or none that torch could be seeded with.
    """
    try:
        found = None if seed is None else operator.index(seed)
    except TypeError as error:
        raise SettingError(f"watch(seed={seed!r}): a seed is a whole number; leave it out if there is none.") from error
    if found is not None and not -(1 << 63) <= found < 1 << 64:
        raise SettingError(f"watch(seed={_short(found)}): a seed of torch lies between -2^63 and 2^64 - 1.")
    return found


def _short(number: int) -> str:
    return hex(number) if number.bit_length() < 200 else f"a number of {number.bit_length()} bits"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "graddiag": __version__, "torch": torch.__version__}
    return found | {package: version(package) for package in ("numpy", "pandas", "pyarrow")}


def _environment(module: nn.Module) -> dict[str, str]:
    dtypes = dict.fromkeys(str(parameter.dtype).removeprefix("torch.") for parameter in module.parameters())
    return {
        "system": platform.system(),
        "device": _device(module),
        "dtype": ", ".join(dtypes),
        "threads": str(torch.get_num_threads()),
    }


def _device(module: nn.Module) -> str:
    parameter = next(module.parameters(), None)
    return "cpu" if parameter is None else parameter.device.type
