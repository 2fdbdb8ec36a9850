"""fully_shard (FSDP2): norms of the whole gradient out of the shares of the ranks, against the model in one piece."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import Run
from tests.tracing import sharded_loop as loop

SECONDS = 200  # until a rank counts as hanging

pytestmark = [pytest.mark.slow, pytest.mark.libraries]


def run_ranks(folder: Path, world: int, trainings: dict[str, dict[str, Any]]) -> dict[str, list[list[Tensor]]]:
    """Trains one after the other, in one process a rank; the whole parameters that each rank has at the end of each."""
    for name in trainings:
        (folder / name).mkdir(parents=True)
    own = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": os.pathsep.join(sys.path)}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.tracing.sharded_loop", json.dumps([str(folder), rank, world, trainings])],
            env=os.environ | own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(world)
    ]  # fmt: skip
    try:
        for process in ranks:
            out, errors = process.communicate(timeout=SECONDS)
            assert out.strip() == "done", (process.returncode, errors[-3000:])
    finally:
        for process in ranks:
            process.kill()
    return {name: [torch.load(folder / name / f"parameters-{rank}.pt") for rank in range(world)] for name in trainings}


ALONE = """
import sys, warnings
import pytest, torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
import graddiag
from graddiag.errors import SettingError, UnsupportedError

