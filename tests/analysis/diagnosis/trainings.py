"""Runs of trainings that are stuck or that learned, and what is read of their diagnosis."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis import Diagnosis, Finding, Selection, diagnose
from graddiag.run import Run
from tests.analysis.runs import (
    CHANCE,
    FALLING,
    FLAT,
    LAYER,
    NAN,
    run_of,
    timesteps_frame,
    travelled,
)

S = len(FLAT)


def only(run: Run, name: str) -> Finding:
    found = diagnose(run).finding(name)
    assert found is not None, str(diagnose(run))
    return found


def stuck(gain: float = 1.0, **settings: Any) -> Run:
    """A run whose loss stays at chance, which it is told."""
    return run_of(FLAT, gain=gain, config={**CHANCE, **settings.pop("config", {})}, **settings)


def fine(gain: float = 1.0, **settings: Any) -> Run:
    """A run that learned, which is known."""
    return run_of(FALLING, gain=gain, config={**CHANCE, **settings.pop("config", {})}, **settings)


def action(run: Run) -> str:
    first = diagnose(run).do_first
    return "" if first is None else first.action


def one_loss(gains: Any) -> pd.DataFrame:
    steps, timesteps = np.shape(gains)
    return timesteps_frame(travelled(gains, np.eye(1, timesteps, timesteps - 1).repeat(steps, axis=0)))


def updating(ratio: float, loss: Sequence[float] = FLAT, cosine: float = 0.0, **fields: Any) -> Run:
    columns = {schema.UPDATE_RATIO: [ratio] * S, schema.GRAD_COSINE: [cosine] * S, schema.LR: [0.1] * S}
    return run_of(loss, columns=columns, config=CHANCE, **fields)


def cut(k: int, *, gain: float = 1.0, steps: int = 4, layer: Selection = LAYER) -> Run:
    """Sequences of 20 timesteps with the loss at the last, whose gradient is exactly 0 before timestep ``k``."""
    signals = travelled(np.full((steps, 20), gain), np.eye(1, 20, 19).repeat(steps, axis=0))
    signals[schema.GRAD_H][:, :k] = 0.0
    if layer.reverse:
        signals = {name: values[:, ::-1] for name, values in signals.items()}
    return stuck(timesteps=timesteps_frame(signals, layer))


def broken(norms: list[float], loss: Sequence[float] = FLAT, **fields: Any) -> Run:
    bad = [NAN] * (S - len(norms))
    return run_of([*loss[: len(norms)], *bad], [*norms, *bad], config=CHANCE, **fields)


def all_advice(found: Diagnosis) -> list[str]:
    return [each.text for finding in found.findings for each in finding.advice]
