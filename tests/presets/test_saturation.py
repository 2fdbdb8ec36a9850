"""saturation: slopes of both losses by value, and a saturated start that squared error never leaves."""

from pathlib import Path

import numpy as np
import pytest

from graddiag.presets.bench import Bench
from graddiag.presets.saturation import Saturation, classify, costs, summarize


def test_what_a_wrong_answer_costs() -> None:
    found = costs()
    found.index = found.pop("p").round(10)
    assert found.loc[0.01, "-ln p"] == pytest.approx(4.605, abs=5e-4)
    assert found.loc[0.0001, "-ln p"] == pytest.approx(9.210, abs=5e-4)
    assert found.loc[0.01, "½(1 - p)²"] == pytest.approx(0.49005)
    assert found.loc[0.0001, "½(1 - p)²"] == pytest.approx(0.4999, abs=1e-6)
    assert found.loc[0.5, ["d(-ln p)/dz", "d(½(1 - p)²)/dz"]].tolist() == pytest.approx([-0.5, -0.125])


def test_the_slope_that_is_told_is_that_of_a_sample(tmp_path: Path) -> None:
    settings = Saturation(samples=50, steps=1, bias=-10.0)
    learned = {loss: classify(settings, loss, Bench(tmp_path, "lab")) for loss in ("cross-entropy", "squared error")}
    # half of the samples are of class 1 and pull with about -1 and -4.5e-5, the others with about p = 4.5e-5 and less
    assert learned["cross-entropy"].slope[0] == pytest.approx(0.5, rel=1e-2)
    assert learned["squared error"].slope[0] < 1e-3
    assert learned["squared error"].missed[0] == 1.0


def test_squared_error_stays_where_it_starts(tmp_path: Path) -> None:
    told = summarize(Saturation(steps=800, samples=100, unit_steps=800), Bench(tmp_path, "lab"))
    assert "squared error with -4.54e-05" in told.seen[0]
    assert "100% under squared error" in told.seen[2]
    assert len(told.runs) == 2


def test_both_losses_start_from_the_same_weights(tmp_path: Path) -> None:
    settings = Saturation(samples=20, steps=2, bias=0.0)
    one, other = (classify(settings, loss, Bench(tmp_path, "lab")) for loss in ("cross-entropy", "squared error"))
    assert one.missed[0] == other.missed[0]
    assert np.isfinite(one.losses).all()
