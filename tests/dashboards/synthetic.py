"""Runs written by hand for the dashboard's tests: one plain pair, and runs as awkward as they come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from graddiag import schema
from graddiag.run import RunManifest
from graddiag.store import RunWriter

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "$x$ :red[y] **bold** <b>b</b>",
)


@dataclass(frozen=True)
class Made:
    """A run to write: ``ratio`` is what one timestep back does to the gradient, ``norm`` that before clipping at
    step 0, ``growth`` the share of it that the gradients of timesteps gain each step, ``loss`` that of step 0, ``day``
    when it was created, ``config`` what its configuration holds besides."""

    name: str
    experiment: str | None = None
    arm: str | None = None
    seed: int | None = 0
    clip: str | None = "none"
    steps: int = 12
    timesteps: int = 10
    ratio: float = 0.8
    norm: float = 2.0
    broken_from: int | None = None
    broken: float = float("nan")
    traced: bool = True
    status: schema.Status = "finished"
    notes: str = ""
    task: str = "text"
    module: str = "lstm"
    growth: float = 0.0
    loss: float = 3.0
    day: int = 1
    config: Mapping[str, Any] = field(default_factory=dict)
    hostile: bool = False  # whether all the text that a user or a program gives a run is hostile


def manifest(made: Made) -> RunManifest:
    return RunManifest(
        graddiag_version="0.1.0",
        id=f"id-{made.name}",
        name=made.name,
        experiment=made.experiment,
        arm=made.arm,
        seed=made.seed,
        task=made.task,
        model=HOSTILE[2] if made.hostile else "lstm",
        clip=made.clip,
        loss_reduction=HOSTILE[0] if made.hostile else "mean over batch and timesteps",
        config={"lr": 0.5, "note": made.notes, **made.config, **(_hostile_config() if made.hostile else {})},
        versions={"torch": "2.13.0", **(dict(zip(HOSTILE, HOSTILE, strict=True)) if made.hostile else {})},
        environment=dict(zip(HOSTILE, HOSTILE, strict=True)) if made.hostile else {},
        notes=made.notes,
        tags=(made.notes, *HOSTILE) if made.notes else (),
        created=datetime(2025, 1, made.day, tzinfo=UTC),
    )


def write(root: Path, made: Made) -> str:
    """Writes the run under ``root``; gives its link."""
    growing = Growing(root, made)
    growing.grow(to=made.steps)
    if made.status != "running":
        error = "RuntimeError: " + (" ".join(HOSTILE) if made.hostile else "it failed")
        growing.writer.close(made.status, error if made.status == "failed" else None)
    return growing.link


class Growing:
    """A run that is being written, as far as the test lets it."""

    def __init__(self, root: Path, made: Made) -> None:
        self.made = made
        self.writer = RunWriter(root, manifest(made))
        self.link = self.writer.path.relative_to(root).as_posix()
        self.steps = 0

    def grow(self, to: int) -> None:
        for step in range(self.steps, to):
            self.writer.append(schema.TABLE_STEPS, _scalars(self.made, step))
            if self.made.traced:
                self.writer.append(schema.TABLE_TIMESTEPS, _timesteps(self.made, step))
                self.writer.append(schema.TABLE_GATES, _gates(self.made, step))
            if self.made.hostile:
                self._write_hostile(step)
            if step == self.made.broken_from:
                self.writer.append(schema.TABLE_EVENTS, _event(self.made, step))
        self.writer.flush()
        self.steps = to

    def _write_hostile(self, step: int) -> None:
        """What has names of its own: parameters, snapshots, events."""
        self.writer.append(schema.TABLE_PARAMETERS, _parameters(step))
        self.writer.append(schema.TABLE_SPECTRA, _spectra(step))
        self.writer.append(schema.TABLE_SNAPSHOTS, _snapshots(self.made, step))
        self.writer.append(schema.TABLE_CREDIT, _credit(self.made, step))
        self.writer.append(schema.TABLE_EVENTS, _hostile_events(step))


def write_all(root: Path, several: Sequence[Made]) -> list[str]:
    return [write(root, made) for made in several]


def pair(**settings: Any) -> tuple[Made, Made]:
    """An arm with clipping off and one with clipping on."""
    return (
        Made("lstm-off", "pair", "clip off", clip="none", **settings),
        Made("lstm-on", "pair", "clip on", clip="norm:1.0", **settings),
    )


def grid() -> list[Made]:
    """An experiment of two arms, two lengths and two seeds."""
    return [
        replace(
            arm,
            name=f"{arm.name}-{length}-{seed}",
            experiment="grid",
            config={"length": length},
            timesteps=length,
            seed=seed,
        )
        for arm in pair()
        for length in (5, 10)
        for seed in (0, 1)
    ]


def awkward() -> dict[str, Made]:
    """One run for each way in which a run can be awkward."""
    return {
        "empty": Made("empty", steps=0),
        "one step": Made("one-step", steps=1),
        "one timestep": Made("one-timestep", timesteps=1),
        "scalars alone": Made("scalars", traced=False),
        "nan": Made("nan", broken_from=5),
        "all nan": Made("all-nan", broken_from=0),
        "inf": Made("inf", broken_from=5, broken=float("inf")),
        "zero gradient": Made("zero", norm=0.0, ratio=0.0),
        "no seed": Made("no-seed", seed=None, clip=None),
        "root module": Made("root-module", module=""),
        "failed": Made("failed", status="failed"),
        "interrupted": Made("interrupted", status="interrupted"),
        "running": Made("running", status="running"),
        "hostile": Made(
            HOSTILE[0],
            HOSTILE[1],
            HOSTILE[2],
            clip="norm:1.0",
            status="failed",
            task=HOSTILE[2],
            module=HOSTILE[0],
            notes=" ".join(HOSTILE),
            hostile=True,
        ),
    }


def _scalars(made: Made, step: int) -> Mapping[str, Any]:
    broken = made.broken_from is not None and step >= made.broken_from
    norm = made.broken if broken else made.norm * (1 + 0.1 * step)
    limit = float(made.clip.removeprefix("norm:")) if made.clip and made.clip.startswith("norm:") else None
    after = norm if limit is None or broken else min(norm, limit)
    return {
        schema.STEP: [step],
        schema.LOSS: [made.broken if broken else made.loss / (1 + step)],
        schema.GRAD_NORM: [norm],
        schema.GRAD_NORM_CLIPPED: [after],
        schema.CLIP_COEFFICIENT: [after / norm if norm else 1.0],
        schema.NONFINITE: [7 if broken else 0],
        schema.LR: [0.5],
        schema.WALL_TIME: [0.01 * step],
        **({text: [1.0 / (1 + step)] for text in HOSTILE} if made.hostile else {}),
    }


def _event(made: Made, step: int) -> Mapping[str, Any]:
    return {
        schema.STEP: [step],
        schema.KIND: [schema.EVENT_NONFINITE],
        schema.WHERE: [f"{made.module}, layer 0, forward, timestep 3"],
        schema.VALUE: [made.broken],
        schema.MESSAGE: [f"<b>{step}</b> is the first step that is not finite."],
    }


def _keys(made: Made, step: int) -> dict[str, Any]:
    places = np.arange(made.timesteps, dtype=np.int32)
    return {
        schema.STEP: np.full(made.timesteps, step, np.int32),
        schema.MODULE: [made.module] * made.timesteps,
        schema.LAYER: np.zeros(made.timesteps, np.int32),
        schema.DIRECTION: ["forward"] * made.timesteps,
        schema.CALL: np.zeros(made.timesteps, np.int32),
        schema.TIMESTEP: places,
    }


def _timesteps(made: Made, step: int) -> Mapping[str, Any]:
    broken = made.broken_from is not None and step >= made.broken_from
    back = np.arange(made.timesteps)[::-1]
    size = made.norm * (1 + made.growth * step)
    grad = np.full(made.timesteps, made.broken) if broken else size * made.ratio**back
    return {
        **_keys(made, step),
        schema.GRAD_H: grad.astype(np.float32),
        schema.GRAD_C: (2 * grad).astype(np.float32),
        schema.GRAD_W_HH: (0.1 * grad).astype(np.float32),
        schema.TRANSPORT_GAIN: np.full(made.timesteps, made.broken if broken else made.ratio, np.float32),
        schema.H_RMS: np.full(made.timesteps, 0.4, np.float32),
    }


def _gates(made: Made, step: int) -> Mapping[str, Any]:
    blocks = [
        {
            **_keys(made, step),
            schema.GATE: [gate] * made.timesteps,
            schema.MEAN: np.full(made.timesteps, 0.5, np.float32),
            schema.STD: np.full(made.timesteps, 0.1, np.float32),
            schema.SATURATED_LOW: np.full(made.timesteps, 0.05, np.float32),
            schema.SATURATED_HIGH: np.full(made.timesteps, 0.1, np.float32),
        }
        for gate in schema.GATES["lstm"]
    ]
    return {name: np.concatenate([np.asarray(block[name]) for block in blocks]) for name in blocks[0]}


def _hostile_config() -> Mapping[str, Any]:
    """Hostile as keys, as values, and deep inside."""
    return {text: {text: [text, {text: text}]} for text in HOSTILE} | {"command": " ".join(HOSTILE)}


def _parameters(step: int) -> Mapping[str, Any]:
    return {
        schema.STEP: step,
        schema.PARAMETER: [f"{text}.weight_hh_l0" for text in HOSTILE],
        schema.GRAD_NORM: [1.0, 2.0, 3.0],
        schema.GRAD_NORM_CLIPPED: [0.5, 1.0, 1.5],
        schema.ZEROS: [0.1, 0.5, 1.0],
        schema.WEIGHT_NORM: [1.0, 1.0, 1.0],
        schema.UPDATE_RATIO: [0.5, 0.5, 0.5],
        schema.SPECTRAL_RADIUS: [0.9, 1.0, 1.1],
        schema.SPECTRAL_NORM: [1.0, 1.1, 1.2],
    }


def _spectra(step: int) -> Mapping[str, Any]:
    return {
        schema.STEP: step,
        schema.PARAMETER: [f"{HOSTILE[0]}.weight_hh_l0"] * 2,
        schema.GATE: "f",
        schema.INDEX: [0, 1],
        schema.SINGULAR_VALUE: [1.0, 0.5],
        schema.EIGENVALUE_REAL: [0.9, 0.4],
        schema.EIGENVALUE_IMAG: [0.0, 0.0],
    }


def _snapshots(made: Made, step: int) -> Mapping[str, Any]:
    columns = (schema.gate_column(measure, "f") for measure in (schema.SATURATED_LOW, schema.SATURATED_HIGH))
    return {
        **_keys(made, step),
        schema.UNIT: 0,
        schema.GRAD_H: np.full(made.timesteps, 0.5),
        **{column: np.full(made.timesteps, 0.4) for column in columns},
        schema.gate_column(schema.ACTIVATION, "f"): np.full(made.timesteps, 0.5),
    }


def _credit(made: Made, step: int) -> Mapping[str, Any]:
    sent = made.ratio ** np.arange(made.timesteps)[::-1]
    return {**_keys(made, step), schema.LOSS_TIMESTEP: made.timesteps - 1, schema.GRAD_H: sent}


def _hostile_events(step: int) -> Mapping[str, Any]:
    return {
        schema.STEP: step,
        schema.KIND: [schema.EVENT_SPIKE, HOSTILE[2]],
        schema.WHERE: HOSTILE[0],
        schema.VALUE: [1.0, 2.0],
        schema.MESSAGE: [HOSTILE[1], " ".join(HOSTILE)],
    }
