"""Runs with snapshots typed by hand, and runs whose snapshots are awkward."""

from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis import Selection
from graddiag.run import Run
from tests.analysis.runs import INF, LAYER, NAN, manifest, net

EMPTY, PLAIN = "empty", "plain"


def credit_frame(matrix: np.ndarray, step: int = 0, layer: Selection = LAYER) -> pd.DataFrame:
    """Rows of a full matrix [T, T]; those behind s are left out."""
    s, t = np.tril_indices(len(matrix)) if not layer.reverse else np.triu_indices(len(matrix))
    keys = {schema.STEP: step, **layer.where, schema.LOSS_TIMESTEP: s, schema.TIMESTEP: t}
    return pd.DataFrame({**keys, schema.GRAD_H: matrix[s, t]})


def units_frame(columns: Mapping[str, np.ndarray], step: int = 0, layer: Selection = LAYER) -> pd.DataFrame:
    """Rows of arrays [T, U] by column."""
    T, U = next(iter(columns.values())).shape
    t, u = np.repeat(np.arange(T), U), np.tile(np.arange(U), T)
    keys = {schema.STEP: step, **layer.where, schema.TIMESTEP: t, schema.UNIT: u}
    return pd.DataFrame({**keys, **{name: values.ravel() for name, values in columns.items()}})


def spectra_frame(step: int = 0, square: bool = True) -> pd.DataFrame:
    """W = [[.9, 5], [0, .9]] as the only gate of the only weight."""
    values = {schema.EIGENVALUE_REAL: [0.9, 0.9], schema.EIGENVALUE_IMAG: [0.0, 0.0]} if square else {}
    keys = {schema.STEP: step, schema.PARAMETER: "lstm.weight_hh_l0", schema.GATE: "f", schema.INDEX: [0, 1]}
    return pd.DataFrame({**keys, schema.SINGULAR_VALUE: [5.157, 0.157], **values})


def lyapunov_frame(values: np.ndarray, step: int = 0, layer: Selection = LAYER) -> pd.DataFrame:
    """Rows of exponents by sample [n, k]."""
    samples, k = values.shape
    keys = {schema.STEP: step, **layer.where, schema.INDEX: np.arange(k)}
    columns = {schema.EXPONENT: values.mean(0), schema.EXPONENT_LOW: values.min(0), schema.EXPONENT_HIGH: values.max(0)}
    return pd.DataFrame({**keys, **columns, schema.SAMPLES: samples, schema.TIMESTEPS: 9})


def parameters_frame(radius: list[float | None], norm: list[float | None]) -> pd.DataFrame:
    """One recurrent weight and a bias, at steps 0, 1, ..."""
    rows = [
        {schema.STEP: step, schema.PARAMETER: name, schema.SPECTRAL_RADIUS: r, schema.SPECTRAL_NORM: n}
        for step, (one, two) in enumerate(zip(radius, norm, strict=True))
        for name, r, n in (("lstm.weight_hh_l0", one, two), ("lstm.bias_hh_l0", None, None))
    ]
    return pd.DataFrame(rows, dtype=object)  # None is missing


@cache
def snapped() -> dict[str, Run]:
    """One run for each way in which snapshots can be awkward."""
    powers = 0.5 ** np.maximum(0, np.subtract.outer(np.arange(6.0), np.arange(6.0)))
    return {
        EMPTY: Run.from_frames(manifest()),
        "no snapshots": net(0.9, timesteps=5),
        PLAIN: _run(powers, parameters=parameters_frame([0.8, 0.9], [1.1, 1.2])),
        "one timestep": _run(np.ones((1, 1))),
        "all NaN": _run(np.full((3, 3), NAN)),
        "all inf": _run(np.full((3, 3), INF)),
        "all zero": _run(np.zeros((3, 3))),
        "markup": _run(powers, name="<b>run</b>", arm="<img src=x onerror=alert(1)> $x$ %{x}"),
    }


def _run(matrix: np.ndarray, parameters: pd.DataFrame | None = None, **fields: str) -> Run:
    column = {schema.GRAD_H: np.abs(matrix), "activation_f": matrix, "activation_g": -matrix, "saturated_low_f": matrix}
    tables = {"parameters": parameters} if parameters is not None else {}
    return Run.from_frames(
        manifest(**fields),
        credit=credit_frame(matrix),
        snapshots=units_frame(column),
        spectra=spectra_frame(),
        lyapunov=lyapunov_frame(matrix[:2] - 0.6),
        **tables,
    )
