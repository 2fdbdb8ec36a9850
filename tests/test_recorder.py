"""``watch``: the training goes on as if nobody looked, and what is on the disk is what happened."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import schema
from graddiag.errors import InputError, SettingError
from tests.tracing.models import CELLS, HOMES, hooks_of

HOME_AND_CELL = [pytest.param(home, cell, id=f"{name}-{cell}") for name, home in HOMES.items() for cell in CELLS]


class Model(nn.Module):
    """Two layers with dropout in between and an answer at the last timestep."""

    def __init__(self, home: object = torch.nn, cell: str = "LSTM", **settings: object) -> None:
        super().__init__()
        self.rnn = getattr(home, cell)(3, 6, **{"num_layers": 2, "dropout": 0.4, **settings})
        self.head = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][-1]).squeeze(-1)


def clip_by_norm(model: nn.Module) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), 0.05)


def clip_by_value(model: nn.Module) -> None:
    nn.utils.clip_grad_value_(model.parameters(), 0.01)


def clip_by_hand(model: nn.Module) -> None:
    for p in model.parameters():
        p.grad.data.clamp_(-0.01, 0.01)


def train(model: nn.Module, root: Path | None, steps: int = 20, clip: object = clip_by_norm, every: int = 1) -> Tensor:
    """Trains for some steps, watched if there is a root, and gives all parameters and the generator's state."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    watched = nullcontext() if root is None else graddiag.watch(model, optimizer, run="r", root=root, every=every)
    with watched as recorder:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = model(torch.randn(7, 4, 3)).square().mean()
            loss.backward()
            clip(model)
            if recorder is not None:
                recorder.log(loss=loss)
            optimizer.step()
    flat = nn.utils.parameters_to_vector(model.parameters()).detach()
    return torch.cat((flat, torch.get_rng_state().float()))


