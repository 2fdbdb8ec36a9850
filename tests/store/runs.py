"""Small runs for the tests of what reads and writes them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from graddiag.run import RunManifest
from graddiag.store import RunWriter

NAN, INF = float("nan"), float("inf")


def manifest(name: str = "a run", **changes: Any) -> RunManifest:
    created = datetime(2024, 5, 17, 12, 0, tzinfo=UTC)
    return RunManifest(**{"graddiag_version": "0.1.0", "id": "0", "name": name, "created": created} | changes)


def layer_rows(step: int, timesteps: int = 4, **columns: Any) -> dict[str, Any]:
    """Rows of the timesteps table for one layer at one step; dL/dh_t is step + t / 10."""
    keys = {"step": step, "module": "lstm", "layer": 0, "direction": "forward", "call": 0}
    grad_h = step + np.arange(timesteps, dtype=np.float32) / 10
    return {**keys, "timestep": np.arange(timesteps), "grad_h": grad_h, **columns}


def gate_rows(step: int, timesteps: int = 2) -> dict[str, Any]:
    rows = layer_rows(step, timesteps)
    del rows["grad_h"]
    gates = ["i", "f", "g", "o"] * timesteps
    return {**rows, "timestep": np.repeat(np.arange(timesteps), 4), "gate": gates, "mean": np.full(4 * timesteps, 0.5)}


def write_run(root: Path, steps: int = 5, *, part_steps: int = 2, **changes: Any) -> Path:
    """A finished run of ``steps`` steps in parts of ``part_steps``; loss is 10 - step."""
    with RunWriter(root, manifest(**changes), part_steps=part_steps, part_seconds=3600) as writer:
        for step in range(steps):
            writer.append("steps", {"step": step, "loss": 10.0 - step, "grad_norm": 1.0})
            writer.append("timesteps", layer_rows(step))
            writer.append("gates", gate_rows(step))
    return writer.path
