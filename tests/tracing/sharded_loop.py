"""One rank of trainings under fully_shard on gloo, in a process of its own; run by test_sharded.py with settings as
JSON. It prints ``done`` and leaves its whole parameters in ``parameters-RANK.pt`` of each training's folder."""

import json
import sys
import warnings
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

import graddiag

SAMPLES, LENGTH, STEPS, RATE, CLIP = 4, 5, 4, 0.5, 0.05


class Net(nn.Module):
    """An LSTM and a linear layer, float64; one row of the head is a shard that a second rank has nothing of."""

    def __init__(self, kind: str = "LSTM") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rnn, self.head = getattr(nn, kind)(2, 5, 2), nn.Linear(5, 1)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][-1])


def batch(step: int) -> Tensor:
    """[T, N, 2] of all ranks."""
    return torch.randn(LENGTH, SAMPLES, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(step))


def shard(net: nn.Module, settings: dict[str, Any]) -> None:
    mesh = init_device_mesh("cpu", tuple(settings["mesh"]), mesh_dim_names=("r", "s")[-len(settings["mesh"]) :])
    half = MixedPrecisionPolicy(param_dtype=torch.float32, reduce_dtype=torch.float64)
    options = {"mp_policy": half} if settings.get("mixed") else {}
    if settings["units"] == "each":
        fully_shard(net.rnn, mesh=mesh, **options)
    fully_shard(net, mesh=mesh, **options)


def watched(net: nn.Module, optimizer: torch.optim.Optimizer | None, settings: dict[str, Any]) -> Any:
    if settings["rank"] not in settings["watching"]:
        return nullcontext()
    options = {"every": settings["every"][str(settings["rank"])]} if "every" in settings else {}
    return graddiag.watch(net, optimizer, run="run", root=settings["folder"] + "/runs", clip=f"norm:{CLIP}", **options)


def train(settings: dict[str, Any]) -> None:
    net = Net(settings.get("kind", "LSTM"))
    world, rank, order = settings["world"], settings["rank"], settings["order"]
    recorder: Any = None
    if order == "watched first":
        recorder = watched(net, torch.optim.SGD(net.parameters(), RATE), settings)
    elif order == "without optimizer":
        recorder = watched(net, None, settings)
    shard(net, settings)
    optimizer = torch.optim.SGD(net.parameters(), RATE)
    recorder = recorder or watched(net, optimizer, settings)
    with recorder as recording:
        for step in range(STEPS):
            optimizer.zero_grad()
            loss = net(batch(step).chunk(world, 1)[rank]).square().mean()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(net.parameters(), CLIP)
            if recording is not None:
                recording.log(loss=loss)
            optimizer.step()
            if recording is not None and order == "without optimizer":
                recording.step()
            assert norm.full_tensor() > CLIP
    whole = [p.full_tensor() for p in net.parameters()]
    torch.save(whole, f"{settings['folder']}/parameters-{rank}.pt")


if __name__ == "__main__":
    folder, own, world_size, trainings = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=own, world_size=world_size)
    for name, each in trainings.items():
        train({"folder": f"{folder}/{name}", "rank": own, "world": world_size, "units": "each", **each})
        dist.barrier()
    dist.destroy_process_group()
    print("done")
