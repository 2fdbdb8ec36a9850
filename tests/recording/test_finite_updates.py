"""``on_nonfinite``: the update of a gradient that is not finite is made, left out, or ends the training before it."""

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import Optimizer

import graddiag
from graddiag import schema
from graddiag.errors import StopTraining
from tests.recording.finite import BAD, PLAIN, SGD, STEPS, Training, same, spoil, steps_of
from tests.recording.optimizers import Parts, batch, is_clean, parts


@pytest.mark.parametrize("on_nonfinite", ["continue", "skip", "stop"])
@pytest.mark.parametrize("name", PLAIN)
def test_a_finite_training_is_the_same_to_the_bit(name: str, on_nonfinite: str, tmp_path: Path) -> None:
    alone = Training(PLAIN[name]).run(None)
    training = Training(PLAIN[name])
    assert same(training.run(tmp_path, on_nonfinite=on_nonfinite, every=2), alone)
    assert steps_of(tmp_path).steps[schema.UPDATES_SKIPPED].tolist() == [0] * STEPS
    assert is_clean(training.model, training.optimizer)
    assert "step" not in vars(training.optimizer)


@pytest.mark.parametrize("every", [1, 50])
@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
@pytest.mark.parametrize("name", PLAIN)
def test_skip_leaves_the_update_out_and_nothing_else(name: str, value: float, every: int, tmp_path: Path) -> None:
    """Weights and state are those of a training that passes over these steps."""
    wanted = Training(PLAIN[name]).run(None, left_out=(0, 3, 4))
    training = Training(PLAIN[name], bad=((0, 0), (3, 0), (4, 0)), value=value)
    with pytest.warns(RuntimeWarning, match="holds NaN or inf") as told:
        found = training.run(tmp_path, on_nonfinite="skip", every=every)
    assert same(found, wanted)
    assert len(told) == 1
    run = steps_of(tmp_path)
    assert run.steps[schema.UPDATES_SKIPPED].tolist() == [1, 0, 2, 0, 0]
    assert run.steps[schema.NONFINITE].tolist() == [0] * 5
    events = run.events[run.events[schema.KIND] == schema.EVENT_UPDATE_SKIPPED]
    assert events[[schema.STEP, schema.WHERE, schema.VALUE]].to_numpy().tolist() == [
        [0, "on_nonfinite", 1.0],
        [2, "on_nonfinite", 2.0],
    ]


@pytest.mark.parametrize("name", ["lbfgs", "lbfgs-plain"])
def test_a_later_evaluation_puts_back_what_the_step_had_changed(name: str, tmp_path: Path) -> None:
    wanted = Training(PLAIN[name]).run(None, left_out=(3,))
    training = Training(PLAIN[name], bad=((3, 1),))
    with pytest.warns(RuntimeWarning, match="holds NaN or inf"):
        assert same(training.run(tmp_path, on_nonfinite="skip"), wanted)
    assert steps_of(tmp_path).steps[schema.UPDATES_SKIPPED].tolist() == [0, 0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize("name", PLAIN)
def test_stop_raises_before_the_update(name: str, tmp_path: Path) -> None:
    before = Training(PLAIN[name]).run(None, left_out=tuple(range(3, STEPS)))
    training = Training(PLAIN[name], bad=((3, 0),))
    with pytest.raises(StopTraining, match=r"^step 3: the gradient holds NaN or inf"):
        training.run(tmp_path, on_nonfinite="stop")
    assert same(training.state(), before)
    run = steps_of(tmp_path)
    assert run.manifest.status == "failed"
    assert str(run.manifest.error).startswith("StopTraining: step 3")
    assert run.steps[schema.GRAD_NORM_CLIPPED].map(math.isfinite).tolist() == [True, True, True, False]
    assert is_clean(training.model, training.optimizer)
    assert graddiag.StopTraining is StopTraining


def test_continue_makes_the_update(tmp_path: Path) -> None:
    alone = Training(SGD, bad=((3, 0),)).run(None)
    found = Training(SGD, bad=((3, 0),)).run(tmp_path)
    assert not all(bool(each.isfinite().all()) for each in found["model"].values())
    pairs = zip(alone["model"].values(), found["model"].values(), strict=True)
    assert all(torch.equal(a.isnan(), b.isnan()) for a, b in pairs)


def test_where_it_began_is_in_the_event(tmp_path: Path) -> None:
    """An inf that enters at timestep 2 of the decoder."""
    model = parts()
    optimizer = SGD(model)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, on_nonfinite="skip", cells=()) as recorder:
        for step in range(3):
            optimizer.zero_grad()
            h = model(batch(step))
            weight = torch.ones_like(h)
            weight[2] = math.inf if step == 1 else 1
            with pytest.warns(RuntimeWarning, match="timestep 2") if step == 1 else nullcontext():
                (h * weight).sum().backward()
                recorder.log(loss=float(step))
                optimizer.step()
    (event,) = steps_of(tmp_path).events.message
    assert "already where the loss enters the layer, at timestep 2. Where: decoder layer 0 forward timestep 2" in event
    assert steps_of(tmp_path).steps.loss.tolist() == [0.0, 2.0]


