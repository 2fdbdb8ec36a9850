"""FSDP2 after watch(): the training goes on as unwatched, and what cannot be measured is said."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOOP = """
import sys, warnings, torch
from torch import nn
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
import graddiag

folder, watched, which = sys.argv[1], sys.argv[2] == "watched", sys.argv[3]
warnings.simplefilter("ignore")
dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous-{watched}", rank=0, world_size=1)
torch.manual_seed(0)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(2, 8), nn.Linear(8, 1)
    def forward(self, x):
        return self.head(self.rnn(x)[0][-1])
net = Net()
mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
early = torch.optim.SGD(net.parameters(), 0.1)
recorder = graddiag.watch(net, early if which == "old" else None, run="r", root=folder) if watched else None
fully_shard(net.rnn, mesh=mesh); fully_shard(net, mesh=mesh)
optimizer = torch.optim.SGD(net.parameters(), 0.1)
for step in range(4):
    x = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(step))
    optimizer.zero_grad()
    loss = net(x).square().mean(); loss.backward()
    if recorder is not None: recorder.log(loss=loss)
    optimizer.step()
    if recorder is not None and which == "none": recorder.step()
if recorder is not None: recorder.close()
torch.save([p.full_tensor() for p in net.parameters()], f"{folder}/{watched}.pt")
dist.destroy_process_group()
print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("which", ["old", "none"])
def test_a_model_that_is_sharded_later_trains_on_and_its_shards_are_not_measured(which: str, tmp_path: Path) -> None:
    import torch

    import graddiag

    own = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": os.pathsep.join(sys.path)}
    for watched in ("bare", "watched"):
        ended = subprocess.run(
            [sys.executable, "-c", LOOP, str(tmp_path), watched, which],
            env=os.environ | own, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert ended.stdout.strip() == "done", (ended.returncode, ended.stderr[-2000:])
    bare, found = (torch.load(tmp_path / f"{watched}.pt") for watched in (False, True))
    assert all(torch.equal(a, b) for a, b in zip(bare, found, strict=True))
    run = graddiag.load_run(tmp_path / "r")
    assert run.manifest.status == "finished"
    messages = " ".join(run.events.message)
    assert "FSDP" in messages or "optimizer.step() was never called" in messages
    assert not len(run.timesteps) or run.timesteps.grad_h.notna().all()
