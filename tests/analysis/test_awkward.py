"""Every analysis on every awkward run: a result comes back, says what is missing, and is ready for JSON."""

import json
from collections.abc import Callable

import pytest

from graddiag import schema
from graddiag.analysis import (
    Result,
    cell_path,
    clip_statistics,
    common_selections,
    compare,
    counterfactual,
    dead_units,
    depth,
    diagnose,
    direction_change,
    effective_lr,
    gate_history,
    gate_profile,
    gate_units,
    gradient_noise,
    heat,
    logged_scalars,
    loss_curve,
    loss_dynamics,
    nonfinite_origin,
    norm_history,
    numerics,
    profile,
    reach,
    reaches,
    recommended_thresholds,
    recorded_steps,
    selections,
    signals,
    time_constants,
    truncation,
    updates,
    weights_in_time,
    what_if,
)
from graddiag.run import Run
from tests.analysis.runs import LAYER, awkward, net

ANALYSES: dict[str, Callable[[Run], Result]] = {
    "heat": lambda run: heat(run, schema.GRAD_H, LAYER),
    "heat of a gain": lambda run: heat(run, schema.TRANSPORT_GAIN, LAYER, reduce="geomean", max_cells=2),
    "heat of a cosine": lambda run: heat(run, schema.GRAD_W_HH_COSINE, LAYER, max_cells=2),
    "profile": lambda run: profile(run, 1, LAYER),
    "profile of a range": lambda run: profile(run, (0, 99), LAYER, (schema.GRAD_H, schema.GRAD_W_HH_COSINE)),
    "loss": loss_curve,
    "scalars": lambda run: loss_curve(run, ["ppl"]),
    "norms": norm_history,
    "clipping": clip_statistics,
    "gates": lambda run: gate_history(run, LAYER),
    "gate profile": lambda run: gate_profile(run, 0, LAYER),
    "gate profile of a range": lambda run: gate_profile(run, (0, 9), LAYER),
    "reach": lambda run: reach(run, LAYER),
    "reach of all layers": reaches,
    "what if": what_if,
    "recommended thresholds": recommended_thresholds,
    "effective lr": effective_lr,
    "counterfactual": counterfactual,
    "direction": direction_change,
    "weights in time": lambda run: weights_in_time(run, LAYER),
    "truncation": lambda run: truncation(run, LAYER),
    "cell path": lambda run: cell_path(run, LAYER),
    "time constants": lambda run: time_constants(run, LAYER),
    "gate units": lambda run: gate_units(run, LAYER),
    "origin": nonfinite_origin,
    "diagnosis": diagnose,
    "loss dynamics": loss_dynamics,
    "updates": updates,
    "noise": gradient_noise,
    "depth": depth,
    "numerics": numerics,
    "dead units": lambda run: dead_units(run, LAYER),
    "comparison": lambda run: compare([run, net(0.9, timesteps=5, clip="norm:1.0", arm="clip on")]),
}
EXPECTED = {
    "empty": "not-measured",
    "one step": "healthy",
    "one timestep": "not-measured",
    "no timesteps": "not-measured",
    "no steps": "healthy",
    "all NaN": "non-finite",
    "all inf": "non-finite",
    "all zero": "dead-units",
    "all missing": "not-measured",
    "unequal lengths": "healthy",
    "no seed, no clip": "healthy",
    "markup": "healthy",
}


@pytest.mark.parametrize("case", awkward())
@pytest.mark.parametrize("analysis", ANALYSES)
def test_a_result_comes_back(analysis: str, case: str) -> None:
    found = ANALYSES[analysis](awkward()[case])
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.caption.endswith(".")


@pytest.mark.parametrize("case", awkward())
def test_the_verdict_invents_nothing(case: str) -> None:
    assert diagnose(awkward()[case]).verdict == EXPECTED[case]


@pytest.mark.parametrize("case", awkward())
def test_what_a_run_has_can_be_asked_of_any(case: str) -> None:
    run = awkward()[case]
    assert common_selections([run, run]) == selections(run)
    assert len(recorded_steps(run)) == len(set(run.timesteps[schema.STEP]))
    assert isinstance(signals(run, LAYER), tuple)
    assert schema.STEP not in logged_scalars(run)


@pytest.mark.parametrize("analysis", [name for name in ANALYSES if name not in ("diagnosis", "comparison", "origin")])
@pytest.mark.parametrize("case", ["empty", "all missing"])
def test_it_says_what_is_missing(analysis: str, case: str) -> None:
    found = ANALYSES[analysis](awkward()[case])
    if not (analysis.startswith("gate") and case == "all missing"):
        assert found.missing


@pytest.mark.parametrize("case", ["all NaN", "all inf", "all missing", "empty"])
def test_no_number_is_invented(case: str) -> None:
    run = awkward()[case]
    found = reach(run, LAYER)
    assert (found.exponent, found.horizon, found.ratio, found.n_gains) == (None, None, None, 0)
    assert heat(run, schema.GRAD_H, LAYER).low is None
    statistics = clip_statistics(run)
    assert (statistics.clipped_share, statistics.norm_max) == (None, None)
