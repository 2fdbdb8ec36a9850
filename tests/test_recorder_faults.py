"""Faults of a training loop, seen where they are and nowhere else; the training keeps its bits."""

import pickle
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import schema
from tests.test_recorder import Model

STEPS = 6
Loop = Callable[[nn.Module, torch.optim.Optimizer], None]


def data() -> Tensor:
    return torch.randn(7, 4, 3)


def loss_of(model: nn.Module) -> Tensor:
    return model(data()).square().mean()


def run_of(
    root: Path,
    step: Loop,
    build: Callable[[], nn.Module] = Model,
    make: Callable[..., torch.optim.Optimizer] = torch.optim.SGD,
    **settings: object,
) -> graddiag.Run:
    """A run of some steps of ``step``; the parameters are held against those of the same steps without a recorder."""
    weights = []
    for watched in (False, True):
        torch.manual_seed(0)
        model = build()
        optimizer = make(model.parameters(), lr=0.05)
        watch = graddiag.watch(model, optimizer, run="r", root=root, **settings) if watched else nullcontext()
        with watch:
            for _ in range(STEPS):
                step(model, optimizer)
        weights.append([p.detach() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    assert "zero_grad" not in vars(optimizer)
    return graddiag.load_run(root / "r")


def events_of(run: graddiag.Run, kind: str) -> list[list[object]]:
    events = run.events[run.events.kind == kind]
    return events[[schema.STEP, schema.WHERE, schema.VALUE]].values.tolist()


def zeroing(in_place: bool) -> Loop:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad(set_to_none=not in_place)
        loss_of(model).backward()
        optimizer.step()

    return step


def accumulating(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    for _ in range(3):
        loss_of(model).backward()
    optimizer.step()


def zeroing_behind(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    loss_of(model).backward()
    optimizer.step()
    model.zero_grad()


def twice(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad(set_to_none=False)
    model.zero_grad(set_to_none=False)
    loss_of(model).backward()
    optimizer.step()


def penalised(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """autograd.grad between the update and zero_grad calls the hooks of parameters, and adds nothing to them."""
    torch.autograd.grad(loss_of(model), list(model.parameters()))
    zeroing(False)(model, optimizer)


def closing(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        return loss

    optimizer.step(closure)


@pytest.mark.parametrize(
    "step",
    [zeroing(False), zeroing(True), accumulating, zeroing_behind, twice, penalised, closing],
    ids=["none", "in-place", "accumulating", "behind", "twice", "autograd.grad", "closure"],
)
@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.LBFGS])
def test_loops_without_a_fault(step: Loop, make: type, tmp_path: Path) -> None:
    if make is torch.optim.LBFGS and step is not closing:
        make = torch.optim.RMSprop
    run = run_of(tmp_path, step, make=make)
    assert run.events.empty
    assert run.steps[schema.GRADIENTS_NOT_ZEROED].tolist() == [0] * STEPS
    assert run.steps[schema.UNREACHED_MODULES].tolist() == [0] * STEPS
    assert run.steps[schema.UPDATES_SKIPPED].tolist() == [0] * STEPS


def forgetting(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    loss_of(model).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1e3)
    optimizer.step()


def closing_without(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    def closure() -> Tensor:
        loss = loss_of(model)
        loss.backward()
        return loss

    optimizer.step(closure)


@pytest.mark.parametrize("step", [forgetting, closing_without])
@pytest.mark.parametrize("every", [1, 4])
def test_gradients_that_are_never_zeroed(step: Loop, every: int, tmp_path: Path) -> None:
    run = run_of(tmp_path, step, every=every)
    n = len(list(Model().parameters()))
    assert run.steps[schema.GRADIENTS_NOT_ZEROED].tolist() == [0] + [n] * (STEPS - 1)
    assert events_of(run, schema.EVENT_GRADIENTS_NOT_ZEROED) == [[1, f"{n} of {n} parameters", n]]


def test_a_parameter_outside_of_the_optimizer_that_nobody_zeroes(tmp_path: Path) -> None:
    def make(parameters: object, lr: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(list(parameters)[1:], lr=lr)

    run = run_of(tmp_path, zeroing(False), make=make)
    name = next(name for name, _ in Model().named_parameters())
    assert run.manifest.not_in_optimizer == (name,)
    assert run.steps[schema.GRADIENTS_NOT_ZEROED].tolist() == [0] + [1] * (STEPS - 1)
    assert events_of(run, schema.EVENT_GRADIENTS_NOT_ZEROED) == [[1, name, 1]]
    own = run.parameters[run.parameters[schema.PARAMETER] == name]
    assert (own[schema.GRAD_NORM] > 0).all()
    assert own[schema.UPDATE_RATIO].tolist() == [0.0] * STEPS
    others = run.parameters[run.parameters[schema.PARAMETER] != name]
    assert (others[schema.UPDATE_RATIO] > 0).all()


def test_a_bias_of_0_that_is_not_updated_changes_by_0(tmp_path: Path) -> None:
    def build() -> nn.Module:
        model = Model()
        nn.init.zeros_(model.rnn.bias_hh_l0)
        return model

    def make(parameters: object, lr: float) -> torch.optim.Optimizer:
        return torch.optim.SGD([p for p in parameters if p.any()], lr=lr)

    run = run_of(tmp_path, zeroing(False), build, make)
    assert run.manifest.not_in_optimizer == ("rnn.bias_hh_l0",)
    bias = run.parameters[run.parameters[schema.PARAMETER] == "rnn.bias_hh_l0"]
    assert bias[schema.UPDATE_RATIO].tolist() == [0.0] * STEPS


def test_the_manifest_follows_what_is_frozen_and_held(tmp_path: Path) -> None:
    model = Model()
    model.rnn.bias_hh_l0.requires_grad_(False)
    optimizer = torch.optim.Adam([model.rnn.weight_hh_l0], lr=0.01, betas=(0.8, 0.99))
    with graddiag.watch(model, optimizer, run="r", root=tmp_path) as recorder:
        manifest = graddiag.load_run(recorder.path).manifest
        assert manifest.frozen == ("rnn.bias_hh_l0",)
        assert "rnn.weight_ih_l0" in manifest.not_in_optimizer
        assert {"class": "Adam", "groups": 1, "lr": 0.01, "betas": [0.8, 0.99]}.items() <= manifest.optimizer.items()
        model.rnn.bias_hh_l0.requires_grad_(True)
        optimizer.add_param_group({"params": [p for p in model.parameters() if p is not model.rnn.weight_hh_l0]})
        zeroing(False)(model, optimizer)
    manifest = graddiag.load_run(tmp_path / "r").manifest
    assert (manifest.frozen, manifest.not_in_optimizer) == ((), ())


class CutOff(Model):
    """The output of the recurrent layer is made anew, so that the head alone learns."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tensor(self.rnn(x)[0].tolist()))


@pytest.mark.parametrize("every", [1, 4])
def test_a_layer_that_runs_and_gets_no_gradient(every: int, tmp_path: Path) -> None:
    run = run_of(tmp_path, zeroing(True), CutOff, every=every)
    assert run.steps[schema.UNREACHED_MODULES].tolist() == [1] * STEPS
    assert events_of(run, schema.EVENT_NO_GRADIENT) == [[0, "rnn", 1], [STEPS - 1, "rnn", STEPS]]


class Encoded(Model):
    """The recurrent layer runs in ``no_grad``, beside a copy that is not trained, as a target network is."""

    def __init__(self, *, also: bool) -> None:
        super().__init__()
        self.target = deepcopy(self.rnn)
        self.also = also

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            h = self.rnn(x)[0] + self.target(x)[0]
        return self.head(h + self.rnn(x)[0] if self.also else h)


@pytest.mark.parametrize("also", [False, True])
@pytest.mark.parametrize("by_hand", [False, True])
def test_a_layer_that_runs_without_a_graph_alone(also: bool, by_hand: bool, tmp_path: Path) -> None:
    """It is a fault where the optimizer holds the layer, and where it does not run with gradients too."""
    model = Encoded(also=also)
    optimizer = torch.optim.SGD([*model.rnn.parameters(), *model.head.parameters()], lr=0.1)
    silent = () if not also else None  # of a model that runs without a graph alone nothing is followed, which is said
    given = None if by_hand else optimizer
    with graddiag.watch(model, given, run="r", root=tmp_path, cells=silent) as recorder:
        for _ in range(STEPS):
            zeroing(True)(model, optimizer)
            if by_hand:
                recorder.step()
    run = graddiag.load_run(tmp_path / "r")
    fault = not also and not by_hand  # without an optimizer it is not known what is meant to be trained
    assert run.steps[schema.UNREACHED_MODULES].tolist() == [int(fault)] * STEPS
    expected = [[0, "rnn", 1], [STEPS - 1, "rnn", STEPS]] if fault else []
    assert events_of(run, schema.EVENT_NO_GRADIENT) == expected


def test_a_loss_that_was_detached(tmp_path: Path) -> None:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        loss_of(model).detach().requires_grad_().backward()
        optimizer.step()

    run = run_of(tmp_path, step)
    assert run.steps[schema.GRAD_NORM].isna().all()
    expected = [
        [0, "rnn", 1],
        [0, "all parameters", 1],
        [STEPS - 1, "rnn", STEPS],
        [STEPS - 1, "all parameters", STEPS],
    ]
    assert events_of(run, schema.EVENT_NO_GRADIENT) == expected


@pytest.mark.parametrize("frozen", [True, False])
def test_a_layer_that_is_frozen_or_evaluated_need_not_be_reached(frozen: bool, tmp_path: Path) -> None:
    def build() -> nn.Module:
        model = CutOff()
        if frozen:
            model.rnn.requires_grad_(False)
        else:
            model.rnn.eval()
        return model

    run = run_of(tmp_path, zeroing(False), build)
    assert run.events.empty
    assert run.steps[schema.UNREACHED_MODULES].tolist() == [0] * STEPS


def test_gradients_that_the_loop_assigns_itself_are_gradients(tmp_path: Path) -> None:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        parameters = list(model.parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss_of(model), parameters), strict=True):
            parameter.grad = gradient
        optimizer.step()

    assert run_of(tmp_path, step).events.empty


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("behind", [True, False], ids=["after-step", "before-zero"])
def test_clipping_in_the_wrong_place_is_seen_however_gradients_are_zeroed(
    in_place: bool, behind: bool, tmp_path: Path
) -> None:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        if not behind and any(p.grad is not None for p in model.parameters()):
            nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        zeroing(in_place)(model, optimizer)
        if behind:
            nn.utils.clip_grad_norm_(model.parameters(), 1e-3)

    run = run_of(tmp_path, step)
    assert run.events[[schema.STEP, schema.KIND]].values.tolist() == [[1, schema.EVENT_CLIP_MISPLACED]]


def scaled_run(
    root: Path, *, given: bool, unscale: bool, clip: str | None, overflows: tuple[int, ...] = ()
) -> graddiag.Run:
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    with graddiag.watch(model, optimizer, run="r", root=root, clip=clip, scaler=scaler if given else None):
        for attempt in range(STEPS + len(overflows)):
            loss = loss_of(model) * (1 + attempt) * (1e38 if attempt in overflows else 1.0)
            optimizer.zero_grad()
            scaler.scale(loss.float()).backward()
            if unscale:
                scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 0.01)
            scaler.step(optimizer)
            scaler.update()
    assert "unscale_" not in vars(scaler)
    return graddiag.load_run(root / "r")


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("clip", [None, "norm:0.01"])
def test_clipping_before_unscale_is_named_where_it_happens(given: bool, clip: str | None, tmp_path: Path) -> None:
    wrong = scaled_run(tmp_path / "wrong", given=given, unscale=False, clip=clip)
    first = (0 if clip else 1) + (not given)  # undeclared it takes two steps; a scaler is recognized at the first
    assert events_of(wrong, schema.EVENT_CLIP_BEFORE_UNSCALE) == [
        [first, "all parameters", pytest.approx(0.01, rel=1e-3)]
    ]
    right = scaled_run(tmp_path / "right", given=given, unscale=True, clip=clip)
    assert right.events[schema.KIND].tolist() == [schema.EVENT_FIRST_CLIP]
    assert right.steps.amp_scale.tolist() == [2.0**10] * STEPS
    assert right.steps[schema.GRAD_NORM].tolist() == pytest.approx(wrong.steps[schema.GRAD_NORM].tolist(), rel=0.2)


def test_skipped_updates_are_counted_and_are_no_nonfinite_gradients(tmp_path: Path) -> None:
    run = scaled_run(tmp_path, given=True, unscale=True, clip="norm:0.01", overflows=(2, 3, 5))
    assert run.steps[schema.UPDATES_SKIPPED].tolist() == [0, 0, 2, 1, 0, 0]
    assert run.steps[schema.NONFINITE].tolist() == [0] * STEPS
    assert events_of(run, schema.EVENT_UPDATE_SKIPPED) == [[2, "the GradScaler", 2], [3, "the GradScaler", 1]]
    assert not (run.events.kind == schema.EVENT_NONFINITE).any()


def test_copies_of_what_is_watched_are_plain(tmp_path: Path) -> None:
    model, scaler = Model(), torch.amp.GradScaler("cpu", init_scale=2.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, scaler=scaler):
        copies = [deepcopy(scaler), pickle.loads(pickle.dumps(scaler)), deepcopy(optimizer)]
        copied = deepcopy(model)
        for copy in copies[:2]:
            assert copy.unscale_.__self__ is copy
        assert "zero_grad" not in vars(copies[2])
        assert all(not p._backward_hooks for p in copied.parameters())
