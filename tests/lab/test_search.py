"""The search of a sweep: ASHA against its algorithm written again, and trainings that a finding or a rung stops."""

import math
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graddiag import list_runs, load_run
from graddiag.alerts import alert_names
from graddiag.cli import main
from graddiag.errors import SettingError
from graddiag.lab import train
from graddiag.lab.asha import Asha, AtRung, earlier_rungs
from graddiag.lab.engines import engine_called, with_retries
from graddiag.lab.outcome import TrainingOutcome
from graddiag.lab.search import Rungs, SearchSpec, rung_value
from graddiag.lab.settings.declared import declared
from graddiag.lab.sweeps import clear, plan_sweep, read_sweep, standing, sweep_spec
from graddiag.store import trashed_runs
from tests.lab.test_engines import killing_the_first
from tests.needs import needs

ASHA: dict[str, Any] = {"scheduler": "asha", "grace": 5, "reduction": 2}
SPEC: dict[str, Any] = {
    "name": "search",
    "task": "recall",
    "model": "rnn",
    "settings": {"steps": 30, "batch": 3, "hidden": 4, "length": 5},
    "arms": {"wild": {"lr": 30.0}, "low": {"lr": 0.05}, "wilder": {"lr": 3000.0}},
}


def spec_of(**search: Any) -> Any:
    length = SPEC["settings"]["length"]
    settings = {name: value for name, value in SPEC["settings"].items() if name != "length"}
    return sweep_spec({**SPEC, "settings": settings, "lengths": [length], "search": search})


def test_rungs_are_multiples_of_the_grace_period_below_the_last_step() -> None:
    search = SearchSpec(scheduler="asha", grace=10, reduction=3)
    assert search.rungs(1000) == (10, 30, 90, 270, 810)
    assert search.rungs(810) == (10, 30, 90, 270)
    assert search.rungs(10) == search.rungs(5) == ()
    assert SearchSpec(stop_on=("exploding",), grace=10).rungs(1000) == ()


def test_a_rung_has_the_mean_over_the_last_tenth_of_the_steps_before_it() -> None:
    values = {step: float(step) for step in range(200)}
    assert rung_value(values, 200) == np.mean(range(180, 200))
    assert rung_value(values, 30) == np.mean(range(20, 30))
    assert rung_value(values, 5) == 2
    assert rung_value({9: 1.0, 19: 2.0}, 40) == 2
    assert rung_value({50: 1.0}, 40) is None
    assert math.isnan(rung_value({38: math.inf, 39: 1.0}, 40) or 0)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_asha_is_its_algorithm(mode: Any) -> None:
    """Algorithm 2 with stopping, as Ray Tune has it: at a rung a value is kept that is at least the quantile
    1 - 1 / reduction of the values that came before."""
    needs("ray", "ray")
    search = SearchSpec(scheduler="asha", grace=4, reduction=3, mode=mode)
    asha, sign = Asha(search, 100), {"min": -1.0, "max": 1.0}[mode]
    drawn = np.random.default_rng(0)
    there: dict[tuple[int, int], list[float]] = defaultdict(list)
    stopped = 0
    for trial in range(60):
        for rung in search.rungs(100):
            length, value = 5 + trial % 2, float(drawn.normal())
            before = there[length, rung]
            expected = not before or sign * value >= np.percentile(before, 100 * (1 - 1 / 3))
            before.append(sign * value)
            assert asha.may_continue(AtRung(length, f"trial{trial}", rung, value)) is bool(expected)
            if not expected:
                stopped += 1
                break
    assert 20 < stopped < 60
    assert asha.may_continue(AtRung(5, "trial0", 4, -sign * 1e9))  # begun anew: it was there already


def test_a_rung_asks_once_and_tells_why_a_training_ends() -> None:
    asked = []

    def judge(rung: int, value: float) -> bool:
        asked.append((rung, value))
        return rung < 10

    rungs = Rungs(SearchSpec(metric="error", **ASHA), 30, judge)
    told = [rungs(step, {"loss": 1.0, "error": float(step)}) for step in range(10)]
    assert told[:9] == [None] * 9
    assert told[9] == "asha: error 4.5 at step 10 is not among the best 1 in 2 of the trainings before it"
    assert asked == [(5, 2.0), (10, 4.5)]
    broken = Rungs(SearchSpec(**ASHA), 30, judge)
    assert [broken(step, {"loss": math.nan}) for step in range(5)][-1] == "asha: loss is NaN or inf before step 5"
    other = Rungs(SearchSpec(metric="accuracy", **ASHA), 30, judge)
    with pytest.raises(SettingError, match=r"metric 'accuracy' was not logged in the first 5 steps; these were: loss"):
        [other(step, {"loss": 1.0}) for step in range(5)]


