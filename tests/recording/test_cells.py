"""``watch(cells=...)``: the training is the same to the bit, and the run holds what the cell did."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import schema
from graddiag.errors import SettingError, UnsupportedError
from tests.recording.cells import Model
from tests.tracing.custom.cells import CASES, Case, Dropped, H, I, Leaky, N, T, inputs, loss_of, real, unroll
from tests.tracing.models import hooks_of

each_case = pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])

scripting = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit's


def train(case: Case, root: Path | None, steps: int = 3, **settings: Any) -> tuple[list[Tensor], nn.Module]:
    """Parameters, buffers and the generator's state after some steps, recorded where there is a root."""
    torch.manual_seed(0)
    cell = case.make()
    optimizer = torch.optim.Adam(cell.parameters(), lr=0.01)
    watched = nullcontext() if root is None else graddiag.watch(
        cell, optimizer, run="r", root=root, cells=cell, **settings
    )  # fmt: skip
    with watched:
        for _ in range(steps):
            optimizer.zero_grad()
            loss_of(unroll(case, cell, torch.randn(T, N, I))).backward()
            optimizer.step()
    state = [tensor.detach().clone() for tensor in cell.state_dict().values()]
    return [*state, torch.get_rng_state()], cell


@each_case
@pytest.mark.parametrize("settings", [{}, {"every": 2}, {"snapshot_every": 1}], ids=["every", "second", "snapshots"])
def test_the_same_bits_with_and_without(case: Case, settings: dict[str, int], tmp_path: Path) -> None:
    (alone, _), (watched, cell) = train(case, None), train(case, tmp_path, **settings)
    assert all(map(torch.equal, alone, watched))
    assert hooks_of(cell) == 0
    assert "forward" not in vars(cell)
    run = graddiag.load_run(tmp_path / "r")
    recorded = range(0, 3, settings.get("every", 1))
    assert run.timesteps[schema.STEP].tolist() == [step for step in recorded for _ in range(T)]
    assert run.timesteps[schema.TRANSPORT_GAIN].gt(0).all()
    assert not len(run.events)
    if "snapshot_every" in settings:
        assert len(run.credit) == 3 * T * (T + 1) / 2
        assert len(run.snapshots) == 3 * T * real(torch.empty(case.begin[0])).flatten(1).shape[1] * (1 + case.complex)


def test_dropout_and_batch_norm_are_what_they_were_in_the_call(tmp_path: Path) -> None:
    """Against autograd itself: an alias of the state has the gradient that the call sends back, and it alone."""

    def looped(cell: nn.Module) -> tuple[list[Tensor], list[Tensor], Tensor]:
        h, states, aliases = torch.zeros(N, H).double(), [], []
        for x_t in inputs(torch.float64):
            alias = h.view_as(h).requires_grad_()
            h = cell(x_t, alias)
            aliases.append(alias)
            states.append(h)
        return states, aliases, torch.stack(states).square().sum() + states[-1].sum()

    torch.manual_seed(0)
    cell = Dropped().double()
    other = copy.deepcopy(cell)
    torch.manual_seed(1)
    states, aliases, loss = looped(other)
    for each in [*states, *aliases]:
        each.retain_grad()
    loss.backward()
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
    with graddiag.watch(cell, optimizer, run="r", root=tmp_path, cells=cell):
        torch.manual_seed(1)
        h, found = torch.zeros(N, H).double(), []
        for x_t in inputs(torch.float64):
            h = cell(x_t, h)
            found.append(h)
        (torch.stack(found).square().sum() + found[-1].sum()).backward()
        optimizer.step()
    rows = graddiag.load_run(tmp_path / "r").timesteps
    total = torch.tensor([h.grad.norm() for h in states])
    sent = torch.tensor([alias.grad.norm() for alias in aliases])
    assert rows[schema.GRAD_H].tolist() == pytest.approx(total.tolist(), rel=1e-6)
    assert rows[schema.TRANSPORT_GAIN].tolist() == pytest.approx((sent / total).tolist(), rel=1e-6)


