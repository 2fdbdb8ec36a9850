"""J_t = d s_t / d s_{t-1} from either side and as a matrix, against autograd through one timestep."""

import pytest
import torch
from torch import Tensor

from graddiag.cells import CellKind, Weights
from graddiag.cells.jacobian import Tangents, Trajectory, jacobian, pull, push
from graddiag.cells.registry import tangents
from graddiag.cells.spectra import block_spectra
from tests.reference.oracle import cell

F64 = torch.float64
T, N, I, H, P, K = 4, 3, 2, 5, 3, 6
KINDS = ("rnn_tanh", "rnn_relu", "rnn_sigmoid", "rnn_identity", "gru", "lstm", "lstm_proj")
GATES = {"lstm": "ifgo", "gru": "rzn"}


def made(kind: str, bias: bool) -> tuple[Tangents, list[Tensor]]:
    """The tangents of T random timesteps, and the Jacobians of each by autograd, [N, D, D]."""
    torch.manual_seed(0)
    family, _, projected = kind.partition("_") if kind.startswith("lstm") else (kind, "", "")
    rows, width = {"lstm": 4, "gru": 3}.get(family, 1) * H, P if projected else H
    named = {"weight_ih": torch.randn(rows, I, dtype=F64), "weight_hh": torch.randn(rows, width, dtype=F64)}
    named |= {name: torch.randn(rows, dtype=F64) for name in ("bias_ih", "bias_hh") if bias}
    w_hr = torch.randn(P, H, dtype=F64) if projected else None
    x = torch.randn(T, N, I, dtype=F64)
    h, c = torch.randn(T, N, width, dtype=F64), torch.randn(T, N, H, dtype=F64)

    def step(t: int, state: Tensor) -> dict[str, Tensor]:
        kept = cell(family, named, x[t], (state[..., :width], state[..., width:]))
        return kept | ({"h": kept["h"] @ w_hr.T} if w_hr is not None else {})

    def after(t: int, state: Tensor) -> Tensor:
        kept = step(t, state)
        return torch.cat([kept["h"], kept["c_next"]], -1) if family == "lstm" else kept["h"]

    states = [torch.cat([h[t], c[t]], -1) if family == "lstm" else h[t] for t in range(T)]
    went = [step(t, states[t]) for t in range(T)]
    along = Trajectory(
        {gate: torch.stack([one[gate] for one in went]) for gate in GATES.get(family, "")},
        torch.stack([one["h"] for one in went]),
        h,
        torch.stack([one["c"] for one in went]) if family == "lstm" else None,
        c if family == "lstm" else None,
    )
    weights = Weights(named["weight_ih"], named["weight_hh"], named.get("bias_ih"), named.get("bias_hh"), w_hr)
    truth = [
        torch.stack(
            [
                torch.autograd.functional.jacobian(lambda s, t=t, n=n: after_one(after, t, n, s), states[t][n])
                for n in range(N)
            ]
        )
        for t in range(T)
    ]
    kind_of: CellKind = family
    return tangents(kind_of, along, weights), truth


def after_one(after: object, t: int, n: int, state: Tensor) -> Tensor:
    """The state of sample ``n`` after timestep ``t``, from that before it [D]."""
    return after(t, state.expand(N, -1))[n]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_that_of_autograd(kind: str, bias: bool) -> None:
    J, truth = made(kind, bias)
    width = J.w_hh.shape[-1]
    assert J.size == truth[0].shape[-1]
    for t, expected in enumerate(truth):
        torch.testing.assert_close(jacobian(J, t), expected, rtol=1e-11, atol=1e-13)
        directions = torch.randn(N, J.size, K, dtype=F64)
        torch.testing.assert_close(push(J, t, directions), expected @ directions, rtol=1e-11, atol=1e-12)
        gradient = torch.randn(K, N, J.size, dtype=F64)
        back = torch.einsum("knd,nde->kne", gradient, expected)
        sent_h, sent_c = pull(J, t, gradient[..., :width], gradient[..., width:] if J.through is not None else None)
        found = sent_h if sent_c is None else torch.cat((sent_h, sent_c), -1)
        torch.testing.assert_close(found, back, rtol=1e-11, atol=1e-12)


def test_spectra_of_blocks_by_size() -> None:
    """The radius is .9, and yet the ninth power stretches by 19.38."""
    W = torch.tensor([[0.9, 5.0], [0.0, 0.9]], dtype=F64)
    rotation = torch.tensor([[0.0, -2.0], [2.0, 0.0]], dtype=F64)
    first, second = block_spectra(torch.cat((W, rotation)), 2)
    assert first.eigenvalues.abs().tolist() == pytest.approx([0.9, 0.9])
    assert first.singular[0].item() == pytest.approx(5.157, abs=1e-3)
    norms = [torch.linalg.matrix_norm(torch.linalg.matrix_power(W, k), 2).item() for k in range(1, 60)]
    assert (max(norms), norms.index(max(norms)) + 1) == (pytest.approx(19.38, abs=5e-3), 9)
    assert next(k for k, size in enumerate(norms, start=1) if size < 1) == 55
    assert sorted(second.eigenvalues.imag.tolist()) == pytest.approx([-2, 2])
    assert second.singular.tolist() == pytest.approx([2, 2])
    assert block_spectra(torch.ones(6, 2, dtype=F64), 3)[0].eigenvalues is None