@pytest.mark.libraries
@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_trainings_are_compared_on_ray_and_what_is_there_already_counts(tmp_path: Path) -> None:
    needs("ray", "ray")
    plans = plan_sweep(spec_of(**ASHA))
    first, rest = plans[:1], plans[1:]
    train(first[0], tmp_path)
    assert [(each.name, each.rung) for each in earlier_rungs(rest, tmp_path)] == [
        ("wild-seed0", 5),
        ("wild-seed0", 10),
        ("wild-seed0", 20),
    ]
    found = list(engine_called("ray", {}, plans[0].search)(rest, tmp_path, workers=1))
    ended = {each.plan.arm: each.trained for each in found}
    assert all(ended.values()), [each.error for each in found]
    assert {arm: each.by_search for arm, each in ended.items() if each} == {"low": False, "wilder": True}
    listed = list_runs(tmp_path).set_index("arm")
    assert listed["status"].to_dict() == {"wild": "finished", "low": "finished", "wilder": "stopped"}
    stopped = load_run(tmp_path / "search" / "wilder-seed0")
    assert len(stopped.steps) == 5
    assert stopped.manifest.error == ended["wilder"].stopped  # type: ignore[union-attr]
    assert re.match(r"asha: loss .* at step 5 is not among the best 1 in 2", str(stopped.manifest.error))
    alone = load_run(train(replace(plans[1], search=None), tmp_path / "alone").path)
    compared = load_run(tmp_path / "search" / "low-seed0")
    assert compared.steps["loss"].tolist() == alone.steps["loss"].tolist()
    assert standing(plans, tmp_path).waiting == ()


@pytest.mark.libraries
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_nothing_is_lost_when_a_worker_is_killed(tmp_path: Path) -> None:
    needs("ray", "ray")
    settings = {"steps": 1500, "batch": 3, "hidden": 4}
    arms = {arm: SPEC["arms"][arm] for arm in ("wild", "low")}
    given = {**SPEC, "name": "engines", "settings": settings, "lengths": [5], "arms": arms}
    plans = plan_sweep(sweep_spec({**given, "search": {**ASHA, "grace": 600}}))
    train(plans[0], tmp_path)
    lost: list[TrainingOutcome] = []
    with killing_the_first(tmp_path) as killed:
        engine = engine_called("ray", {}, plans[0].search)
        (found,) = with_retries(engine, plans[1:], tmp_path, workers=1, on_lost=lost.append)
    assert len(killed) == len(lost) == 1
    assert found.trained is not None
    assert not found.trained.by_search
    assert list_runs(tmp_path)["status"].tolist() == ["finished"] * 2
    assert list_runs(tmp_path)["steps"].tolist() == [1500] * 2
    assert [each.run for each in trashed_runs(tmp_path)] == ["engines/low-seed0"]


TOML = """
name = "mine"
task = "recall"
model = "rnn"
settings = { steps = 60, batch = 4, hidden = 8, lr = 1e-9 }
lengths = [30]

[arms.baseline]
nonlinearity = "identity"
init_std = 0.5

[arms.orthogonal]
init = "orthogonal"

[search]
stop_on = ["exploding"]
grace = 20
"""


@pytest.mark.slow
def test_a_training_that_explodes_is_stopped_without_ray(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TOML)
    assert main(["sweep", str(path), "--root", str(tmp_path), "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "2 runs: 2 trained, 1 of them stopped early, 0 there already." in said
    assert "stopped: baseline-seed0: exploding at step " in said
    runs = {run.manifest.arm: run for run in map(load_run, sorted((tmp_path / "mine").iterdir()))}
    assert (runs["baseline"].manifest.status, runs["orthogonal"].manifest.status) == ("stopped", "finished")
    assert len(runs["baseline"].steps) == 20
    assert runs["baseline"].manifest.error is not None
    assert runs["baseline"].manifest.error.startswith("exploding at step 19: ")
    assert main(["sweep", str(path), "--root", str(tmp_path)]) == 0
    assert "2 runs: 0 trained, 2 there already." in capsys.readouterr().out
    path.write_text(TOML.partition("[search]")[0])
    plans = plan_sweep(read_sweep(path))
    waiting = standing(plans, tmp_path).waiting  # without a search it is trained to its end
    assert [plan.arm for plan in waiting] == ["baseline"]
    clear(waiting, tmp_path)
    assert len(trashed_runs(tmp_path)) == 1


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({}, r"^sweep: search: it stops nothing; give stop_on"),
        ({"stop_on": ["explode"]}, r"^sweep: search: stop_on 'explode': it is none of stuck, .*, exploding, "),
        ({"stop_on": ["exploding"], "grce": 3}, r"^sweep: search\.grce: no setting of the table search"),
        ({"scheduler": "median"}, r"^sweep: search\.scheduler 'median' cannot be used: input should be 'asha'"),
        ({"scheduler": "asha", "grace": 30}, r"^sweep: search: grace 30: no training has more steps than that, and 30"),
        ({"scheduler": "asha", "reduction": 1}, r"^sweep: search\.reduction 1 cannot be used: .* equal to 2"),
    ],
)
def test_what_cannot_be_meant_is_refused(search: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        spec_of(**search)


def test_trainings_are_compared_by_ray_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TOML + 'scheduler = "asha"\n')
    assert main(["sweep", str(path), "--root", str(tmp_path)]) == 2
    assert "engine processes: search: scheduler asha compares trainings while they run" in capsys.readouterr().err
    path.write_text(TOML + "reduction = 1\n")
    assert main(["sweep", str(path), "--root", str(tmp_path)]) == 2
    assert "line 18: search.reduction 1 cannot be used" in capsys.readouterr().err


def test_the_keys_of_a_search_are_in_the_manual() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "lab.md").read_text(encoding="utf-8")
    rows = [f"| `{each.name}` | {each.default or 'none'} | {each.help} |" for each in declared(SearchSpec)]
    assert "| key of `[search]` | by default | what it is |\n|---|---|---|\n" + "\n".join(rows) in manual
    assert "exploding" in alert_names()