def penalized(model: Model, x: Tensor, loss: Tensor, states: list[Tensor]) -> Tensor:
    """A gradient penalty: the loss goes through a gradient of the outputs, whose traces at ``states`` are cleared."""
    leaf = x.clone().requires_grad_()
    (grad,) = torch.autograd.grad(model(leaf).sum(), leaf, create_graph=True)
    for each in states:
        each.grad = None
    return loss + grad.square().sum()


@pytest.mark.parametrize("extra", ["grad", "parameters", "inputs", "thrown away"])
def test_the_passes_that_fill_the_gradients_count(extra: str, tmp_path: Path) -> None:
    """GradNorm, an inner loop, a saliency map, and a pass whose gradients are zeroed add nothing."""
    rows = []
    for more in (False, True):
        torch.manual_seed(0)
        model = Model(Leaky())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        root = tmp_path / str(more)
        with graddiag.watch(model, optimizer, run="r", root=root, cells="cell"):
            x = torch.randn(T, N, I, requires_grad=True)
            loss = model(x).square().sum()
            if more and extra == "grad":
                torch.autograd.grad(loss, x, retain_graph=True)
            elif more and extra == "parameters":
                torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
            elif more and extra == "inputs":
                loss.backward(inputs=[x], retain_graph=True)
            elif more:
                loss.backward(retain_graph=True)
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        rows.append(graddiag.load_run(root / "r").timesteps)
    assert rows[0].equals(rows[1])


def test_two_updates_in_one_step_keep_what_each_has_used(tmp_path: Path) -> None:
    """As in adversarial training: zero_grad() behind an update throws nothing away."""
    torch.manual_seed(0)
    model = Model(Leaky())
    a, b = (torch.optim.SGD(part.parameters(), lr=0.1) for part in (model.cell, model.head))
    with graddiag.watch(model, [a, b], run="r", root=tmp_path, cells="cell"):
        for _ in range(2):
            for optimizer in (a, b):
                model.zero_grad()
                model(torch.randn(T, N, I)).square().sum().backward()
                optimizer.step()
    rows = graddiag.load_run(tmp_path / "r").timesteps
    assert rows[rows[schema.STEP] == 0][schema.CALL].tolist() == [0] * T + [1] * T


def test_gradients_that_the_loop_assigns_are_recorded(tmp_path: Path) -> None:
    """Where no pass fills a gradient all of them count."""
    model = Model(Leaky())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells="cell"):
        own = list(model.parameters())
        grads = torch.autograd.grad(model(torch.randn(T, N, I)).square().sum(), own)
        for parameter, grad in zip(own, grads, strict=True):
            parameter.grad = grad
        optimizer.step()
    assert len(graddiag.load_run(tmp_path / "r").timesteps) == T


def test_the_total_of_a_loss_that_goes_through_a_gradient_is_that_of_autograd(tmp_path: Path) -> None:
    """Its double backward pass reaches the states a second time."""
    torch.manual_seed(0)
    model = Model(Leaky())
    x = torch.randn(T, N, I)
    states: list[Tensor] = []

    def keep(module: nn.Module, args: Any, output: Tensor) -> None:
        output.retain_grad()
        states.append(output)

    handle = model.cell.register_forward_hook(keep)
    penalized(model, x, model(x).square().sum(), states).backward()
    handle.remove()
    totals = [0.0 if h.grad is None else h.grad.norm().item() for h in states]
    model.zero_grad()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells="cell"):
        penalized(model, x, model(x).square().sum(), []).backward()
        optimizer.step()
    rows = graddiag.load_run(tmp_path / "r").timesteps
    first = rows[rows[schema.CALL] == 0]
    assert first[schema.GRAD_H].tolist() == pytest.approx(totals[:T], rel=1e-5)
    second = rows[rows[schema.CALL] == 1]
    assert second[schema.GRAD_H].tolist() == pytest.approx(totals[T:-1], rel=1e-4), "the last state has no part in it"


