"""What ``watch(cells=...)`` names and leaves alone: other forwards, copies, discarded passes, compiled cells."""

import copy
import gc
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import graddiag
from graddiag import schema
from graddiag.errors import UnsupportedError
from graddiag.tracing.custom.observed import ObservedCellCall
from tests.recording.cells import Model
from tests.tracing.custom.cells import H, I, Leaky, N, T
from tests.tracing.models import hooks_of

scripting = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit's


def steps_of(model: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> Iterator[int]:
    for step in range(count):
        yield step
        optimizer.zero_grad()
        model(torch.randn(T, N, I)).square().sum().backward()
        optimizer.step()


def test_a_model_of_which_nothing_is_followed_says_so_once(tmp_path: Path) -> None:
    model = Model(Leaky())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = graddiag.watch(model, optimizer, run="r", root=tmp_path)
    with pytest.warns(RuntimeWarning, match=r"Nothing of Model is followed.*cells=\"NAME\".*recorder.tap") as caught:
        for _ in steps_of(model, optimizer, 3):
            pass
    recorder.close()
    assert len(caught) == 1
    run = graddiag.load_run(tmp_path / "r")
    assert run.events[schema.KIND].tolist() == [schema.EVENT_NOTHING_FOLLOWED]
    assert run.steps[schema.GRAD_NORM].gt(0).all()


def test_a_model_without_recurrence_says_nothing_where_the_user_has_said_so(tmp_path: Path) -> None:
    model = Model(Leaky())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells=()):
        for _ in steps_of(model, optimizer, 2):
            pass
    assert not len(graddiag.load_run(tmp_path / "r").events)


