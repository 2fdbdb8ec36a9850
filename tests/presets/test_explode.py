"""explode-vanish: the linear network follows its gain exactly, the others stay within their bounds."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from graddiag import Run, load_run, schema
from graddiag.lab.sweeps import plan_sweep
from graddiag.lab.training import train
from graddiag.lessons.cliff import descend, error_and_gradient
from graddiag.presets.explode import ExplodeVanish, _arrives, _others, around, exponents, on_the_cliff, sweeps

PAGE = " ".join((Path(__file__).parents[2] / "docs" / "presets" / "explode-vanish.md").read_text().split())


def test_the_linear_network_follows_its_gain() -> None:
    """A linear RNN: the norm changes by the gain at each timestep."""
    found = exponents(ExplodeVanish(nonlinearities=("identity",), gains=(0.9, 1.0, 1.1), lengths=(60,)))
    np.testing.assert_allclose(found["exponent"], [math.log(0.9), 0.0, math.log(1.1)], atol=1e-12)


def test_the_others_stay_within_their_bounds() -> None:
    """The bound of a tanh RNN: gain times the largest slope."""
    found = exponents(ExplodeVanish(gains=(0.5, 1.0, 2.0), lengths=(10, 40)))
    assert len(found) == 4 * 3 * 2
    assert (found["exponent"] <= found["bound"] + 1e-9).all()
    assert (found[found["nonlinearity"] == "sigmoid"]["exponent"] < 0).all()


def test_the_descent_starts_on_the_wall() -> None:
    w, b = on_the_cliff()
    assert w == 4.6
    assert -4 < b < -1


def test_what_grows_is_told_of_the_longest_sequences() -> None:
    rows = [("relu", 10, 1.0, 0.2), ("relu", 40, 1.0, -0.1), ("relu", 40, 2.0, 0.3), ("tanh", 40, 2.0, -0.1)]
    found = pd.DataFrame(rows, columns=["nonlinearity", "length", "gain", "exponent"]).assign(bound=1.0)
    assert _others(found) == (
        "Over 40 timesteps relu grows from a gain of 2 on, always within its bound; "
        "tanh never grows, always within its bound."
    )


def test_close_up_the_surface_is_the_same_one() -> None:
    w, b = on_the_cliff()
    near = around((w, b))
    assert (near.w[0], near.w[-1]) == (w - 0.05, w + 0.05)
    error, *_ = error_and_gradient(near.w[3], near.b[-2])
    assert near.error[-2, 3] == error


def trained(settings: ExplodeVanish, sweep: int, root: Path) -> tuple[Run, ...]:
    """Both arms of a sweep: the characters, or the recall."""
    return tuple(load_run(train(plan, root).path) for plan in plan_sweep(sweeps(settings)[sweep]))


def test_the_page_claims_the_exponents_that_are_measured() -> None:
    claim = (
        "grows from a gain of 1.6 on, the tanh network at 2, and the sigmoid network, whose slopes are below a quarter,"
    )
    assert claim in PAGE
    told = _others(exponents(ExplodeVanish()))
    assert "tanh grows from a gain of 2 on" in told
    assert "relu grows from a gain of 1.6 on" in told
    assert "sigmoid never grows" in told


def test_the_page_claims_of_the_cliff_what_holds() -> None:
    settings = ExplodeVanish()
    free, clipped = (
        descend(on_the_cliff(), settings.descent_lr, clip, settings.descent_steps) for clip in ("none", "norm:1.0")
    )
    assert "the first step without clipping is longer than 1" in PAGE
    assert free.length == np.linalg.norm(free.points[1] - free.points[0]) > 1
    assert "the error stays between 0.05 and 0.13 from then on" in PAGE
    assert ((free.errors[1:] > 0.05) & (free.errors[1:] < 0.13)).all()
    assert "no step is longer than 0.01" in PAGE
    assert clipped.length <= 0.01 + 1e-12
    assert np.linalg.norm(clipped.points - clipped.points[0], axis=1).max() < 0.6
    assert "its lowest error is below 0.001" in PAGE
    assert clipped.errors.min() < 0.001


@pytest.mark.slow
def test_the_page_claims_of_the_characters_what_holds(tmp_path: Path) -> None:
    free, clipped = trained(ExplodeVanish(), 0, tmp_path)
    assert "the gradient of the first step grows more than 1,000-fold" in PAGE
    assert _arrives(free) == pytest.approx(_arrives(clipped))
    assert _arrives(free) > 1000
    assert "a loss above 2.976, the loss of guessing; with clipping it ends below 1" in PAGE
    assert free.manifest.config["chance_loss"] == pytest.approx(2.976, abs=0.01)
    assert free.steps[schema.LOSS].tail(10).mean() > 2.976
    assert clipped.steps[schema.LOSS].tail(10).mean() < 1


def test_the_page_claims_of_the_gap_what_holds(tmp_path: Path) -> None:
    rnn, gru = trained(ExplodeVanish(steps=2), 1, tmp_path)
    assert "less than 1e-6 of an RNN's gradient reaches the first timestep, and of a GRU's more than ten times" in PAGE
    assert _arrives(rnn) < 1e-6
    assert _arrives(gru) > 10 * _arrives(rnn)
