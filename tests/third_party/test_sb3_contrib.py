"""sb3-contrib: RecurrentPPO, whose states are masked where an episode ends."""

from pathlib import Path

import pytest
import torch
from torch import nn

import graddiag
from tests.third_party.trainings import recorded

contrib = pytest.importorskip("sb3_contrib", exc_type=ImportError)
gymnasium = pytest.importorskip("gymnasium", exc_type=ImportError)
pytestmark = [pytest.mark.third_party, pytest.mark.filterwarnings("ignore")]


def train(root: Path | None) -> tuple[nn.Module, Path | None]:
    torch.manual_seed(0)
    agent = contrib.RecurrentPPO(
        "MlpLstmPolicy", "CartPole-v1", n_steps=32, batch_size=16, n_epochs=2, seed=0, device="cpu",
        policy_kwargs={"lstm_hidden_size": 8, "net_arch": [8]},
    )  # fmt: skip
    policy = agent.policy
    recorder = None if root is None else graddiag.watch(policy, policy.optimizer, run="ppo", root=root)
    agent.learn(64)
    if recorder is not None:
        recorder.close()
    return policy, None if recorder is None else recorder.path


def test_a_recurrent_policy_is_recorded(tmp_path: Path) -> None:
    run = recorded(train, tmp_path)
    assert set(run.timesteps.module) == {"lstm_actor", "lstm_critic"}
    assert (run.timesteps.grad_h.dropna() >= 0).all()
    assert run.timesteps.groupby("step").timestep.nunique().max() > 1
