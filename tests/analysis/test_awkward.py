"""Every analysis on every awkward run: a result comes back, says what is missing, and is ready for JSON."""

import inspect
import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_type_hints

import pytest

from graddiag import analysis, schema
from graddiag.analysis import (
    Result,
    Selection,
    clip_statistics,
    common_selections,
    diagnose,
    heat,
    logged_scalars,
    reach,
    recorded_steps,
    selections,
    signals,
)
from graddiag.analysis.values import to_plain
from graddiag.run import Run
from tests.analysis import damaged as damages
from tests.analysis.damaged import WHOLE, damaged, damaged_where_read
from tests.analysis.runs import LAYER, awkward, net

PLAIN = net(0.9, timesteps=5, clip="norm:1.0", arm="clip on")

# the analysis by its name, then what is asked of it; see test_no_analysis_is_forgotten
ANALYSES: dict[str, Callable[[Run, Selection], object]] = {
    "bands": lambda run, _: analysis.bands([run, PLAIN]),
    "bands of a norm": lambda run, _: analysis.bands([run], schema.GRAD_NORM),
    "cell_path": analysis.cell_path,
    "layer_status": analysis.layer_status,
    "key_figures": lambda run, _: analysis.key_figures(run),
    "training_course": lambda run, _: analysis.training_course(run),
    "clip_statistics": lambda run, _: clip_statistics(run),
    "compare": lambda run, _: analysis.compare([run, PLAIN]),
    "counterfactual": lambda run, _: analysis.counterfactual(run),
    "credit_matrix": lambda run, layer: analysis.credit_matrix(run, 8, layer),
    "dead_units": analysis.dead_units,
    "depth": lambda run, _: analysis.depth(run),
    "diagnose": lambda run, _: diagnose(run),
    "direction_change": lambda run, _: analysis.direction_change(run),
    "edge_of_stability": lambda run, _: analysis.edge_of_stability(run),
    "effective_lr": lambda run, _: analysis.effective_lr(run),
    "events": lambda run, _: analysis.events(run),
    "experiment": lambda run, _: analysis.experiment([run, PLAIN], GOAL),
    "gate_history": analysis.gate_history,
    "gate_profile": lambda run, layer: analysis.gate_profile(run, 0, layer),
    "gate_profile of a range": lambda run, layer: analysis.gate_profile(run, (0, 9), layer),
    "gate_units": analysis.gate_units,
    "gradient_noise": lambda run, _: analysis.gradient_noise(run),
    "heat": lambda run, layer: heat(run, schema.GRAD_H, layer),
    "heat of a gain": lambda run, layer: heat(run, schema.TRANSPORT_GAIN, layer, reduce="geomean", max_cells=2),
    "heat of a cosine": lambda run, layer: heat(run, schema.GRAD_W_HH_COSINE, layer, max_cells=2),
    "heat_ratio": lambda run, layer: analysis.heat_ratio([run, PLAIN], schema.GRAD_H, layer),
    "heat_ratio to itself": lambda run, layer: analysis.heat_ratio([run, run], schema.GRAD_H, layer, max_cells=2),
    "loss_curve": lambda run, _: analysis.loss_curve(run),
    "loss_curve of scalars": lambda run, _: analysis.loss_curve(run, ["ppl"]),
    "loss_dynamics": lambda run, _: analysis.loss_dynamics(run),
    "lyapunov_history": analysis.lyapunov_history,
    "nonfinite_origin": lambda run, _: analysis.nonfinite_origin(run),
    "norm_history": lambda run, _: analysis.norm_history(run),
    "numerics": lambda run, _: analysis.numerics(run),
    "omega": analysis.omega,
    "omega of norms": lambda run, layer: analysis.omega(run, layer, form="norm"),
    "first_divergence": lambda run, _: analysis.first_divergence(run, PLAIN),
    "first_divergence from itself": lambda run, _: analysis.first_divergence(run, run),
    "profile": lambda run, layer: analysis.profile(run, 1, layer),
    "profile of a range": lambda run, layer: analysis.profile(
        run, (0, 99), layer, (schema.GRAD_H, schema.GRAD_W_HH_COSINE)
    ),
    "reach": reach,
    "reaches": lambda run, _: analysis.reaches(run),
    "recommended_thresholds": lambda run, _: analysis.recommended_thresholds(run),
    "spectrum_history": lambda run, _: analysis.spectrum_history(run),
    "time_constants": analysis.time_constants,
    "truncation": analysis.truncation,
    "unit_heat": lambda run, layer: analysis.unit_heat(run, 8, layer),
    "unit_heat of a gate": lambda run, layer: analysis.unit_heat(run, 8, layer, "activation_f", max_cells=2),
    "updates": lambda run, _: analysis.updates(run),
    "weight_spectra": lambda run, _: analysis.weight_spectra(run, 8),
    "weight_spectra of a layer": lambda run, layer: analysis.weight_spectra(run, 8, layer),
    "weight_contributions": analysis.weight_contributions,
    "what_if": lambda run, _: analysis.what_if(run),
    # and what is asked about a run
    "common_selections": lambda run, _: common_selections([run, PLAIN]),
    "final_loss": lambda run, _: analysis.final_loss(run),
    "goals": lambda run, _: analysis.goals([run, PLAIN]),
    "logged_scalars": lambda run, _: logged_scalars(run),
    "recorded_steps": recorded_steps,
    "selections": lambda run, _: selections(run),
    "signals": signals,
    "snapshot_columns": analysis.snapshot_columns,
    "snapshot_steps": analysis.snapshot_steps,
}
GOAL = analysis.goals([PLAIN])[0]
RESULTS = list(ANALYSES)[: list(ANALYSES).index("common_selections")]

