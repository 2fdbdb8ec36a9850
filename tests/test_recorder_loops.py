"""Training loops as people write them: accumulation, closures, no optimizer, evaluation in between, thawed layers."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import schema
from tests.test_recorder import Model
from tests.tracing.models import HOMES, captured, hooks_of

either_home = pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)


def data() -> Tensor:
    return torch.randn(7, 4, 3)


def grad_norm(model: nn.Module) -> float:
    return math.hypot(*(p.grad.double().norm().item() for p in model.parameters() if p.grad is not None))


def test_accumulated_gradients_count_as_accumulated_once_a_step(tmp_path: Path) -> None:
    model, norms = Model(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path):
        for _ in range(3):
            optimizer.zero_grad()
            for _ in range(4):
                (model(data()).square().mean() / 4).backward()
            norms.append(grad_norm(model))
            optimizer.step()
    run = graddiag.load_run(tmp_path / "r")
    assert run.steps[schema.GRAD_NORM].tolist() == pytest.approx(norms, rel=1e-12)
    assert run.timesteps[schema.CALL].unique().tolist() == [0, 1, 2, 3]
    assert len(run.timesteps) == 3 * 4 * 2 * 7


@pytest.mark.parametrize(("name", "settings"), [("SGD", {}), ("Adam", {}), ("LBFGS", {"max_iter": 4})])
@pytest.mark.parametrize("by_keyword", [False, True])
def test_a_closure_is_measured_where_it_runs(
    name: str, settings: dict[str, int], by_keyword: bool, tmp_path: Path
) -> None:
    """The gradients come inside ``step(closure)``; LBFGS asks for them several times, and the last time counts."""
    results = []
    for watched in (False, True):
        torch.manual_seed(0)
        model, norms = Model(), []
        optimizer = getattr(torch.optim, name)(model.parameters(), lr=0.1, **settings)
        recorder = graddiag.watch(model, optimizer, run="r", root=tmp_path) if watched else None
        for _ in range(3):
            x = data()

            def closure(x: Tensor = x, model: nn.Module = model, optimizer: object = optimizer) -> Tensor:
                optimizer.zero_grad()
                loss = model(x).square().mean()
                loss.backward()
                return loss

            loss = optimizer.step(closure=closure) if by_keyword else optimizer.step(closure)
            assert isinstance(loss, Tensor)
            norms.append(grad_norm(model))
        if recorder is not None:
            recorder.close()
        results.append(nn.utils.parameters_to_vector(model.parameters()))

    assert torch.equal(*results)
    run = graddiag.load_run(tmp_path / "r")
    assert run.steps[schema.GRAD_NORM].tolist() == pytest.approx(norms, rel=1e-12)
    assert run.timesteps.groupby(schema.STEP).size().tolist() == [2 * 7] * 3
    assert run.timesteps[schema.CALL].unique().tolist() == [0]
    assert (run.steps[schema.UPDATE_RATIO] > 0).all()


@either_home
@pytest.mark.parametrize("quiet", [True, False], ids=["no_grad", "with-gradients"])
def test_evaluation_between_steps_is_not_recorded(home: object, quiet: bool, tmp_path: Path) -> None:
    model = Model(home)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path):
        for _ in range(3):
            model.eval()
            with torch.set_grad_enabled(not quiet):
                for _ in range(2):
                    model(data())
            model.train()
            optimizer.zero_grad()
            model(data()).square().mean().backward()
            optimizer.step()
    run = graddiag.load_run(tmp_path / "r")
    assert run.timesteps[schema.CALL].unique().tolist() == [0]
    assert len(run.timesteps) == 3 * 2 * 7
    assert (run.timesteps[schema.GRAD_H] > 0).all()


def test_a_loop_without_an_optimizer_object(tmp_path: Path) -> None:
    model, updates = nn.GRU(3, 4), []
    with graddiag.watch(model, run="r", root=tmp_path) as recorder:
        for _ in range(3):
            before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
            model.zero_grad()
            model(data())[0].square().mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.01)
            for p in model.parameters():
                p.data -= 0.3 * p.grad
            updates.append((0.3 * grad_norm(model) / before.norm()).item())
            recorder.step()
    steps = graddiag.load_run(tmp_path / "r").steps
    assert steps[schema.UPDATE_RATIO].tolist() == pytest.approx(updates, rel=1e-4)
    assert steps[schema.GRAD_NORM_CLIPPED].tolist() == pytest.approx([0.01] * 3, rel=1e-3)
    assert steps[schema.LR].isna().all()


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, None])
def test_a_model_without_a_recurrent_layer(optimizer: type | None, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, None if optimizer is None else sgd, run="r", root=tmp_path, cells=()) as recorder:
        for _ in range(2):
            sgd.zero_grad()
            model(torch.randn(5, 3)).square().sum().backward()
            sgd.step()
            if optimizer is None:
                recorder.step()
    run = graddiag.load_run(tmp_path / "r")
    assert len(run.timesteps) == len(run.gates) == len(run.events) == 0
    assert run.parameters[schema.PARAMETER].tolist() == 2 * ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert (run.steps[schema.GRAD_NORM] > 0).all()


def test_parameters_frozen_and_thawed(tmp_path: Path) -> None:
    model = Model()
    model.rnn.requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path):
        for step in range(4):
            model.rnn.requires_grad_(step >= 2)
            optimizer.zero_grad()
            model(data()).square().mean().backward()
            optimizer.step()
    run = graddiag.load_run(tmp_path / "r")
    assert sorted(run.timesteps[schema.STEP].unique()) == [2, 3]
    rnn = run.parameters[run.parameters[schema.PARAMETER] == "rnn.weight_hh_l0"]
    assert rnn[rnn[schema.GRAD_NORM] > 0][schema.STEP].tolist() == [2, 3]
    assert rnn[rnn[schema.STEP] < 2][schema.GRAD_NORM].isna().all()
    assert len(run.events) == 0


def test_weights_that_two_modules_share_are_counted_once(tmp_path: Path) -> None:
    model = nn.ModuleList([nn.RNN(3, 3), nn.RNN(3, 3)])
    model[1].weight_hh_l0 = model[0].weight_hh_l0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path):
        model[1](model[0](data())[0])[0].sum().backward()
        norm = grad_norm(model)
        optimizer.step()
    run = graddiag.load_run(tmp_path / "r")
    assert run.steps[schema.GRAD_NORM].tolist() == pytest.approx([norm], rel=1e-12)
    assert run.parameters[schema.PARAMETER].is_unique
    assert set(run.timesteps[schema.MODULE]) == {"0", "1"}


@either_home
def test_truncated_back_propagation_carries_a_detached_state(home: object, tmp_path: Path) -> None:
    """Three windows a step; each window's gradient ends where the state was detached."""
    rnn = home.LSTM(3, 4)
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.1)
    with graddiag.watch(rnn, optimizer, run="r", root=tmp_path):
        state, outputs = None, []
        for _ in range(3):
            output, state = rnn(data(), state)
            state = tuple(s.detach() for s in state)
            outputs.append(output[-1])
        torch.stack(outputs).sum().backward()
        optimizer.step()
    frame = graddiag.load_run(tmp_path / "r").timesteps
    ends = frame[frame[schema.TIMESTEP] == 6]
    assert ends[schema.CALL].tolist() == [0, 1, 2]
    assert ends[schema.GRAD_H].tolist() == pytest.approx([4.0] * 3, rel=1e-6), "sqrt(N H), the immediate one alone"


