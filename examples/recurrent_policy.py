"""A recurrent policy with episode masks: the state is reset where an episode ends, and the gradient with it.

An agent sees a signal when an episode begins and is rewarded, some timesteps later, for having remembered it. Several
environments run side by side, and an episode may end at any timestep: `h * alive` sets the state of that environment to
0. graddiag follows the cell through this operation. A sample whose episode has ended has no gradient to send further
back, so it is left out of the gain; it is no vanishing gradient. Run it: python examples/recurrent_policy.py
"""

import torch
from torch import nn
from torch.distributions import Categorical

import graddiag

ENVIRONMENTS, LENGTH, HIDDEN, UPDATES, EPISODE = 32, 24, 24, 60, 6


class NormedGru(nn.Module):
    """A GRU with layer norm before its gates, as world models use it."""

    def __init__(self) -> None:
        super().__init__()
        self.gates, self.norm = nn.Linear(3 + HIDDEN, 3 * HIDDEN), nn.LayerNorm(3 * HIDDEN)

    def forward(self, seen: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        reset, candidate, update = self.norm(self.gates(torch.cat((seen, h), 1))).chunk(3, 1)
        update = torch.sigmoid(update - 1)
        return update * torch.tanh(torch.sigmoid(reset) * candidate) + (1 - update) * h


class Policy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = NormedGru(), nn.Linear(HIDDEN, 2)

    def forward(self, seen: torch.Tensor, h: torch.Tensor, alive: torch.Tensor) -> tuple[Categorical, torch.Tensor]:
        """seen [N, 3], h [N, H], alive [N, 1], 0 where an episode has just ended."""
        h = self.cell(seen, h * alive)
        return Categorical(logits=self.head(h)), h


class Memory:
    """Shows one of two signals at the first timestep of an episode, and asks for it at the last."""

    def __init__(self) -> None:
        self.age = torch.randint(EPISODE, (ENVIRONMENTS,))
        self.signal = torch.randint(2, (ENVIRONMENTS,))

    def observe(self) -> torch.Tensor:
        """[N, 3]: the signal, one-hot, when an episode begins, and whether it is asked for now."""
        shown = nn.functional.one_hot(self.signal, 2) * (self.age == 0)[:, None]
        return torch.cat((shown, (self.age == EPISODE - 1)[:, None]), 1).float()

    def act(self, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The reward [N] and what is still alive [N, 1]."""
        asked = self.age == EPISODE - 1
        reward = torch.where(asked, (action == self.signal).float() - 0.5, 0.0)
        self.age = torch.where(asked, 0, self.age + 1)
        self.signal = torch.where(asked, torch.randint(2, asked.shape), self.signal)
        return reward, (~asked).float()[:, None]


def rollout(policy: Policy, environment: Memory) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of REINFORCE over some timesteps, and the mean reward of a question."""
    h, alive = torch.zeros(ENVIRONMENTS, HIDDEN), torch.zeros(ENVIRONMENTS, 1)
    chances, rewards = [], []
    for _ in range(LENGTH):
        actions, h = policy(environment.observe(), h, alive)
        action = actions.sample()
        reward, alive = environment.act(action)
        chances.append(actions.log_prob(action))
        rewards.append(reward)
    gained = torch.stack(rewards)
    return -(torch.stack(chances) * gained).sum(0).mean(), gained.sum() / (gained != 0).sum()


def main() -> None:
    torch.manual_seed(0)
    policy, environment = Policy(), Memory()
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.02)
    with graddiag.watch(
        policy, optimizer, run="policy", root="runs", every=5, cells="cell", goal="reward", better="higher", chance=0.0
    ) as recorder:
        for _ in range(UPDATES):
            loss, reward = rollout(policy, environment)
            optimizer.zero_grad()
            loss.backward()
            recorder.log(loss=loss, reward=reward)
            optimizer.step()

    run = graddiag.load_run(recorder.path)
    first = run.timesteps[run.timesteps.step == 0]
    print(f"one sequence of {len(first)} timesteps, although episodes end within it")
    print(f"gradient gain per timestep, median: {first.transport_gain.median():.3f}")
    print(
        f"mean reward {run.steps.reward.iloc[:5].mean():.2f} at first, {run.steps.reward.iloc[-5:].mean():.2f} at last"
    )


if __name__ == "__main__":
    main()