# what each analysis cannot do without, by its name: a table, or some
NEEDS = {
    "bands": ("steps",),
    "cell_path": ("timesteps",),
    "layer_status": ("timesteps",),
    "clip_statistics": ("steps",),
    "counterfactual": ("counterfactuals",),
    "credit_matrix": ("credit",),
    "dead_units": ("snapshots",),
    "depth": ("timesteps",),
    "direction_change": ("steps",),
    "effective_lr": ("steps",),
    "events": ("events",),
    "gate_history": ("gates",),
    "gate_profile": ("gates",),
    "gate_units": ("snapshots",),
    "gradient_noise": ("steps",),
    "heat": ("timesteps",),
    "heat_ratio": ("timesteps",),
    "loss_curve": ("steps",),
    "loss_dynamics": ("steps",),
    "lyapunov_history": ("lyapunov",),
    "norm_history": ("steps",),
    "omega": ("timesteps",),
    "profile": ("timesteps",),
    "reach": ("timesteps",),
    "reaches": ("timesteps",),
    "recommended_thresholds": ("steps",),
    "time_constants": ("gates",),
    "truncation": ("timesteps",),
    "unit_heat": ("snapshots",),
    "weight_spectra": ("spectra",),
    "weight_contributions": ("timesteps",),
    "what_if": ("steps",),
}
OF_TWO = ("bands", "compare", "experiment")  # of the other run they know what there is to know
NEEDED = [(name, table) for name in RESULTS if name not in OF_TWO for table in NEEDS.get(name.split()[0], ())]
# of some the gradient's way through time was measured, and success was not
WITHOUT_SUCCESS = ("one step", "no steps", "unequal lengths", "no seed, no clip", "markup")
EXPECTED = dict.fromkeys(awkward(), "not-measured") | dict.fromkeys(WITHOUT_SUCCESS, "not-judged")
EXPECTED |= {"all NaN": "non-finite", "all inf": "non-finite"}


def test_no_analysis_is_forgotten() -> None:
    """Whatever graddiag.analysis offers that takes a run is asked of every awkward one here."""
    offered = [getattr(analysis, name) for name in analysis.__all__]
    hints = {each.__name__: get_type_hints(each).values() for each in offered if inspect.isfunction(each)}
    of_runs = {name for name, kinds in hints.items() if Run in kinds or Sequence[Run] in kinds}
    assert of_runs == {name.split()[0] for name in ANALYSES}


