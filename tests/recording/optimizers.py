"""An encoder and a decoder with a batch, for the tests of optimizers."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from tests.tracing.models import hooks_of

T, N, I, H = 5, 3, 2, 4


class Parts(nn.Module):
    """An encoder and a decoder, as two optimizers may have them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.GRU(I, H)
        self.decoder = nn.LSTM(H, H)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x)[0])[0]


def parts() -> Parts:
    torch.manual_seed(1)
    return Parts()


def batch(step: int) -> Tensor:
    return torch.randn(T, N, I, generator=torch.Generator().manual_seed(step))


def norm_of(*modules: nn.Module) -> float:
    grads = [p.grad.double() for module in modules for p in module.parameters() if p.grad is not None]
    return float(torch.stack([g.norm() for g in grads]).norm())


def is_clean(model: nn.Module, *optimizers: Optimizer) -> bool:
    pre, post = _global_optimizer_pre_hooks, _global_optimizer_post_hooks
    own = [len(o._optimizer_step_pre_hooks) + len(o._optimizer_step_post_hooks) for o in optimizers]
    zero = ["zero_grad" in vars(o) for o in optimizers]
    of_parameters = [len(p._backward_hooks or ()) for p in model.parameters()]
    return not (hooks_of(model) or pre or post or sum(own) or any(zero) or sum(of_parameters))
