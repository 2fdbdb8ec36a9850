"""Every example runs as it stands, and shows what it says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import graddiag
from tests.fresh_process import run_script
from tests.needs import needs

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.slow


def run(name: str, folder: Path, *arguments: str) -> str:
    """What the example prints; graddiag's own warnings are errors."""
    return run_script(EXAMPLES / name, folder, *arguments)


def load(folder: Path, name: str) -> graddiag.Run:
    found = graddiag.load_run(folder / "runs" / name)
    assert found.manifest.status == "finished"
    assert found.events[found.events.kind == "recording_stopped"].empty
    return found


def test_every_example_is_tested() -> None:
    tested = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in tested


def test_plain_loop(tmp_path: Path) -> None:
    printed = run("plain_loop.py", tmp_path)
    tanh, lstm = (load(tmp_path, f"recall/{name}") for name in ("tanh", "lstm"))
    assert graddiag.diagnose(tanh).verdict == "vanishing"
    assert graddiag.diagnose(lstm).verdict == "healthy"
    assert tanh.steps.loss.iloc[-20:].mean() > 1.3
    assert lstm.steps.loss.iloc[-20:].mean() < 1.2
    assert "Cause     vanishing gradient" in printed


@pytest.mark.libraries
def test_lightning_loop(tmp_path: Path) -> None:
    needs("lightning.pytorch", "lightning")
    assert "80 steps under norm:0.5" in run("lightning_loop.py", tmp_path)
    steps = load(tmp_path, "adding/gru").steps
    assert steps.grad_norm_clipped.max() < 0.5 < steps.grad_norm.max()
    assert steps.loss.iloc[-1] < steps.loss.iloc[0]


def test_decoder_loop(tmp_path: Path) -> None:
    run("decoder_loop.py", tmp_path)
    rows = load(tmp_path, "copier").timesteps
    decoder = rows[(rows.module == "decoder") & (rows.step == 0)]
    assert decoder.timestep.tolist() == list(range(12))
    assert decoder.call.unique().tolist() == [0]
    # what comes through time is there besides what the loss of the timestep itself puts in
    assert (decoder.grad_h > decoder.grad_h_direct).iloc[:-1].any()


def test_custom_cell(tmp_path: Path) -> None:
    run("custom_cell.py", tmp_path)
    arrived = {}
    for name in ("half-open", "nearly-closed"):
        rows = load(tmp_path, f"mingru/{name}").timesteps
        assert rows.module.unique().tolist() == ["cell"]
        norms = rows[rows.step == 0].set_index("timestep").grad_h
        arrived[name] = norms[0] / norms[39]
    assert arrived["half-open"] < 1e-6
    assert 0.1 < arrived["nearly-closed"] < 1


@pytest.mark.parametrize("cell", ["leaky", "conv-lstm", "min-gru", "s-lstm"])
def test_any_cell(cell: str, tmp_path: Path) -> None:
    printed = run("any_cell.py", tmp_path, cell)
    assert "gradient gain per timestep" in printed
    rows = load(tmp_path, cell).timesteps
    assert rows.module.unique().tolist() == ["cell"]
    assert rows[rows.step == 0].timestep.tolist() == list(range(30))
    assert rows[["grad_h", "grad_h_direct", "transport_gain"]].notna().all(axis=None)
    # the loss is at the last timestep alone
    assert not rows[rows.timestep < 29].grad_h_direct.any()


def test_recurrent_policy(tmp_path: Path) -> None:
    printed = run("recurrent_policy.py", tmp_path)
    assert "one sequence of 24 timesteps" in printed
    found = load(tmp_path, "policy")
    rows = found.timesteps
    assert rows.call.unique().tolist() == [0], "an episode that ends begins no sequence"
    assert rows[rows.timestep < 23].transport_gain.gt(0.05).all(), "what has ended is left out of the gain"
    assert found.steps.reward.iloc[-5:].mean() > found.steps.reward.iloc[:5].mean()
    assert "state_detached" not in found.events.kind.tolist()


@pytest.mark.libraries
def test_torchrun_loop(tmp_path: Path) -> None:
    program = str(EXAMPLES / "torchrun_loop.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", program]
    own = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    ended = subprocess.run(
        command, cwd=tmp_path, env=os.environ | own, capture_output=True, text=True, timeout=250, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "adding-ddp   200 steps, 40 recorded" in ended.stdout
    assert graddiag.list_runs(tmp_path / "runs")["run"].tolist() == ["adding-ddp"]
    first, second = load(tmp_path, "adding-ddp"), load(tmp_path, "adding-ddp/ranks/rank-1")
    assert first.steps.grad_norm.tolist() == second.steps.grad_norm.tolist()  # after the all-reduce
    assert first.steps.loss.tolist() != second.steps.loss.tolist()
    assert first.steps.loss.iloc[-20:].mean() < first.steps.loss.iloc[:5].mean() / 2
