"""Snapshots: what the unit x timestep table, the credit matrix and the spectra of a chosen step hold."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import graddiag
from graddiag import schema
from graddiag.errors import SettingError
from graddiag.run import Run, numbers
from graddiag.tracing import Trace
from graddiag.tracing.credit import credit
from graddiag.tracing.snapshots import snapshot
from tests.nn.nets import projection_warning
from tests.test_recorder import Model

F64 = torch.float64
KINDS = {"RNN": ("h",), "LSTM": ("i", "f", "g", "o"), "GRU": ("r", "z", "n")}


def record(model: nn.Module, root: Path, batches: list[Tensor], **settings: object) -> tuple[Run, list[Tensor]]:
    """The run of one update per batch by SGD, and the parameters afterwards."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=root, **settings):
        for x in batches:
            optimizer.zero_grad()
            model(x)[0].square().sum().backward()
            optimizer.step()
    return graddiag.load_run(root / "r"), [p.detach().clone() for p in model.parameters()]


@pytest.mark.parametrize("name", KINDS)
def test_a_unit_is_what_the_trace_says_of_it(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = getattr(nn, name)(3, 5, num_layers=2), 3 * torch.randn(6, 4, 3)
    with graddiag.capture(model) as cap:
        model(x)[0].square().sum().backward()
    model.zero_grad()
    run, _ = record(model, tmp_path, [x], snapshot_every=1)

    for trace in cap.traces:
        rows = run.snapshots[run.snapshots[schema.LAYER] == trace.layer]
        assert rows[schema.TIMESTEP].tolist() == np.repeat(range(6), 5).tolist()
        assert rows[schema.UNIT].tolist() == list(range(5)) * 6
        expected = trace.grad_h.double().norm(dim=1).flatten()
        np.testing.assert_allclose(rows[schema.GRAD_H], expected, rtol=1e-6)
        for gate, block in trace.gates.items():
            low = 0.1 if gate in "ifoz" or gate == "r" else -0.9
            for measure, values in (
                (schema.ACTIVATION, block.double().mean(1)),
                (schema.SATURATED_LOW, (block < low).double().mean(1)),
                (schema.SATURATED_HIGH, (block > 0.9).double().mean(1)),
            ):
                np.testing.assert_allclose(rows[schema.gate_column(measure, gate)], values.flatten(), rtol=1e-5)
    others = {g for gates in KINDS.values() for g in gates}.difference(KINDS[name])
    for gate in others:
        assert numbers(run.snapshots[schema.gate_column(schema.ACTIVATION, gate)])[1].all()


def test_its_squares_are_those_of_the_timestep(tmp_path: Path) -> None:
    run, _ = record(nn.LSTM(3, 5), tmp_path, [torch.randn(6, 4, 3)] * 3, snapshot_every=2)
    assert sorted(run.snapshots[schema.STEP].unique()) == [0, 2]
    by_unit = run.snapshots.assign(square=run.snapshots[schema.GRAD_H].astype(float) ** 2)
    found = by_unit.groupby([schema.STEP, schema.TIMESTEP])["square"].sum().pow(0.5)
    whole = run.timesteps[run.timesteps[schema.STEP] != 1].set_index([schema.STEP, schema.TIMESTEP])[schema.GRAD_H]
    np.testing.assert_allclose(found, whole, rtol=1e-6)


def test_padding_has_no_part_in_it() -> None:
    torch.manual_seed(0)
    gru, x, lengths = nn.GRU(3, 5, bidirectional=True, dtype=F64), torch.randn(6, 3, 3, dtype=F64), [2, 6, 3]
    with graddiag.capture(gru) as cap:
        output, _ = gru(pack_padded_sequence(x, lengths, enforce_sorted=False))
        pad_packed_sequence(output)[0].square().sum().backward()
    for trace in cap.traces:
        taken = snapshot(trace)
        for t in range(6):
            real = [n for n, length in enumerate(trace.lengths.tolist()) if t < length]
            z = trace.gates["z"][t, real]
            torch.testing.assert_close(taken.gates["activation_z"][t], z.mean(0))
            torch.testing.assert_close(taken.gates["saturated_low_z"][t], (z < 0.1).double().mean(0))
            torch.testing.assert_close(taken.grad_h[t], trace.grad_h[t, real].norm(dim=0))


@projection_warning
def test_projected_units_and_cells_stand_side_by_side(tmp_path: Path) -> None:
    run, _ = record(nn.LSTM(3, 5, proj_size=2), tmp_path, [torch.randn(4, 2, 3)], snapshot_every=1)
    first = run.snapshots[run.snapshots[schema.TIMESTEP] == 0]
    assert numbers(first[schema.GRAD_H])[1].tolist() == [False, False, True, True, True]
    assert not numbers(first["activation_f"])[1].any()


def test_credit_and_spectra_of_the_step(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = nn.LSTM(3, 5, bidirectional=True), torch.randn(6, 4, 3)
    with graddiag.capture(model) as cap:
        model(x)[0].square().sum().backward()
    model.zero_grad()
    run, _ = record(model, tmp_path, [x], snapshot_every=1)

    for trace in cap.traces:
        rows = run.credit[run.credit[schema.DIRECTION] == trace.direction]
        assert len(rows) == 6 * 7 / 2
        s, t = rows[schema.LOSS_TIMESTEP].to_numpy(), rows[schema.TIMESTEP].to_numpy()
        np.testing.assert_allclose(rows[schema.GRAD_H], credit(trace, range(6)).numpy()[s, t], rtol=1e-6)
        assert ((s >= t) if trace.direction == "forward" else (s <= t)).all()
    block = model.weight_hh_l0.detach().double()[5:10]
    rows = run.spectra[(run.spectra[schema.PARAMETER] == "weight_hh_l0") & (run.spectra[schema.GATE] == "f")]
    assert rows[schema.INDEX].tolist() == list(range(5))
    np.testing.assert_allclose(rows[schema.SINGULAR_VALUE], torch.linalg.svdvals(block).numpy(), rtol=1e-5)
    sizes = np.hypot(rows[schema.EIGENVALUE_REAL], rows[schema.EIGENVALUE_IMAG])
    np.testing.assert_allclose(sizes, torch.linalg.eigvals(block).abs().sort(descending=True).values, rtol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_the_same_bits_with_and_without(name: str, tmp_path: Path) -> None:
    trained = []
    for root, settings in ((tmp_path / "a", {}), (tmp_path / "b", {"every": 2, "snapshot_every": 2})):
        torch.manual_seed(0)
        model = getattr(nn, name)(3, 6, num_layers=2, dropout=0.4)
        trained.append(record(model, root, list(torch.randn(5, 7, 4, 3)), **settings)[1])
    assert all(torch.equal(a, b) for a, b in zip(*trained, strict=True))
    run = graddiag.load_run(tmp_path / "b" / "r")
    assert sorted(run.snapshots[schema.STEP].unique()) == sorted(run.lyapunov[schema.STEP].unique()) == [0, 2, 4]
    assert run.manifest.snapshot_every == 2
    none = graddiag.load_run(tmp_path / "a" / "r")
    tables = (none.snapshots, none.credit, none.spectra, none.lyapunov)
    assert ([len(table) for table in tables], none.manifest.snapshot_every) == ([0, 0, 0, 0], None)


def test_a_scaled_loss_is_told_in_units_of_the_loss(tmp_path: Path) -> None:
    model, x = Model(), torch.randn(7, 4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, scaler=scaler, snapshot_every=1):
        torch.manual_seed(0)
        scaler.scale(model(x).square().mean()).backward()
        scaler.step(optimizer)
        scaler.update()
    with graddiag.capture(model) as cap:
        torch.manual_seed(0)
        model(x).square().mean().backward()
    run, trace = graddiag.load_run(tmp_path / "r"), cap.trace(layer=1)
    rows = run.snapshots[run.snapshots[schema.LAYER] == 1]
    np.testing.assert_allclose(rows[schema.GRAD_H], trace.grad_h.double().norm(dim=1).flatten(), rtol=1e-4, atol=1e-12)
    rows = run.credit[(run.credit[schema.LAYER] == 1) & (run.credit[schema.LOSS_TIMESTEP] == 6)]
    np.testing.assert_allclose(rows[schema.GRAD_H], credit(trace, [6])[0], rtol=1e-4)


@pytest.mark.parametrize(("every", "snapshot_every"), [(1, 0), (1, -3), (10, 25)])
def test_snapshots_are_taken_at_recorded_steps(every: int, snapshot_every: int, tmp_path: Path) -> None:
    asked = rf"watch\(snapshot_every={snapshot_every}, every={every}\): .* give a multiple of {every}, {100 * every} "
    with pytest.raises(SettingError, match=asked):
        graddiag.watch(nn.RNN(2, 3), run="r", root=tmp_path, every=every, snapshot_every=snapshot_every)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("home", [nn, graddiag.nn])
def test_without_an_optimizer_the_derivatives_are_those_before_the_update(home: ModuleType, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = home.LSTM(3, 5), torch.randn(6, 4, 3)
    with graddiag.capture(model) as cap:
        model(x)[0].square().sum().backward()
    model.zero_grad()
    with graddiag.watch(model, run="r", root=tmp_path, snapshot_every=1) as recorder:
        model(x)[0].square().sum().backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.5 * p.grad
        recorder.step()
    rows = graddiag.load_run(tmp_path / "r").credit
    s, t = rows[schema.LOSS_TIMESTEP].to_numpy(), rows[schema.TIMESTEP].to_numpy()
    np.testing.assert_allclose(rows[schema.GRAD_H], credit(cap.trace(), range(6)).numpy()[s, t], rtol=1e-6)


def test_a_snapshot_that_fails_costs_the_snapshots_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(trace: Trace) -> None:
        raise MemoryError("too large")

    monkeypatch.setattr("graddiag.recording.layers.snapshot", fail)
    with pytest.warns(RuntimeWarning, match=r"stopped recording the snapshots .* MemoryError: too large"):
        run, _ = record(nn.GRU(3, 5), tmp_path, [torch.randn(4, 2, 3)] * 3, snapshot_every=1)
    assert sorted(run.timesteps[schema.STEP].unique()) == sorted(run.spectra[schema.STEP].unique()) == [0, 1, 2]
    assert len(run.snapshots) == len(run.credit) == len(run.lyapunov) == 0
    assert run.events[schema.WHERE].tolist() == ["the snapshots"]


def test_weights_that_are_not_finite_have_no_spectrum(tmp_path: Path) -> None:
    model = nn.RNN(2, 3)
    with torch.no_grad():
        model.weight_hh_l0[0, 0] = float("nan")
    run, _ = record(model, tmp_path, [torch.randn(4, 2, 2)], snapshot_every=1)
    assert len(run.spectra) == 0
    assert run.snapshots[schema.GRAD_H].isna().any()
    assert run.events[schema.KIND].tolist() == [schema.EVENT_NONFINITE]
