"""Omega, the regulariser that keeps the gradient from vanishing on its way back through time.

Legend: T timesteps, N batch, H units; lambda_t = dL/dh_t, delta_t = dL/da_t, s_t = J_t^T lambda_t, which is
delta_t W_hh, and lambda_t more with residual connections.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import torch
from torch import Tensor, nn

from graddiag.cells import CELLS, type_of
from graddiag.errors import SettingError
from graddiag.lab.settings.update import OmegaForm
from graddiag.tracing import ModuleHooks, Trace, recurrent_modules

# a timestep of a sample whose ||lambda||^2 is below it has no part in Omega, as in the authors' code
BOUND: Final = 1e-20


@dataclass(frozen=True)
class OmegaTerm:
    """Omega of one layer, 0-dim, and its immediate derivative by the layer's W_hh, [H, H]."""

    value: Tensor
    grad_w_hh: Tensor


@torch.no_grad()
def omega_term(trace: Trace, w_hh: Tensor, form: OmegaForm = "squared") -> OmegaTerm:
    """Omega of a traced RNN layer and its derivative by W_hh, where W_hh is a factor of J_t alone.

    The mean over timesteps and samples of (r - 1)^2, where r compares the gradient that one sample's timestep sends
    back with the one that reached it, L2 over units: ``squared`` takes ||s_t||^2 / ||lambda_t||^2 and ``norm``
    ||s_t|| / ||lambda_t||. lambda_t and the states are constants: W_hh is not followed into them.

    Args:
        trace: of an RNN, with its gradients; they are of the loss alone, in its units (r has none).
        w_hh: [H, H], the weight as it was in that pass.

    Returns:
        Samples whose ||lambda_t||^2 is below 1e-20, or NaN, have no part in it; 0 where none has. inf makes it NaN.

    Source: Pascanu, Mikolov & Bengio (2013), equations 9 (norm) and 10 (squared); the mean and the bound are those of
    the authors' code, which squares.
    """
    assert trace.grad_h is not None
    assert trace.grad_a_hh is not None
    delta = trace.grad_a_hh
    sent = delta @ w_hh + (trace.grad_h if CELLS[trace.kind].residual else 0)
    arrived = trace.grad_h.square().sum(-1)
    counts = arrived >= BOUND
    number = counts.sum().clamp(min=1)
    ratio = torch.where(counts, sent.square().sum(-1) / arrived, 1.0)
    # slope: d off / d ratio; at s_t = 0 the norm has none, and 0 is taken
    if form == "norm":
        off = ratio.sqrt() - 1
        slope = torch.where(ratio > 0, 0.5 * ratio.rsqrt(), 0.0)
    else:
        off, slope = ratio - 1, torch.ones_like(ratio)
    # d ratio / dW_hh = 2 delta^T s / ||lambda||^2
    factor = torch.where(counts, 4 * off * slope / (arrived * number), 0.0)
    grad = (delta * factor.unsqueeze(-1)).flatten(0, 1).t() @ sent.flatten(0, 1)
    return OmegaTerm(off.square().sum() / number, grad)


class OmegaRegularizer:
    """Adds ``weight`` times the derivative of Omega to the gradient of each recurrent weight of a model's RNNs.

    Call it after ``backward()`` and before clipping, which then sees the whole gradient, as in the authors' code. A
    recorder sees it too: the gradient before clipping holds it, what is recorded by timestep is of the loss alone.

    Raises:
        SettingError: the model holds an LSTM, a GRU or an RNN with layer norm, or no recurrent layer at all.
    """

    def __init__(self, model: nn.Module, weight: float, form: OmegaForm = "squared") -> None:
        _check(model)
        self._modules = recurrent_modules(model)
        self._weight = weight
        self._form = form
        self._hooks = ModuleHooks(model, lambda module, task: task())
        self._hooks.start()

    def __call__(self) -> Tensor:
        """Adds to ``.grad``, and gives Omega: the sum over layers and directions, 0-dim, before ``weight``."""
        terms: dict[Tensor, Tensor] = {}
        values = []
        for trace in self._hooks.take():
            w_hh = self._recurrent_weight(trace)
            term = omega_term(trace, w_hh.detach(), self._form)
            values.append(term.value)
            terms[w_hh] = terms.get(w_hh, 0) + self._weight * term.grad_w_hh
        if terms:
            # through autograd, so that whoever watches these gradients hears of it
            torch.autograd.backward(list(terms), list(terms.values()))
        return torch.stack(values).sum() if values else torch.zeros(())

    def close(self) -> None:
        """Takes its hooks off the model; safe to call twice."""
        self._hooks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _recurrent_weight(self, trace: Trace) -> Tensor:
        module = self._modules[trace.module]
        end = "" if isinstance(module, nn.RNNCellBase) else f"_l{trace.layer}"
        w_hh: Tensor = getattr(module, f"weight_hh{end}" + ("_reverse" if trace.direction == "reverse" else ""))
        return w_hh


def _check(model: nn.Module) -> None:
    modules = recurrent_modules(model)
    for name, module in modules.items():
        kind = type_of(module)
        if kind is None or not kind.nonlinearities:
            raise SettingError(
                f"omega: module {name or '(model)'!r} is of the kind {type(module).__name__}, whose gates send "
                "gradients back beside W_hh; Omega is for an RNN."
            )
        if getattr(module, "layer_norm", False):
            raise SettingError(
                f"omega: module {name or '(model)'!r} has layer norm, whose derivative W_hh is in too; Omega is for an "
                "RNN without it."
            )
    if not modules:
        raise SettingError("omega: the model has no recurrent layer; it is for one with an RNN.")
