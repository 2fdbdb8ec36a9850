"""A report of a pair of large runs stays below 5 MB, whatever its numbers are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import Selection
from graddiag.report import write_report
from graddiag.run import Run
from tests.analysis.runs import LAYER, gates_frame, manifest, snapshots_frame, steps_frame, timesteps_frame
from tests.analysis.snapped import credit_frame

STEPS, TIMESTEPS, UNITS = 2000, 100, 128
LAYERS = (LAYER, Selection("lstm", 1, "forward"))


def noisy(name: str, clip: str, seed: int) -> Run:
    """Every number its own, so that nothing can be packed: 2,000 steps, with 100 timesteps of two layers each."""
    rng = np.random.default_rng(seed)
    names = [c.name for c in schema.TABLES[schema.TABLE_TIMESTEPS].columns if not c.key]
    signals = {each: rng.lognormal(size=(STEPS, TIMESTEPS)) for each in names}
    signals[schema.GRAD_W_HH_COSINE] = rng.uniform(-1, 1, (STEPS, TIMESTEPS))
    scalars = {
        each: rng.lognormal(size=STEPS)
        for each in (schema.LOSS, schema.GRAD_NORM_CLIPPED, schema.LR, schema.UPDATE_RATIO, "sharpness")
    }
    scalars |= {schema.CLIP_COEFFICIENT: rng.uniform(0.1, 1, STEPS), schema.GRAD_COSINE: rng.uniform(-1, 1, STEPS)}
    measured = (schema.MEAN, schema.STD, schema.SATURATED_LOW, schema.SATURATED_HIGH)
    gates = {gate: {m: rng.uniform(0, 1, (STEPS // 10, TIMESTEPS)) for m in measured} for gate in schema.GATES["lstm"]}
    units = [schema.GRAD_H] + [schema.gate_column(schema.SATURATED_LOW, gate) for gate in schema.GATES["lstm"]]
    square = rng.lognormal(size=(2 * TIMESTEPS, 2 * TIMESTEPS)) * rng.integers(0, 2, (2 * TIMESTEPS, 2 * TIMESTEPS))
    snapshot = {each: rng.uniform(0, 1, (1, 2 * TIMESTEPS, UNITS)) for each in units}
    return Run.from_frames(
        manifest(name, clip=clip, arm="clip off" if clip == "none" else "clip on"),
        steps=steps_frame(list(rng.lognormal(size=STEPS)), **scalars),
        timesteps=pd.concat([timesteps_frame(signals, layer) for layer in LAYERS]),
        gates=pd.concat([gates_frame(gates, layer) for layer in LAYERS]),
        snapshots=pd.concat([snapshots_frame(snapshot, layer) for layer in LAYERS]),
        credit=pd.concat([credit_frame(square, layer=layer) for layer in LAYERS]),
    )


@pytest.mark.slow
def test_a_pair_of_large_runs(tmp_path: Path) -> None:
    out = write_report([noisy("off", "none", 0), noisy("on", "value:1.0", 1)], tmp_path / "report.html")
    assert out.stat().st_size < 5e6
    text = out.read_text()
    shown = (
        "0-heat",
        "1-horizon",
        "1-effective-timesteps",
        "effective-lr",
        "direction",
        "stability",
        "noise",
        "1-credit-2",
        "depth-1",
    )
    assert [name for name in shown if f'id="chapter-1-{name}"' not in text] == []
