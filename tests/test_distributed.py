"""A training in two processes under DistributedDataParallel on gloo, watched in each."""

import os
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import graddiag

WORLD, STEPS = 2, 3
pytestmark = pytest.mark.libraries


def train(rank: int, folder: str, watched: bool) -> None:
    """One rank's training; leaves its parameters and the norms that clipping saw in ``folder``."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    place = Path(folder) / f"watched-{watched}"
    dist.init_process_group("gloo", init_method=f"file://{place}-rendezvous", rank=rank, world_size=WORLD)
    model = DistributedDataParallel(nn.LSTM(3, 4, num_layers=2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    generator, norms = torch.Generator().manual_seed(rank), []
    watch = graddiag.watch(model, optimizer, run="two", root=folder, seed=0) if watched else nullcontext()
    with watch:
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(torch.randn(5, 2, 3, generator=generator))[0].square().sum().backward()
            norms.append(nn.utils.clip_grad_norm_(model.parameters(), 0.5))
            optimizer.step()
    torch.save((list(model.module.state_dict().values()), torch.stack(norms)), f"{place}-{rank}.pt")
    dist.destroy_process_group()


def result(folder: Path, watched: bool, rank: int) -> tuple[list[Tensor], Tensor]:
    return torch.load(f"{folder / f'watched-{watched}'}-{rank}.pt")


@pytest.mark.slow
def test_two_ranks_are_one_run_and_train_as_if_unwatched(tmp_path: Path) -> None:
    for watched in (False, True):
        mp.spawn(train, (str(tmp_path), watched), nprocs=WORLD)

    for rank in range(WORLD):
        alone, _ = result(tmp_path, False, rank)
        parameters, norms = result(tmp_path, True, rank)
        assert all(torch.equal(a, b) for a, b in zip(parameters, alone, strict=True))
        run = graddiag.load_run(tmp_path / "two" if rank == 0 else tmp_path / "two" / "ranks" / f"rank-{rank}")
        # the gradient after the all-reduce, which is the one that clipping saw
        assert run.steps["grad_norm"].to_numpy() == pytest.approx(norms.numpy(), rel=1e-6)
        assert len(run.timesteps) == STEPS * 2 * 5
    assert graddiag.list_runs(tmp_path)["run"].tolist() == ["two"]


def train_in_turn(rank: int, folder: str) -> None:
    """Runs of rank 0 alone between runs of every rank, some of the same name."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD)
    for name, alone in (("a", False), ("b", True), ("a", True), ("a", False), ("c", True), ("d", False)):
        model = DistributedDataParallel(nn.GRU(2, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        watched = rank == 0 or not alone
        with graddiag.watch(model, optimizer, run=name, root=f"{folder}/runs") if watched else nullcontext():
            for _ in range(2):
                optimizer.zero_grad()
                model(torch.randn(4, 2, 2))[0].square().mean().backward()
                optimizer.step()
    dist.destroy_process_group()


@pytest.mark.slow
def test_what_rank_0_watches_alone_moves_no_other_run(tmp_path: Path) -> None:
    mp.spawn(train_in_turn, (str(tmp_path),), nprocs=WORLD)
    runs = tmp_path / "runs"
    with_ranks = {each.name for each in runs.iterdir() if (each / "ranks" / "rank-1" / "manifest.json").exists()}
    assert sorted(each.name for each in runs.iterdir()) == ["a", "a-2", "a-3", "b", "c", "d"]
    assert with_ranks == {"a", "a-3", "d"}
    for name in with_ranks:
        assert len(graddiag.load_run(runs / name / "ranks" / "rank-1").steps) == 2