@pytest.mark.parametrize("case", awkward())
@pytest.mark.parametrize("name", ANALYSES)
def test_a_result_comes_back(name: str, case: str) -> None:
    check(ANALYSES[name](awkward()[case], LAYER))


@pytest.mark.parametrize("name", ANALYSES)
def test_a_damaged_run_gives_a_result_all_the_same(name: str) -> None:
    for case, run in damaged_where_read():
        try:
            check(ANALYSES[name](run, damages.LAYER))
        except Exception as error:
            error.add_note(f"case: {case}")
            raise


def check(found: object) -> None:
    """It can be written as JSON, and what is a result says in a sentence what it found, or why not."""
    json.dumps(to_plain(found), allow_nan=False)
    for each in found if isinstance(found, tuple) else (found,):
        if isinstance(each, Result) and hasattr(each, "caption"):
            assert each.caption.endswith(".")
            assert "nan" not in each.caption.lower().replace("nan or inf", "").replace("nan, inf", "").split()


def test_of_a_whole_run_hardly_anything_is_missing() -> None:
    found = {name: list(missing_in(ANALYSES[name](damaged()[WHOLE], damages.LAYER))) for name in RESULTS}
    assert {name for name, missing in found.items() if any(missing)} == {
        "heat_ratio",  # to a run that has no such layer
        "loss_dynamics",  # of 24 steps
        "gradient_noise",  # likewise
    }


@pytest.mark.parametrize(
    ("name", "table", "how"),
    [
        (name, table, how)
        for name, table in NEEDED
        for how in ("no table", "no number in")
        if (table, how) != ("events", "no number in")  # an event without a value is an event
    ],
)
def test_without_its_table_it_says_what_is_missing_and_knows_no_number(name: str, table: str, how: str) -> None:
    found = ANALYSES[name](damaged()[f"{how} {table}"], damages.LAYER)
    assert all(missing_in(found))
    assert [path for path, _ in numbers_in(to_plain(found)) if path != ELSEWHERE.get(name)] == []


@pytest.mark.parametrize("name", [name for name in RESULTS if name not in OF_TWO])
def test_of_an_empty_run_no_number_is_known(name: str) -> None:
    assert list(numbers_in(to_plain(ANALYSES[name](awkward()["empty"], LAYER)))) == []


def missing_in(found: object) -> Iterator[str | None]:
    for each in found if isinstance(found, tuple) else (found,):
        yield getattr(each, "missing", None)


# settings that a result repeats, and what the configuration says: known without a single number having been measured
SAID = ("source", "selection", "thresholds", "distance", "threshold", "chance")
# from another table, where there is any: the snapshots, the gates
ELSEWHERE = {"time_constants": ".by_unit", "layer_status": ".saturated.g"}


def numbers_in(plain: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """The finite floats of a result with their paths, but for zeros and what was said rather than measured."""
    if isinstance(plain, dict):
        for name, value in plain.items():
            if name not in SAID:
                yield from numbers_in(value, f"{path}.{name}")
    elif isinstance(plain, list):
        for value in plain:
            yield from numbers_in(value, path)
    elif isinstance(plain, float) and math.isfinite(plain) and plain != 0:
        yield path, plain


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


@pytest.mark.parametrize("name", sorted({name for name, _ in NEEDED}))
@pytest.mark.parametrize("case", ["empty", "all missing"])
def test_it_says_what_is_missing(name: str, case: str) -> None:
    assert all(missing_in(ANALYSES[name](awkward()[case], LAYER)))


@pytest.mark.parametrize("case", ["all NaN", "all inf", "all missing", "empty"])
def test_no_number_is_invented(case: str) -> None:
    run = awkward()[case]
    found = reach(run, LAYER)
    assert (found.exponent, found.horizon, found.ratio, found.n_gains) == (None, None, None, 0)
    assert heat(run, schema.GRAD_H, LAYER).low is None
    statistics = clip_statistics(run)
    assert (statistics.clipped_share, statistics.norm_max) == (None, None)