@either_home
def test_a_capture_of_a_watched_model(home: object, tmp_path: Path) -> None:
    """Both hear the same, and the run is the one it would have been."""
    runs = []
    for name, twice in (("alone", False), ("both", True)):
        torch.manual_seed(0)
        model = home.LSTM(3, 4, num_layers=2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with graddiag.watch(model, optimizer, run=name, root=tmp_path) as recorder:
            if twice:
                assert len(captured(model, data()).traces) == 2
            else:
                model(data())[0].square().sum().backward()
            optimizer.step()
        runs.append(graddiag.load_run(recorder.path).timesteps)
    assert runs[0].equals(runs[1])
    assert runs[0][schema.LAYER].tolist() == [0] * 7 + [1] * 7
    assert hooks_of(model) == 0


def test_steps_end_where_the_watched_optimizer_ends_them(tmp_path: Path) -> None:
    """A second optimizer over the same parameters (a warm-up, a discriminator) is none of the run's business."""
    model = Model()
    watched, other = (torch.optim.SGD(model.parameters(), lr=0.1) for _ in range(2))
    with graddiag.watch(model, watched, run="r", root=tmp_path, every=2):
        for step in range(6):
            (other if step % 2 else watched).zero_grad()
            model(data()).square().mean().backward()
            (other if step % 2 else watched).step()
    steps = graddiag.load_run(tmp_path / "r").steps
    assert steps[schema.STEP].tolist() == [0, 1, 2]
    assert all(a < b for a, b in pairwise(steps[schema.WALL_TIME]))
    run = graddiag.load_run(tmp_path / "r")
    assert run.timesteps.call.nunique() == 1
    assert not len(run.events)