class Stateful(nn.Module):
    """Keeps things on the module while it runs: a counter, a history, a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.ran, self.history = nn.Linear(I + H, H), 0, []
        self.options = {"seen": []}
        self.generator = torch.Generator().manual_seed(2)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        self.ran += 1
        self.history.append(self.ran)
        self.options["seen"].append(self.ran)
        noise = torch.rand(h.shape, generator=self.generator)
        return 0.5 * h + torch.tanh(self.w(torch.cat((x, h), 1))) * (1 + 0.1 * noise)


def test_a_cell_that_keeps_things_is_left_as_it_is_and_its_gain_is_missing(tmp_path: Path) -> None:
    ends = []
    for root in (None, tmp_path):
        torch.manual_seed(0)
        model = Model(Stateful())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        watched = nullcontext() if root is None else graddiag.watch(
            model, optimizer, run="r", root=root, cells="cell"
        )  # fmt: skip
        with watched:
            for _ in range(2):
                optimizer.zero_grad()
                model(torch.randn(T, N, I)).square().sum().backward()
                optimizer.step()
        cell = model.cell
        ends.append((cell.ran, cell.history, cell.options, cell.generator.get_state(), cell.w.weight.detach()))
    (ran, history, options, state, weight), (*others, other_state, other_weight) = ends
    assert others == [ran, history, options]
    assert torch.equal(state, other_state)
    assert torch.equal(weight, other_weight)
    run = graddiag.load_run(tmp_path / "r")
    assert run.timesteps[schema.TRANSPORT_GAIN].isna().all(), "the noise of the call cannot be drawn again"
    assert run.timesteps[schema.GRAD_H].gt(0).all()
    (event,) = run.events.itertuples()
    assert event.kind == schema.EVENT_GAIN_MISSING
    assert "gave another state" in event.message


@pytest.mark.parametrize(
    "cells",
    [
        lambda model: model.cell,
        lambda model: "cell",
        lambda model: "c?ll",
        lambda model: Leaky,
        lambda model: ["cell"],
        lambda model: (model.cell,),
        lambda model: {"cell": "h"},
        lambda model: {"cell": 1},
        lambda model: {Leaky: graddiag.CellCall(state="h")},
        lambda model: {model.cell: None},
    ],
)
def test_every_form_of_saying_which(cells: Callable[[nn.Module], Any], tmp_path: Path) -> None:
    model = Model(Leaky())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells=cells(model)):
        model(torch.randn(T, N, I)).square().sum().backward()
        optimizer.step()
    rows = graddiag.load_run(tmp_path / "r").timesteps
    assert rows[schema.MODULE].tolist() == ["cell"] * T
    assert rows[schema.TRANSPORT_GAIN].gt(0).all()


REFUSED = {
    "name": (lambda model: "encoder.cell", r"watch\(cells='encoder.cell'\): the model Model holds no such module"),
    "module": (lambda model: Leaky(), r"holds no such module. Its modules: 'cell', 'cell.w', 'head'"),
    "class": (lambda model: nn.GRU, r"watch\(cells=GRU\)"),
    "number": (lambda model: 3, r"watch\(cells=3\): give a module of the model, its name, its class"),
    "state": (lambda model: {"cell": "hx"}, r"forward\(x: .* has no argument 'hx'. Name it: .*one of \['x', 'h'\]"),
    "value": (lambda model: {"cell": 1.5}, r"give the name of the argument, or graddiag.CellCall"),
}


@pytest.mark.parametrize(("cells", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused_before_anything_is_opened(
    cells: Callable[[nn.Module], Any], message: str, tmp_path: Path
) -> None:
    model = Model(Leaky())
    with pytest.raises(SettingError, match=message):
        graddiag.watch(model, run="r", root=tmp_path, cells=cells(model))
    assert list(tmp_path.iterdir()) == []
    assert hooks_of(model) == 0


@scripting
def test_a_scripted_cell_is_refused_by_name(tmp_path: Path) -> None:
    model = Model(torch.jit.script(Leaky()))
    with pytest.raises(UnsupportedError, match=r"'cell' .* is scripted, and graddiag calls a cell again"):
        graddiag.watch(model, run="r", root=tmp_path, cells="cell")
    assert list(tmp_path.iterdir()) == []


def test_a_result_without_the_state_stops_the_recording_of_that_cell_alone(tmp_path: Path) -> None:
    model = Model(Leaky())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrong = {"cell": graddiag.CellCall(result="next")}
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells=wrong):
        with pytest.warns(RuntimeWarning, match=r"stopped recording cell .*has no entry 'next'"):
            loss = model(torch.randn(T, N, I)).square().sum()
        loss.backward()
        optimizer.step()
    run = graddiag.load_run(tmp_path / "r")
    assert run.manifest.status == "finished"
    assert not len(run.timesteps)
    assert run.steps[schema.GRAD_NORM].gt(0).all()


def test_evaluation_and_passes_that_no_gradient_follows_are_not_recorded(tmp_path: Path) -> None:
    model = Model(Leaky())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells="cell"):
        for _ in range(2):
            with torch.no_grad():
                model(torch.randn(T, N, I))
            model.eval()
            model(torch.randn(T, N, I))
            model.train()
            model(torch.randn(T, N, I)).square().sum().backward()
            optimizer.step()
    rows = graddiag.load_run(tmp_path / "r").timesteps
    assert rows[schema.CALL].unique().tolist() == [0]
    assert len(rows) == 2 * T


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_inf_are_findings(value: float, tmp_path: Path) -> None:
    model = Model(Leaky())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells="cell") as recorder:
        x = torch.randn(T, N, I)
        x[3, 0, 0] = value
        loss = model(x).square().sum()
        loss.backward()
        recorder.log(loss=loss)
        optimizer.step()
    run = graddiag.load_run(tmp_path / "r")
    assert len(run.timesteps) == T
    assert schema.EVENT_NONFINITE in run.events[schema.KIND].tolist()


def test_a_loop_without_an_optimizer_object(tmp_path: Path) -> None:
    """The gain is that of the weights of the forward pass, although the update comes first."""
    found = []
    for by_hand in (False, True):
        torch.manual_seed(0)
        model = Model(Leaky())
        optimizer = torch.optim.SGD(model.parameters(), lr=10.0)
        root = tmp_path / str(by_hand)
        with graddiag.watch(model, None if by_hand else optimizer, run="r", root=root, cells="cell") as recorder:
            model(torch.randn(T, N, I)).square().sum().backward()
            optimizer.step()
            if by_hand:
                recorder.step()
        found.append(graddiag.load_run(root / "r").timesteps[schema.TRANSPORT_GAIN].tolist())
    assert found[0] == found[1]


def test_a_grad_scaler_is_taken_out(tmp_path: Path) -> None:
    found = []
    for scale in (1.0, 1024.0):
        torch.manual_seed(0)
        model = Model(Leaky())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        root = tmp_path / str(scale)
        with graddiag.watch(model, optimizer, run="r", root=root, cells="cell", scaler=scaler):
            scaler.scale(model(torch.randn(T, N, I)).square().sum()).backward()
            scaler.step(optimizer)
            scaler.update()
        found.append(graddiag.load_run(root / "r").timesteps[[schema.GRAD_H, schema.TRANSPORT_GAIN]])
    assert found[0].equals(found[1])


def test_autocast_is_that_of_the_call(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Model(Leaky())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells="cell"):
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(torch.randn(T, N, I)).float().square().sum()
        loss.backward()
        optimizer.step()
    run = graddiag.load_run(tmp_path / "r")
    assert run.timesteps[schema.TRANSPORT_GAIN].notna().all()
    assert not len(run.events)