folder = sys.argv[1]
warnings.simplefilter("ignore")
dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=0, world_size=1)
mesh = init_device_mesh("cpu", (1,))
class Net(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.rnn, self.head = layer, nn.Linear(5, 1).double()
    def forward(self, x):
        return self.head(self.rnn(x)[0][-1])
flat = FullyShardedDataParallel(nn.LSTM(2, 3), device_id=torch.device("cpu"))
with pytest.raises(UnsupportedError, match="FSDP1"):
    graddiag.watch(flat, run="flat", root=folder)
plain, weights = {}, None
for kind in (nn.LSTM, graddiag.nn.LSTM):
    for sharded in (False, True):
        torch.manual_seed(0)
        net = Net(kind(2, 5).double())
        if sharded:
            fully_shard(net.rnn, mesh=mesh); fully_shard(net, mesh=mesh)
            with pytest.raises(UnsupportedError, match="shards"):
                graddiag.watch(net, run="cells", root=folder, cells=nn.Linear)
        optimizer = torch.optim.Adam(net.parameters(), 0.01)
        name = f"{kind.__module__.partition('.')[0]}-{sharded}"
        with graddiag.watch(net, optimizer, run=name, root=folder, snapshot_every=1) as recorder:
            for step in range(2):
                optimizer.zero_grad()
                net(torch.ones(4, 3, 2, dtype=torch.float64)).square().mean().backward()
                recorder.log(norm=nn.utils.clip_grad_norm_(net.parameters(), 0.1))
                if sharded:
                    with pytest.raises(SettingError, match="sharded"):
                        recorder.try_thresholds(lambda: 0.0)
                optimizer.step()
dist.destroy_process_group()
print("done")
"""


def test_layers_of_either_kind_have_snapshots_in_a_single_rank_and_what_is_refused_is_named(tmp_path: Path) -> None:
    own = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path)],
        env=os.environ | own, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert ended.stdout.strip().endswith("done"), (ended.returncode, ended.stderr[-3000:])
    for kind in ("torch", "graddiag"):
        whole, sharded = (graddiag.load_run(tmp_path / f"{kind}-{each}") for each in (False, True))
        assert sharded.events.kind.tolist() == whole.events.kind.tolist() == ["first_clip"]
        for table in ("timesteps", "gates", "snapshots", "credit", "lyapunov", "spectra", "parameters", "steps"):
            a, b = (run.read(table).drop(columns=["wall_time"], errors="ignore") for run in (whole, sharded))
            assert len(a)
            assert list(a.columns) == list(b.columns)
            for name in a.select_dtypes("number").columns.difference(["gradients_not_zeroed"]):
                assert b[name].to_numpy(float, na_value=np.nan) == pytest.approx(
                    a[name].to_numpy(float, na_value=np.nan), rel=1e-5, abs=1e-9, nan_ok=True
                ), (table, name)


def in_one_piece(kind: str = "LSTM") -> list[dict[str, Any]]:
    """What each step of the training has by autograd, of the unsharded model on the batch of all ranks."""
    net = loop.Net(kind)
    optimizer = torch.optim.SGD(net.parameters(), loop.RATE)
    steps = []
    for step in range(loop.STEPS):
        optimizer.zero_grad()
        before = {name: p.detach().clone() for name, p in net.named_parameters()}
        net(loop.batch(step)).square().mean().backward()
        grads = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
        total = float(nn.utils.clip_grad_norm_(net.parameters(), loop.CLIP))
        clipped = {name: float(p.grad.norm()) for name, p in net.named_parameters() if p.grad is not None}
        optimizer.step()
        steps.append({"before": before, "grads": grads, "total": total, "clipped": clipped})
        steps[-1]["updates"] = {name: float((p.detach() - before[name]).norm()) for name, p in net.named_parameters()}
    return steps


def hidden_grads(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """||dL/dh_t|| [layers, T] of the LSTM, unrolled cell by cell."""
    cells = [nn.LSTMCell(2, 5).double(), nn.LSTMCell(5, 5).double()]
    for layer, cell in enumerate(cells):
        for name, p in cell.named_parameters():
            p.data.copy_(weights[f"rnn.{name}_l{layer}"])
    states = []
    for cell in cells:
        h = c = x.new_zeros(x.shape[1], 5)
        own = []
        for x_t in x:
            h, c = cell(x_t, (h, c))
            h.retain_grad()
            own.append(h)
        x = torch.stack(own)
        states.append(own)
    loss = nn.functional.linear(x[-1], weights["head.weight"], weights["head.bias"]).square().mean()
    loss.backward()
    return torch.stack([torch.stack([h.grad.norm() for h in own]) for own in states])


def check_whole(run: Run) -> None:
    """Every number of the tables steps and parameters that is a norm, a share or a ratio."""
    expected = in_one_piece()
    steps, table = run.steps, run.parameters
    assert len(steps) == loop.STEPS
    assert steps.grad_norm.to_numpy(float) == pytest.approx([each["total"] for each in expected], rel=1e-9)
    assert steps.grad_norm_clipped.to_numpy(float) == pytest.approx(loop.CLIP, rel=1e-4)
    assert steps.clip_coefficient.to_numpy(float) == pytest.approx(
        [loop.CLIP / each["total"] for each in expected], rel=1e-4
    )
    assert steps.nonfinite.to_numpy(int).tolist() == [0] * loop.STEPS
    updates = [sum(u**2 for u in each["updates"].values()) ** 0.5 for each in expected]
    weights = [sum(float(w.square().sum()) for w in each["before"].values()) ** 0.5 for each in expected]
    assert steps.update_ratio.to_numpy(float) == pytest.approx(np.divide(updates, weights), rel=1e-6)
    assert len(table) == loop.STEPS * 10
    for row in table.itertuples():
        of = expected[row.step]
        weight, grad = of["before"][row.parameter], of["grads"][row.parameter]
        assert row.grad_norm == pytest.approx(float(grad.norm()), rel=1e-6)
        assert row.grad_norm_clipped == pytest.approx(of["clipped"][row.parameter], rel=1e-6)
        assert row.weight_norm == pytest.approx(float(weight.norm()), rel=1e-6)
        assert row.update_ratio == pytest.approx(of["updates"][row.parameter] / float(weight.norm()), rel=1e-5)
        assert row.zeros == pytest.approx(float((grad == 0).double().mean()), abs=1e-7)


def check_timesteps(run: Run, rank: int, world: int) -> None:
    """dL/dh_t of the rank's own samples."""
    assert len(run.timesteps) == loop.STEPS * 2 * loop.LENGTH
    for step, of in enumerate(in_one_piece()):
        expected = hidden_grads(of["before"], loop.batch(step).chunk(world, 1)[rank])
        rows = run.timesteps[run.timesteps.step == step]
        for layer in range(2):
            found = rows[rows.layer == layer].sort_values("timestep").grad_h.to_numpy(float)
            assert found == pytest.approx(expected[layer].numpy(), rel=1e-5)
    gain = run.timesteps.transport_gain
    assert gain.notna().all()


def of_rank(folder: Path, rank: int) -> Run:
    return graddiag.load_run(folder / "runs" / "run" / (f"ranks/rank-{rank}" if rank else ""))


ORDERS = ("sharded first", "watched first", "without optimizer")
BARE = {"order": "sharded first", "watching": []}
TWO = {"mesh": [2], "watching": [0, 1]}
ONE_RANK = {
    "bare [1]": {"mesh": [1], **BARE},
    "[1] sharded first": {"mesh": [1], "order": "sharded first", "watching": [0]},
}
TWO_RANKS = {
    "bare [2]": {"mesh": [2], **BARE},
    "bare [2, 1]": {"mesh": [2, 1], **BARE},
    **{f"[2] {order}": TWO | {"order": order} for order in ORDERS},
    "[2, 1] sharded first": TWO | {"mesh": [2, 1], "order": "sharded first"},  # replicas
    "mixed": TWO | {"order": "sharded first", "mixed": True},
    "bare mixed": {"mesh": [2], **BARE, "mixed": True},
    "alone": {"mesh": [2], "order": "sharded first", "watching": [0]},
    "other steps": TWO | {"order": "sharded first", "every": {"0": 1, "1": 2}, "units": "root"},
}


@dataclass(frozen=True)
class Trained:
    """Trainings by name: their folders, and the whole parameters that each rank has at the end."""

    folders: dict[str, Path]
    parameters: dict[str, list[list[Tensor]]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    parameters = {**run_ranks(one, 1, ONE_RANK), **run_ranks(two, 2, TWO_RANKS)}
    folders = {name: (one if name in ONE_RANK else two) / name for name in parameters}
    return Trained(folders, parameters)


@pytest.mark.parametrize(
    ("mesh", "order"),
    [([1], ORDERS[0]), *(([2], order) for order in ORDERS), ([2, 1], ORDERS[0])],
)
def test_norms_are_those_of_the_whole_gradient(mesh: list[int], order: str, trained: Trained) -> None:
    world, name = int(np.prod(mesh)), f"{mesh} {order}"
    bare, found, folder = trained.parameters[f"bare {mesh}"], trained.parameters[name], trained.folders[name]
    for rank in range(world):
        assert all(torch.equal(a, b) for a, b in zip(found[rank], bare[rank], strict=True))
        check_timesteps(of_rank(folder, rank), rank, world)
    run = of_rank(folder, 0)
    assert run.manifest.status == "finished"
    assert set(run.events.kind) <= {"optimizer_replaced", "first_clip"}
    check_whole(run)


def test_norms_under_mixed_precision(trained: Trained) -> None:
    """Parameters are gathered as float32, and the gradient is added up and kept as float64."""
    for found, bare in zip(trained.parameters["mixed"], trained.parameters["bare mixed"], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(found, bare, strict=True))
    run, expected = of_rank(trained.folders["mixed"], 0), in_one_piece()
    assert run.steps.grad_norm.to_numpy(float) == pytest.approx([each["total"] for each in expected], rel=1e-4)
    for row in run.parameters.itertuples():
        assert row.grad_norm == pytest.approx(float(expected[row.step]["grads"][row.parameter].norm()), rel=1e-3)
    gain = run.timesteps.transport_gain
    assert gain.notna().all()


def test_one_rank_watches_alone_without_a_hang_and_its_norms_are_missing(trained: Trained) -> None:
    for found, bare in zip(trained.parameters["alone"], trained.parameters["bare [2]"], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(found, bare, strict=True))
    run = of_rank(trained.folders["alone"], 0)
    check_timesteps(run, 0, 2)
    assert run.manifest.status == "finished"
    for column in ("grad_norm", "grad_norm_clipped", "clip_coefficient", "update_ratio", "grad_cosine"):
        assert run.steps[column].isna().all()
    of_head = run.parameters.parameter.str.startswith("head")  # one row, all of it in rank 0
    assert (run.parameters.grad_norm.notna() == of_head).all()
    assert run.steps.loss.notna().all()
    graddiag.diagnose(run)


def test_ranks_that_record_other_steps_have_parameters_where_both_recorded(trained: Trained) -> None:
    run = of_rank(trained.folders["other steps"], 0)
    expected = [each["total"] for each in in_one_piece()]
    assert run.steps.grad_norm.to_numpy(float) == pytest.approx(expected, rel=1e-9)
    both = run.parameters.groupby("step").grad_norm.apply(lambda column: column.notna().all())
    assert both.to_dict() == {0: True, 1: False, 2: True, 3: False}
    assert run.steps.update_ratio.isna().tolist() == [False, True, False, True]
    only = run.read("steps", columns=["grad_norm"], where={"step": [2]})
    assert only.grad_norm.to_numpy(float) == pytest.approx(expected[2:3], rel=1e-9)