@pytest.mark.parametrize(("home", "cell"), HOME_AND_CELL)
@pytest.mark.parametrize("every", [1, 7])
def test_the_same_bits_after_twenty_steps(home: object, cell: str, every: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    alone = train(Model(home, cell), None)
    torch.manual_seed(0)
    model = Model(home, cell)
    watched = train(model, tmp_path, every=every)

    assert torch.equal(alone, watched)
    assert hooks_of(model) == 0
    run = graddiag.load_run(tmp_path / "r")
    assert run.manifest.status == "finished"
    assert run.steps[schema.STEP].tolist() == list(range(20))
    recorded = list(range(0, 20, every))
    assert sorted(run.timesteps[schema.STEP].unique()) == sorted(run.parameters[schema.STEP].unique()) == recorded
    assert len(run.timesteps) == len(recorded) * 2 * 7
    assert len(run.gates) == len(run.timesteps) * {"RNN": 1, "LSTM": 4, "GRU": 3}[cell]


@pytest.mark.parametrize("clip", [clip_by_norm, clip_by_value, clip_by_hand])
def test_norms_before_and_after_whoever_clips(clip: Callable[[nn.Module], None], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, seen = Model(), []

    def clip_and_note(model: nn.Module) -> None:
        before = [p.grad.double().norm().item() for p in model.parameters()]
        clip(model)
        seen.append((before, [p.grad.double().norm().item() for p in model.parameters()]))

    train(model, tmp_path, 3, clip_and_note)
    run = graddiag.load_run(tmp_path / "r")
    names = [name for name, _ in model.named_parameters()]
    for step, (before, after) in enumerate(seen):
        rows = run.parameters[run.parameters[schema.STEP] == step].set_index(schema.PARAMETER).loc[names]
        assert rows[schema.GRAD_NORM].tolist() == pytest.approx(before, rel=1e-6)
        assert rows[schema.GRAD_NORM_CLIPPED].tolist() == pytest.approx(after, rel=1e-6)
        row = run.steps.loc[step]
        assert row[schema.GRAD_NORM] == pytest.approx(math.hypot(*before), rel=1e-12)
        assert row[schema.GRAD_NORM_CLIPPED] == pytest.approx(math.hypot(*after), rel=1e-12)
        assert row[schema.CLIP_COEFFICIENT] == pytest.approx(math.hypot(*after) / math.hypot(*before), rel=1e-12)
    assert run.events[schema.KIND].tolist() == [schema.EVENT_FIRST_CLIP]


def test_without_clipping_the_coefficient_is_one_to_the_bit(tmp_path: Path) -> None:
    train(Model(), tmp_path, 3, clip=lambda model: None)
    run = graddiag.load_run(tmp_path / "r")
    assert run.steps[schema.CLIP_COEFFICIENT].tolist() == [1.0] * 3
    assert len(run.events) == 0


def test_updates_and_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.RNN(3, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    with graddiag.watch(model, optimizer, run="r", root=tmp_path):
        model(torch.randn(5, 2, 3))[0].square().sum().backward()
        optimizer.step()

    run = graddiag.load_run(tmp_path / "r")
    rows = run.parameters.set_index(schema.PARAMETER)
    for name, p in model.named_parameters():
        assert rows.loc[name, schema.WEIGHT_NORM] == pytest.approx(weights[name].norm().item(), rel=1e-6)
        ratio = 0.5 * p.grad.norm().item() / weights[name].norm().item()
        assert rows.loc[name, schema.UPDATE_RATIO] == pytest.approx(ratio, rel=1e-5)
    total = {
        key: math.hypot(*(t.norm() for t in group))
        for key, group in (("g", [p.grad for p in model.parameters()]), ("w", weights.values()))
    }
    assert run.steps[schema.UPDATE_RATIO].tolist() == [pytest.approx(0.5 * total["g"] / total["w"], rel=1e-5)]
    assert run.steps[schema.LR].tolist() == [0.5]
    W = model.weight_hh_l0.detach().double()
    assert rows.loc["weight_hh_l0", schema.SPECTRAL_NORM] == pytest.approx(
        torch.linalg.matrix_norm(W, 2).item(), rel=1e-6
    )
    radius = torch.linalg.eigvals(W).abs().max().item()
    assert rows.loc["weight_hh_l0", schema.SPECTRAL_RADIUS] == pytest.approx(radius, rel=1e-6)
    assert rows[schema.SPECTRAL_NORM].isna().sum() == 3


def test_scalars_that_are_logged(tmp_path: Path) -> None:
    model = nn.RNN(3, 4)
    with graddiag.watch(model, run="r", root=tmp_path) as recorder:
        for step in range(3):
            loss = model(torch.randn(5, 2, 3))[0].sum()
            recorder.log(loss=loss, ppl=step)
            loss.data.zero_()  # what is logged is the value of then
            recorder.log(**({"extra": math.nan} if step == 1 else {}))
            recorder.step()
    steps = graddiag.load_run(tmp_path / "r").steps
    assert (steps[schema.LOSS] != 0).all()
    assert steps["ppl"].tolist() == [0, 1, 2]
    extra = steps["extra"].astype(object).tolist()
    assert math.isnan(extra[1])
    assert not any(isinstance(value, float) for value in (extra[0], extra[2])), "missing, not NaN"


@pytest.mark.parametrize("name", [schema.GRAD_NORM, schema.STEP, schema.WALL_TIME])
def test_names_that_the_table_keeps_for_itself(name: str, tmp_path: Path) -> None:
    with (
        graddiag.watch(nn.RNN(3, 4), run="r", root=tmp_path) as recorder,
        pytest.raises(SettingError, match=name),
    ):
        recorder.log(**{name: 1.0})


def test_settings_that_cannot_be_meant(tmp_path: Path) -> None:
    model = nn.RNN(3, 4)
    with pytest.raises(SettingError, match=r"watch\(every=0\): it cannot be below 1"):
        graddiag.watch(model, run="r", root=tmp_path, every=0)
    other = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=1)
    with pytest.raises(SettingError, match=r"watch\(RNN, SGD\): the optimizer holds none of the model's parameters"):
        graddiag.watch(model, other, run="r", root=tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="file"):
        graddiag.watch(model, run="r", root=tmp_path / "file")
    assert hooks_of(model) == 0


def test_step_by_hand_is_refused_where_an_optimizer_ends_the_steps(tmp_path: Path) -> None:
    model = nn.RNN(3, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=1)
    with (
        graddiag.watch(model, optimizer, run="r", root=tmp_path) as recorder,
        pytest.raises(SettingError, match=r"recorder.step\(\): this run watches an optimizer"),
    ):
        recorder.step()


def test_the_manifest_says_what_the_run_is(tmp_path: Path) -> None:
    told = {"experiment": "e", "arm": "a", "seed": 3, "task": "t", "clip": "norm:1.0", "loss_reduction": "mean"}
    with graddiag.watch(nn.RNN(3, 4), run="r", root=tmp_path, every=2, config={"lr": 0.1}, **told) as recorder:
        assert graddiag.load_run(recorder.path).manifest.status == "running"
    manifest = graddiag.load_run(recorder.path).manifest
    assert {name: getattr(manifest, name) for name in told} == told
    assert (manifest.name, manifest.model, manifest.every, manifest.config) == ("r", "RNN", 2, {"lr": 0.1})
    assert manifest.versions["torch"] == torch.__version__
    assert manifest.finished is not None
    assert manifest.environment["device"] == "cpu"