def test_the_step_that_was_stopped_is_recorded(tmp_path: Path) -> None:
    model = parts()
    optimizer = SGD(model)
    with (
        pytest.raises(StopTraining, match=r"^step 2: "),
        graddiag.watch(model, optimizer, run="r", root=tmp_path, on_nonfinite="stop", cells=()) as recorder,
    ):
        for step in range(4):
            optimizer.zero_grad()
            loss = model(batch(step)).square().mean() * (math.inf if step == 2 else 1)
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()
    run = steps_of(tmp_path)
    assert (run.steps[schema.NONFINITE] > 0).tolist() == [False, False, True]
    found = graddiag.diagnose(run)
    assert (found.outcome.name, found.cause) == ("broken", "non-finite")
    assert all(bool(each.isfinite().all()) for each in model.parameters())


def test_what_is_left_out_at_the_end_is_an_event_too(tmp_path: Path) -> None:
    training = Training(SGD, bad=((6, 0), (7, 0)))
    with pytest.warns(RuntimeWarning, match="holds NaN or inf"):
        training.run(tmp_path, on_nonfinite="skip")
    events = steps_of(tmp_path).events
    assert events[[schema.STEP, schema.VALUE]].to_numpy().tolist() == [[5, 2.0]]


def test_each_of_several_optimizers_is_judged_by_its_own_gradient(tmp_path: Path) -> None:
    def trained(bad: int | None, left_out: int | None, root: Path | None) -> Parts:
        model = parts()
        encoder, decoder = (torch.optim.Adam(part.parameters(), lr=0.05) for part in (model.encoder, model.decoder))
        watched = nullcontext()
        if root is not None:
            watched = graddiag.watch(model, [encoder, decoder], run="r", root=root, on_nonfinite="skip")
        with watched:
            for step in range(6):
                model.zero_grad()
                model(batch(step)).square().mean().backward()
                if step == bad:
                    spoil(model.decoder, math.nan)
                encoder.step()
                if step != left_out:
                    decoder.step()
        return model

    wanted = trained(None, 2, None)
    with pytest.warns(RuntimeWarning, match="holds NaN or inf"):
        found = trained(2, None, tmp_path)
    assert same(found.state_dict(), wanted.state_dict())
    run = steps_of(tmp_path)
    assert run.steps[["updates_0", "updates_1"]].to_numpy().tolist() == [[1, 1], [1, 1], [2, 1], [1, 1], [1, 1]]
    assert run.steps[schema.UPDATES_SKIPPED].tolist() == [0, 0, 1, 0, 0]


class Sharpness(Optimizer):
    """SAM: it moves the weights before it calls the closure, and its base makes the update."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {"rho": 0.05})
        self.base_optimizer = torch.optim.SGD(self.param_groups, lr=0.1, momentum=0.9)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        held = [p for group in self.param_groups for p in group["params"]]
        old = [p.clone() for p in held]
        norm = torch.stack([p.grad.norm() for p in held]).norm()
        for p in held:
            p.add_(p.grad * (0.05 / norm))
        torch.enable_grad()(closure)()
        for p, before in zip(held, old, strict=True):
            p.copy_(before)
        self.base_optimizer.step()


@pytest.mark.parametrize("first", [True, False])
def test_an_optimizer_that_moves_weights_first_is_put_back(first: bool, tmp_path: Path) -> None:
    def trained(bad: int | None, left_out: int | None, root: Path | None) -> Parts:
        model = parts()
        optimizer = Sharpness(model.parameters())
        watched = nullcontext()
        if root is not None:
            watched = graddiag.watch(model, optimizer, run="r", root=root, on_nonfinite="skip", every=2)
        with watched:
            for step in range(6):
                model.zero_grad()
                model(batch(step)).square().mean().backward()
                if step == bad and first:
                    spoil(model, math.inf)

                def again(step: int = step) -> None:
                    model.zero_grad()
                    model(batch(step)).square().mean().backward()
                    if step == bad:
                        spoil(model, math.inf)

                if step != left_out:
                    optimizer.step(again)
        return model

    assert same(trained(None, None, tmp_path / "finite").state_dict(), trained(None, None, None).state_dict())
    with pytest.warns(RuntimeWarning, match="holds NaN or inf"):
        found = trained(3, None, tmp_path / "bad")
    assert same(found.state_dict(), trained(None, 3, None).state_dict())