def test_a_layer_that_is_added_later_is_recorded_from_the_next_step_on(tmp_path: Path) -> None:
    model = nn.ModuleDict({"first": nn.GRU(I, H)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path):
        for step in range(4):
            if step == 1:
                model["second"] = nn.GRU(H, H)
            x = torch.randn(T, N, I)
            for layer in model.values():
                x = layer(x)[0]
            optimizer.zero_grad()
            x.square().sum().backward()
            optimizer.step()
    run = graddiag.load_run(tmp_path / "r")
    (event,) = run.events.itertuples()
    assert (event.kind, event.where, event.step) == (schema.EVENT_LAYER_ADDED, "second", 2)
    assert sorted(run.timesteps[run.timesteps[schema.MODULE] == "second"][schema.STEP].unique()) == [2, 3]
    assert hooks_of(model) == 0


class OwnForward(nn.LSTMCell):
    """A subclass of torch's cell that never calls torch's function."""

    def forward(self, x: Tensor, hx: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        i, f, g, o = (x @ self.weight_ih.t() + hx[0] @ self.weight_hh.t() + self.bias_ih).chunk(4, 1)
        c = torch.sigmoid(f) * hx[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


def test_a_subclass_with_its_own_forward_is_named_or_followed_as_a_cell(tmp_path: Path) -> None:
    for cells in (None, "0"):
        torch.manual_seed(0)
        model = nn.ModuleList([OwnForward(I, H)])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        recorder = graddiag.watch(model, optimizer, run="r", root=tmp_path / str(cells), cells=cells)
        hx = (torch.zeros(N, H), torch.zeros(N, H))
        for x_t in torch.randn(T, N, I):
            hx = model[0](x_t, hx)
        hx[0].sum().backward()
        if cells is None:
            with pytest.warns(RuntimeWarning, match=r"'0' \(OwnForward: it runs none of torch's recurrent functions"):
                optimizer.step()
        else:
            optimizer.step()
        recorder.close()
    rows = graddiag.load_run(tmp_path / "0" / "r").timesteps
    own = nn.LSTMCell(I, H)
    own.load_state_dict(model[0].state_dict())
    assert len(rows) == T
    assert rows[[schema.GRAD_C, schema.C_RMS, schema.TRANSPORT_GAIN, schema.GRAD_C_PATH]].notna().all(axis=None)


class CfCCell(nn.Module):
    """Named as that of a library; its forward does not matter here."""


class QuantizedModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.core, self.encoder, self.scripted = CfCCell(), nn.GRU(I, H), torch.jit.script(nn.GRU(I, H))

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)[0]


@scripting
def test_what_cannot_be_followed_is_named_when_the_model_is_watched(tmp_path: Path) -> None:
    model = QuantizedModel()
    with pytest.warns(RuntimeWarning) as caught:
        recorder = graddiag.watch(model, run="r", root=tmp_path)
    messages = [str(each.message) for each in caught if each.category is RuntimeWarning]
    assert any("'core' (CfCCell: its class is none of torch's" in each and "cells=" in each for each in messages)
    assert any("'scripted'" in each and "scripted, and runs without Python" in each for each in messages)
    assert len(messages) == 2
    recorder.close()
    kinds = graddiag.load_run(tmp_path / "r").events[schema.KIND]
    assert kinds.tolist() == [schema.EVENT_NOT_FOLLOWED] * 2
    assert hooks_of(model) == 0


def test_copies_of_a_watched_cell_are_plain(tmp_path: Path) -> None:
    """They work, are not recorded, and need no graddiag to be loaded."""
    model = Model(Leaky())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept = io.BytesIO()
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells="cell"):
        twin = copy.deepcopy(model)
        torch.save(model, kept)
        twin(torch.randn(T, N, I)).sum().backward()
        model(torch.randn(T, N, I)).sum().backward()
        optimizer.step()
    assert b"FollowedForward" not in kept.getvalue()
    kept.seek(0)
    loaded = torch.load(kept, weights_only=False)
    loaded(torch.randn(T, N, I))
    assert loaded.cell.forward.__self__ is loaded.cell
    assert twin.cell.forward.__self__ is twin.cell
    assert len(graddiag.load_run(tmp_path / "r").timesteps) == T
    with graddiag.watch(twin, torch.optim.SGD(twin.parameters(), lr=0.1), run="twin", root=tmp_path, cells="cell"):
        pass


class ByName(nn.Module):
    """A layer that calls the forward of its cell by name, as ncps does."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = Leaky()

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[1], H)
        for x_t in x:
            h = self.cell.forward(x_t, h)
        return h


def test_a_forward_that_is_called_by_its_name(tmp_path: Path) -> None:
    model = ByName()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells=Leaky):
        model(torch.randn(T, N, I)).sum().backward()
        optimizer.step()
    assert graddiag.load_run(tmp_path / "r").timesteps[schema.TRANSPORT_GAIN].gt(0).tolist() == [True] * T


def test_a_forward_that_was_replaced_on_the_object_is_refused(tmp_path: Path) -> None:
    model = Model(Leaky())
    model.cell.forward = lambda x, h: 0.5 * h  # type: ignore[method-assign]
    with pytest.raises(UnsupportedError, match=r"the forward of 'cell' \(Leaky\) was replaced on the object"):
        graddiag.watch(model, run="r", root=tmp_path, cells="cell")


def test_two_recordings_of_one_cell_end_in_any_order(tmp_path: Path) -> None:
    model = Model(Leaky())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    first = graddiag.watch(model, optimizer, run="first", root=tmp_path, cells="cell")
    second = graddiag.watch(model, optimizer, run="second", root=tmp_path, cells="cell")
    model(torch.randn(T, N, I)).sum().backward()
    optimizer.step()
    first.close()
    second.close()
    rows = [graddiag.load_run(tmp_path / name).timesteps for name in ("first", "second")]
    assert rows[0].equals(rows[1])
    assert len(rows[0]) == T
    assert "forward" not in vars(model.cell)


def test_a_pass_that_is_thrown_away_holds_nothing(tmp_path: Path) -> None:
    """An evaluation with gradients on is held by its graph alone, and a training step until its loss is gone."""

    def held() -> int:
        return sum(type(each) is ObservedCellCall for each in gc.get_objects())

    model = Model(Leaky())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def train_once() -> None:
        model(torch.randn(T, N, I)).sum().backward()
        optimizer.step()

    gc.collect()
    gc.disable()
    try:
        with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells="cell"):
            output = model(torch.randn(T, N, I))
            assert held() == T
            del output
            assert held() == 0
            train_once()
            assert held() == 0
    finally:
        gc.enable()


def test_per_sample_gradients_and_compiled_cells_run_as_they_are(tmp_path: Path) -> None:
    model = ByName()
    x = torch.randn(T, N, I)
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(own: dict[str, Tensor], sample: Tensor) -> Tensor:
        return torch.func.functional_call(model, own, (sample.unsqueeze(1),)).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 1))
    bare = each(parameters, x)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells="cell"):
        watched = each(parameters, x)
        compiled = torch.compile(model.cell, backend="eager", fullgraph=True)
        compiled(x[0], torch.zeros(N, H)).sum().backward()
        model.zero_grad()
        model(x).sum().backward()
        with pytest.warns(RuntimeWarning, match=r"'cell' \(Leaky: torch.compile runs it"):
            optimizer.step()
    assert all(torch.equal(bare[name], watched[name]) for name in bare)
    assert len(graddiag.load_run(tmp_path / "r").timesteps) == T


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpoint_round_the_cell(reentrant: bool, tmp_path: Path) -> None:
    """Totals and gains are exact where the graph is there; what runs again in the backward pass is no second call."""
    rows = {}
    for checkpointed in (False, True):
        torch.manual_seed(0)
        cell, head = Leaky(), nn.Linear(H, 1)
        model = nn.ModuleDict({"cell": cell, "head": head})
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        root = tmp_path / str(checkpointed)
        with graddiag.watch(model, optimizer, run="r", root=root, cells="cell"):
            h = torch.zeros(N, H, requires_grad=True)
            for x_t in torch.randn(T, N, I):
                h = checkpoint(cell, x_t, h, use_reentrant=reentrant) if checkpointed else cell(x_t, h)
            head(h).sum().backward()
            if checkpointed and reentrant:
                with pytest.warns(RuntimeWarning, match="Nothing of ModuleDict is followed"):
                    optimizer.step()
            else:
                optimizer.step()
        rows[checkpointed] = graddiag.load_run(root / "r").timesteps
    if reentrant:
        assert not len(rows[True])
        return
    for name in (schema.GRAD_H, schema.TRANSPORT_GAIN):
        assert rows[True][name].tolist() == pytest.approx(rows[False][name].tolist(), rel=1e-5)


def test_the_diagnosis_of_a_cell_says_that_its_gradient_vanishes(tmp_path: Path) -> None:
    """A leak of 0.7 over 60 timesteps with the loss at the last: every analysis has what it needs."""
    torch.manual_seed(0)
    model = Model(Leaky())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with graddiag.watch(
        model, optimizer, run="r", root=tmp_path, cells="cell", chance_loss=1.0, snapshot_every=10
    ) as recorder:
        for _ in range(60):
            x = torch.randn(60, N * 4, I)
            loss = (model(x).squeeze(1) - x[0, :, 0].sign()).square().mean()
            optimizer.zero_grad()
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()
    run = graddiag.load_run(tmp_path / "r")
    found = graddiag.diagnose(run)
    assert "vanishing" in str(found).lower()
    assert run.timesteps[schema.TRANSPORT_GAIN].notna().all()
