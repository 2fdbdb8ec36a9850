"""``watch(on_finding=...)`` in a loop: who is called when, and what becomes of the training."""

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import alerts
from graddiag.alerts import Alert
from graddiag.errors import SettingError, StopTraining
from tests.test_recorder import Model

STEPS, BAD = 20, 8


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a check takes, the next is not put off: these trainings take a second."""
    monkeypatch.setattr("graddiag.alerts.checks.MOST_SHARE", 1e9)


def train(root: Path | None, *, bad: int | None = None, steps: int = STEPS, **settings: Any) -> Tensor:
    """Weights and the generator's state; from step ``bad`` on the loss is inf."""
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    watched = nullcontext() if root is None else graddiag.watch(model, optimizer, run="r", root=root, **settings)
    with watched as recorder:
        for step in range(steps):
            optimizer.zero_grad()
            loss = model(torch.randn(7, 4, 3)).square().mean()
            if bad is not None and step >= bad:
                loss = loss * math.inf
            loss.backward()
            if recorder is not None:
                recorder.log(loss=loss)
            optimizer.step()
    flat = nn.utils.parameters_to_vector(model.parameters()).detach()
    return torch.cat((flat, torch.get_rng_state().float()))


@pytest.mark.parametrize("every", [1, 3])
def test_it_changes_no_bit_of_the_training(every: int, tmp_path: Path) -> None:
    called: list[Alert] = []
    watched = train(tmp_path, every=every, on_finding=[called.append, alerts.stop], check_every=4)
    assert torch.equal(watched, train(None))
    assert called == []


def test_an_outcome_that_fails_and_its_cause_are_called_once(tmp_path: Path) -> None:
    called: list[Alert] = []
    train(tmp_path, bad=BAD, on_finding=called.append, check_every=3)
    assert {(each.kind, each.name) for each in called} >= {("outcome", "broken"), ("cause", "non-finite")}
    assert len({(each.kind, each.name, each.cleared) for each in called}) == len(called)
    first = called[0]
    assert (first.step >= BAD, first.run, first.path, first.cleared) == (True, "r", tmp_path / "r", False)
    assert first.diagnosis.outcome.name == "broken"
    assert graddiag.load_run(first.path).manifest.status == "finished"


def test_it_is_asked_every_so_many_steps_however_few_are_recorded(tmp_path: Path) -> None:
    called: list[Alert] = []
    train(tmp_path, bad=BAD, every=STEPS, on_finding=called.append, check_every=7)
    assert called[0].step == 13
    assert {each.step for each in called} <= {13, STEPS - 1}


def test_a_training_shorter_than_check_every_is_checked_when_it_ends(tmp_path: Path) -> None:
    called: list[Alert] = []
    train(tmp_path, bad=BAD, on_finding=[called.append, alerts.stop])
    assert {each.step for each in called} == {STEPS - 1}
    assert called[0].diagnosis == graddiag.diagnose(graddiag.load_run(tmp_path / "r"))
    assert graddiag.load_run(tmp_path / "r").manifest.status == "finished"


def test_one_that_fails_is_checked_too_and_one_that_is_interrupted_is_not(tmp_path: Path) -> None:
    called: list[Alert] = []
    for run, ending in ({"failed": ValueError, "interrupted": KeyboardInterrupt}).items():
        model = Model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with (
            pytest.raises(ending),
            graddiag.watch(model, optimizer, run=run, root=tmp_path, on_finding=called.append) as recorder,
        ):
            for _ in range(3):
                optimizer.zero_grad()
                (model(torch.randn(7, 4, 3)).mean() * math.inf).backward()
                recorder.log(loss=math.inf)
                optimizer.step()
            raise ending
    assert {each.run for each in called} == {"failed"}
    assert "broken" in {each.name for each in called}


def test_a_callback_that_raises_at_the_end_leaves_the_error_of_the_training_as_it_is(tmp_path: Path) -> None:
    def broken(alert: Alert) -> None:
        raise OSError("no network")

    def fail() -> None:
        model = Model()
        with graddiag.watch(model, run="r", root=tmp_path, on_finding=broken) as recorder:
            (model(torch.randn(7, 4, 3)).mean() * math.inf).backward()
            recorder.log(loss=math.inf)
            recorder.step()
            raise ZeroDivisionError

    with pytest.warns(RuntimeWarning, match="on_finding raised at step 0: OSError"), pytest.raises(ZeroDivisionError):
        fail()
    assert str(graddiag.load_run(tmp_path / "r").manifest.error).startswith("ZeroDivisionError")


def test_stop_training_leaves_the_loop_after_the_update(tmp_path: Path) -> None:
    with pytest.raises(StopTraining, match=r"^r, step \d+: BROKEN BY NaN OR INF"):
        train(tmp_path, bad=BAD, on_finding=alerts.stop, check_every=1)
    run = graddiag.load_run(tmp_path / "r")
    assert run.manifest.status == "failed"
    assert str(run.manifest.error).startswith("StopTraining: r, step ")
    assert BAD < len(run.steps) < STEPS


def test_a_callback_that_raises_ends_no_training(tmp_path: Path) -> None:
    def broken(alert: Alert) -> None:
        raise OSError("no network")

    with pytest.warns(RuntimeWarning, match="on_finding raised at step") as warned:
        train(tmp_path, bad=BAD, on_finding=broken, check_every=1)
    assert len(warned) == 1
    run = graddiag.load_run(tmp_path / "r")
    assert (run.manifest.status, len(run.steps)) == ("finished", STEPS)


def test_a_callback_may_diagnose_and_log(tmp_path: Path) -> None:
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen: list[str] = []

    def ask(alert: Alert) -> None:
        seen.append(recorder.diagnose().outcome.name)
        recorder.log(alerts=1.0)

    with graddiag.watch(model, optimizer, run="r", root=tmp_path, on_finding=ask, check_every=1) as recorder:
        for _ in range(4):
            optimizer.zero_grad()
            (model(torch.randn(7, 4, 3)).mean() * math.inf).backward()
            recorder.log(loss=math.inf)
            optimizer.step()
    assert set(seen) == {"broken"}
    assert graddiag.load_run(tmp_path / "r").steps["alerts"].notna().any()


def test_a_loop_without_an_optimizer_is_asked_too(tmp_path: Path) -> None:
    model, called = Model(), list[Alert]()
    with graddiag.watch(model, run="r", root=tmp_path, on_finding=called.append, check_every=2) as recorder:
        for _ in range(4):
            model(torch.randn(7, 4, 3)).mean().backward()
            recorder.log(loss=math.nan)
            recorder.step()
    assert "broken" in {each.name for each in called}


def test_what_cannot_be_asked_is_refused_before_there_is_a_run(tmp_path: Path) -> None:
    model = Model()
    with pytest.raises(SettingError, match="pass a function that takes an alert"):
        graddiag.watch(model, run="r", root=tmp_path, on_finding="print")  # type: ignore[arg-type]
    assert not (tmp_path / "r").exists()
