"""Engines: Ray trains what the processes train, number by number, and one that fails stops no other."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from graddiag import load_run
from graddiag.cli import main
from graddiag.errors import MissingLibraryError, SettingError
from graddiag.lab import plan_arms, ray_pool, training_spec
from graddiag.lab.engines import engine_called
from graddiag.lab.sweeps import plan_sweep, sweep_spec
from tests.needs import needs

SPEC: dict[str, Any] = {
    "name": "engines",
    "task": "recall",
    "model": "lstm",
    "settings": {"steps": 4, "batch": 3, "hidden": 4, "h_detach": 0.5},
    "arms": {"baseline": {}, "clipped": {"clip": "norm:0.1"}},
    "seeds": [0, 1],
    "lengths": [5],
}


def test_an_engine_that_is_not_known_is_told_by_name() -> None:
    with pytest.raises(SettingError, match=r"^engine 'slurm': it is one of processes, ray\.$"):
        engine_called("slurm")


def test_without_ray_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ray_pool, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'graddiag\[ray\]'"):
        engine_called("ray")
    assert main(["sweep", str(tmp_path / "none.toml"), "--engine", "ray"]) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_ray_gives_the_numbers_of_the_processes(tmp_path: Path) -> None:
    needs("ray", "ray")
    plans = plan_sweep(sweep_spec(SPEC))
    roots = {name: tmp_path / name for name in ("processes", "ray")}
    found = {name: list(engine_called(name)(plans, root, workers=2)) for name, root in roots.items()}
    assert all(outcome.trained is not None for outcomes in found.values() for outcome in outcomes)
    for plan in plans:
        one, other = (load_run(root / "engines" / plan.name) for root in roots.values())
        clock = ["wall_time"]
        pd.testing.assert_frame_equal(one.steps.drop(columns=clock), other.steps.drop(columns=clock), check_exact=True)
        pd.testing.assert_frame_equal(one.timesteps, other.timesteps, check_exact=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_one_that_fails_on_ray_stops_no_other(tmp_path: Path) -> None:
    needs("ray", "ray")
    text = tmp_path / "short.txt"
    text.write_text("abc")
    small: dict[str, Any] = {"steps": 2, "batch": 2, "hidden": 4, "length": 5}
    specs = {
        "baseline": training_spec("text", "rnn", **small),
        "broken": training_spec("text", "rnn", text=text, **small),
    }
    plans = plan_arms(specs, [0], "mixed")
    outcomes = {outcome.plan.arm: outcome for outcome in engine_called("ray")(plans, tmp_path, workers=1)}
    assert outcomes["baseline"].trained is not None
    assert "sequences of 5 characters" in str(outcomes["broken"].error)
