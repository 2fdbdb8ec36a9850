"""The agents of the unseen part: Q-learning with a target net, a clipped surrogate, an actor with a critic."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts.training import Forward, Scalars


def q_learning(target: nn.Module, actions: int, gamma: float = 0.8, refresh: int = 100) -> Forward:
    """Temporal differences over a sequence of symbols [T, N]: 1 for naming the symbol of a timestep ago.

    target: a copy of the net, which gets its parameters every ``refresh`` steps. A tenth of the actions is drawn at
    random. Logs the mean reward. The values grow while the agent gets better.
    """

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        if step % refresh == 0:
            target.load_state_dict(net.state_dict())
        values = net(x)
        taken = values.detach().argmax(-1)
        drawn = torch.randint(0, actions, taken.shape)
        taken = torch.where(torch.rand(taken.shape) < 0.1, drawn, taken)
        reward = (taken[1:] == x[:-1]).float()
        with torch.no_grad():
            ahead = target(x).max(-1).values[2:]
        wanted = reward + gamma * torch.cat([ahead, torch.zeros_like(ahead[:1])])
        found = values[1:].gather(-1, taken[1:, :, None])[..., 0]
        return functional.smooth_l1_loss(found, wanted), {"reward": float(reward.mean())}

    return forward


def surrogate(times: int = 4, width: float = 0.2) -> Forward:
    """The clipped surrogate of PPO: actions are drawn once for ``times`` updates; the batch must be held as long."""
    kept: dict[str, Tensor] = {}
    baseline = [0.0]

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        log_p = functional.log_softmax(net(x), -1)
        if step % times == 0:
            taken = torch.multinomial(log_p.detach().exp(), 1)
            reward = (taken[:, 0] == y).float()
            kept.update(taken=taken, old=log_p.detach().gather(1, taken)[:, 0], gain=reward - baseline[0])
            kept["reward"] = reward.mean()
            baseline[0] += 0.05 * (float(reward.mean()) - baseline[0])
        ratio = (log_p.gather(1, kept["taken"])[:, 0] - kept["old"]).exp()
        gain = kept["gain"]
        loss = -torch.minimum(ratio * gain, ratio.clamp(1 - width, 1 + width) * gain).mean()
        return loss, {"reward": float(kept["reward"])} if step % times == 0 else {}

    return forward


def actor_critic(entropy: float) -> Forward:
    """Actions drawn after the last timestep, a value of the state beside them, and a bonus for entropy.

    The net has one output more than there are actions. Logs the reward.
    """

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        output = net(x)
        log_p, value = functional.log_softmax(output[:, :-1], -1), output[:, -1]
        taken = torch.multinomial(log_p.detach().exp(), 1)
        reward = (taken[:, 0] == y).float()
        gain = reward - value.detach()
        spread = -(log_p.exp() * log_p).sum(-1).mean()
        loss = -(gain * log_p.gather(1, taken)[:, 0]).mean() + 0.5 * functional.mse_loss(value, reward)
        return loss - entropy * spread, {"reward": float(reward.mean())}

    return forward


def negated(forward: Forward) -> Forward:
    """The same with the sign of the loss the wrong way round."""

    def wrong(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        found = forward(net, x, y, step)
        loss, scalars = found if isinstance(found, tuple) else (found, {})
        return -loss, scalars

    return wrong
