"""Every cell of the lab against its equations, unrolled: states, total and immediate gradients, and transport gain."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from graddiag import load_run, schema
from graddiag.errors import SettingError
from graddiag.lab import plan_run, train, training_spec
from graddiag.lab.cells.layers import CellLayers, StateCell, cell
from graddiag.lab.cells.lru import Lru
from graddiag.lab.cells.mlstm import Mlstm
from graddiag.lab.cells.orthogonal_rnn import OrthogonalRnn
from graddiag.lab.cells.slstm import Slstm
from graddiag.lab.cells.unitary_rnn import Unitary, UnitaryRnn
from graddiag.lab.networks import NETWORKS, network_kind
from graddiag.tracing.calls import Calls
from graddiag.tracing.custom import CellHooks, CellTrace, cell_signals, followed_cells
from tests.tracing.custom.cells import Case, H, I, N, State, T, inputs, real, truth, unroll

Definition = Callable[[Any, Tensor, State], State]


def sigmoid(a: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-a))


def affine(layer: nn.Linear, *parts: Tensor) -> Tensor:
    return linear(torch.cat(parts, 1), layer.weight, layer.bias)


def min_gru(cell: Any, x: Tensor, state: State) -> State:
    z = sigmoid(affine(cell.gate, x))
    return (state[0] - z * state[0] + z * affine(cell.candidate, x),)


def min_lstm(cell: Any, x: Tensor, state: State) -> State:
    f, i = sigmoid(affine(cell.gates, x)).split(H, 1)
    share = f / (f + i)
    return (share * state[0] + (1 - share) * affine(cell.candidate, x),)


def lru(cell: Any, x: Tensor, state: State) -> State:
    factor = torch.exp(torch.complex(-cell.nu_log.exp(), cell.theta_log.exp()))
    return (factor * state[0] + cell.gamma_log.exp() * (x.to(factor.dtype) @ torch.complex(*cell.b).T),)


def slstm(cell: Any, x: Tensor, state: State) -> State:
    h, c, n, m = state
    z, i, f, o = affine(cell.gates, x, h).split(H, 1)
    m_new = torch.maximum(sigmoid(f).log() + m, i)
    f, i = sigmoid(f) * torch.exp(m - m_new), torch.exp(i - m_new)
    c, n = f * c + i * torch.tanh(z), f * n + i
    return sigmoid(o) * (c / n), c, n, m_new


def mlstm(cell: Any, x: Tensor, state: State) -> State:
    C, n, m = state
    (k, v), (i, f) = affine(cell.stored, x).split(H, 1), affine(cell.gates, x).split(1, 1)
    m_new = torch.maximum(sigmoid(f).log() + m, i)
    f, i = sigmoid(f) * torch.exp(m - m_new), torch.exp(i - m_new)
    outer = torch.einsum("na,nb->nab", v, k / H**0.5)
    return f[:, :, None] * C + i[:, :, None] * outer, f * n + i * k / H**0.5, m_new


def leaky(cell: Any, x: Tensor, state: State) -> State:
    return (0.8 * state[0] + 0.2 * torch.tanh(affine(cell.recurrent, x, state[0])),)


def orthogonal(cell: Any, x: Tensor, state: State) -> State:
    a = x @ cell.inputs.weight.T + state[0] @ cell.recurrent.weight.T
    return (torch.where(a.abs() + cell.bias > 0, a + a.sign() * cell.bias, 0.0),)


def unitary(cell: Any, x: Tensor, state: State) -> State:
    z = x.to(state[0].dtype) @ torch.complex(*cell.inputs).T + state[0] @ torch.complex(*cell.weight).T
    return (torch.where(z.abs() + cell.bias > 0, z * (1 + cell.bias / z.abs()), 0.0),)


def cornn(cell: Any, x: Tensor, state: State) -> State:
    y, z = state
    force = torch.tanh(affine(cell.force, x, z, y))
    z = z + 0.042 * force - 0.042 * 2.7 * y - 0.042 * 4.7 * z
    return y + 0.042 * z, z


DEFINITIONS: dict[str, Definition] = {
    "mingru": min_gru,
    "minlstm": min_lstm,
    "lru": lru,
    "slstm": slstm,
    "mlstm": mlstm,
    "leaky": leaky,
    "orthogonal": orthogonal,
    "unitary": unitary,
    "cornn": cornn,
}
each = pytest.mark.parametrize("name", DEFINITIONS)


def made(name: str) -> StateCell:
    torch.manual_seed(0)
    return cast(StateCell, cell(network_kind(name), I, H).double())


def case(name: str, call: Definition) -> Case:
    shapes = tuple(tuple(part.shape) for part in made(name).zeros(torch.zeros(N, I)))
    return Case(lambda: made(name), call, shapes, complex=name in ("lru", "unitary"))


def loss_of(states: Sequence[State]) -> Tensor:
    """Of what is read out alone, at every timestep, as a head has it."""
    terms = [(t + 1) * (real(s[0]).square().sum() + 0.5 * real(s[0]).sum()) for t, s in enumerate(states)]
    return torch.stack(terms).sum()


def followed(of: Case, cell: nn.Module, x: Tensor, loss: Callable[[Sequence[State]], Tensor] = loss_of) -> CellTrace:
    hooks = CellHooks(cell, followed_cells(cell, cell), lambda name, task: task(), Calls())
    hooks.start(credit=False)
    loss(unroll(of, cell, x)).backward()
    (trace,) = hooks.take()
    hooks.close()
    return trace


def test_every_cell_has_its_definition_here_and_its_line_in_the_manual() -> None:
    assert list(DEFINITIONS) == [kind.name for kind in NETWORKS]
    rows = [f"| `{kind.name}` | {kind.title}: {kind.does} | {kind.source} |" for kind in NETWORKS]
    assert "\n".join(rows) in (Path(__file__).parents[2] / "docs" / "lab.md").read_text(encoding="utf-8")


@each
def test_the_states_are_those_of_the_equations(name: str) -> None:
    x = inputs(torch.float64)
    own = case(name, lambda cell, x_t, state: cell(x_t, state))
    states, expected = unroll(own, made(name), x), unroll(case(name, DEFINITIONS[name]), made(name), x)
    for found, wanted in zip(states, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)


@each
def test_gradients_and_gain_are_those_of_the_equations_unrolled(name: str) -> None:
    x = inputs(torch.float64)
    trace = followed(case(name, lambda cell, x_t, state: cell(x_t, state)), made(name), x)
    exact = truth(case(name, DEFINITIONS[name]), made(name), x, loss_of)
    found = cell_signals(trace).timesteps
    total, immediate = ([real(s[0]).norm() for s in states] for states in (exact.total, exact.immediate))
    torch.testing.assert_close(found[schema.GRAD_H], torch.stack(total), rtol=1e-9, atol=0)
    torch.testing.assert_close(found[schema.GRAD_H_DIRECT], torch.stack(immediate), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found[schema.TRANSPORT_GAIN], exact.gain, rtol=1e-9, atol=0)
    if name in ("mingru", "minlstm", "lru", "orthogonal"):
        assert found[schema.TRANSPORT_GAIN].max() <= 1 + 1e-6  # an orthogonal matrix drawn in float32


@each
def test_layers_are_cells_over_time_and_depth(name: str) -> None:
    torch.manual_seed(0)
    layers = CellLayers(network_kind(name), I, H, num_layers=2).double()
    x = inputs(torch.float64)
    output, state = layers(x)
    first, second = (cast(StateCell, cell) for cell in layers.cells)
    below, above, expected = first.zeros(x[0]), second.zeros(torch.zeros(N, H, dtype=x.dtype)), []
    for x_t in x:
        below = first(x_t, below)
        between = first.read_out(below, x_t)
        above = second(between, above)
        expected.append(second.read_out(above, between))
    torch.testing.assert_close(output, torch.stack(expected))
    torch.testing.assert_close(state, tuple(torch.stack(both) for both in zip(below, above, strict=True)))
    half, middle = layers(x[: T // 2])
    again, end = layers(x[T // 2 :], middle)
    torch.testing.assert_close(torch.cat((half, again)), output)
    torch.testing.assert_close(end, state)


def test_what_an_lru_reads_out_and_starts_from() -> None:
    cell = cast(Any, made("lru"))
    state = torch.randn(N, H, dtype=torch.complex128)
    x = torch.randn(N, I, dtype=torch.float64)
    a = (state @ torch.complex(*cell.c).T).real + x @ cell.d.T
    torch.testing.assert_close(cell.read_out((state,), x), a * (1 + torch.erf(a / 2**0.5)) / 2)
    torch.manual_seed(0)
    many = Lru(1, 3_000)
    size = many.eigenvalues.abs().detach()
    assert size.max() < 1
    assert size.square().mean() == pytest.approx(0.5, abs=0.03)  # uniform on the disk: |lambda|^2 is from U(0, 1)
    torch.testing.assert_close(many.gamma_log.exp().detach(), (1 - size.square()).sqrt(), rtol=1e-3, atol=1e-3)


def test_an_slstm_is_that_without_its_stabilizer() -> None:
    """Equations 8 to 14 as they are, exp gates included: the same output and gradient of the parameters."""
    torch.manual_seed(0)
    cell = Slstm(I, H).double()
    (weight, bias), x = cell.gates.parameters(), inputs(torch.float64)
    state, h, found = cell.zeros(x[0]), torch.zeros(N, H, dtype=x.dtype), []
    c, n, expected = h, h, []
    for x_t in x:
        state = cell(x_t, state)
        found.append(state[0])
        z, i, f, o = linear(torch.cat((x_t, h), 1), weight, bias).split(H, 1)
        c, n = sigmoid(f) * c + i.exp() * z.tanh(), sigmoid(f) * n + i.exp()
        h = sigmoid(o) * c / n
        expected.append(h)
    torch.testing.assert_close(torch.stack(found), torch.stack(expected))
    losses = [torch.stack(states).square().sum() for states in (found, expected)]
    gradients = [torch.autograd.grad(loss, (weight, bias)) for loss in losses]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_an_mlstm_is_that_without_its_stabilizer() -> None:
    """Equations 19 to 27 as they are, with exp gates and max(|n q|, 1): the same output and gradients."""
    torch.manual_seed(0)
    cell, x = Mlstm(I, H).double(), 4 * inputs(torch.float64)
    nn.init.normal_(cell.gates.weight)
    state, found, expected, divided = cell.zeros(x[0]), [], [], []
    C, n, _ = state
    for x_t in x:
        state = cell(x_t, state)
        found.append(cell.read_out(state, x_t))
        (k, v), (q, o) = affine(cell.stored, x_t).split(H, 1), affine(cell.asked, x_t).split(H, 1)
        i, f = affine(cell.gates, x_t).split(1, 1)
        i, f, k = i.exp(), sigmoid(f), k / H**0.5
        C = f[:, :, None] * C + i[:, :, None] * v[:, :, None] * k[:, None, :]
        n = f * n + i * k
        divided.append((n * q).sum(1, keepdim=True).abs().clamp(min=1.0))
        expected.append(sigmoid(o) * torch.einsum("nab,nb->na", C, q) / divided[-1])
    assert 0 < sum((each == 1).sum() for each in divided) < T * N  # either side of the maximum
    torch.testing.assert_close(torch.stack(found), torch.stack(expected))
    losses = [torch.stack(states).square().sum() for states in (found, expected)]
    gradients = [torch.autograd.grad(loss, tuple(cell.parameters())) for loss in losses]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_what_reaches_the_normalizer_of_an_mlstm_counts_in_its_gain() -> None:
    """A loss of what is read out, which divides by n' and exp(-m): gain and c are of all three tensors."""
    cell, x = cast(Mlstm, made("mlstm")), 4 * inputs(torch.float64)

    def loss(states: Sequence[State]) -> Tensor:
        return torch.stack([cell.read_out(s, x_t).square().sum() for s, x_t in zip(states, x, strict=True)]).sum()

    found = cell_signals(followed(case("mlstm", Mlstm.__call__), cell, x, loss)).timesteps
    exact = truth(case("mlstm", mlstm), cell, x, loss)
    others = torch.stack([torch.cat([s[1], s[2]], 1).norm() for s in exact.total])
    assert others.min() > 0
    torch.testing.assert_close(found[schema.GRAD_C], others, rtol=1e-9, atol=0)
    torch.testing.assert_close(found[schema.GRAD_H], torch.stack([s[0].norm() for s in exact.total]), rtol=1e-9, atol=0)
    torch.testing.assert_close(found[schema.TRANSPORT_GAIN], exact.gain, rtol=1e-9, atol=0)


def test_an_mlstm_begins_as_its_source_says() -> None:
    torch.manual_seed(0)
    biases = torch.stack([Mlstm(2, 1).gates.bias.detach() for _ in range(400)])
    assert Mlstm(2, 1).gates.weight.abs().max() == 0
    assert biases[:, 1].unique().tolist() == [3.0]
    assert biases[:, 0].std() == pytest.approx(0.1, rel=0.2)


def test_an_orthogonal_matrix_stays_so() -> None:
    torch.manual_seed(0)
    cell = OrthogonalRnn(I, H)
    optimizer = torch.optim.Adam(cell.parameters(), lr=0.05)
    before = cell.recurrent.weight.detach().clone()
    for _ in range(20):
        (state,) = cell(torch.randn(N, I), cell(torch.randn(N, I), (torch.randn(N, H),)))
        optimizer.zero_grad()
        (state - 1).square().sum().backward()
        optimizer.step()
    u = cell.recurrent.weight.detach()
    assert (u - before).norm() > 0.1
    torch.testing.assert_close(u.T @ u, torch.eye(H), rtol=0, atol=1e-5)


def test_a_unitary_matrix_stays_so() -> None:
    torch.manual_seed(0)
    cell = UnitaryRnn(I, H)
    optimizer = torch.optim.Adam(cell.parameters(), lr=0.05)
    before = torch.complex(*cell.weight.detach())
    for _ in range(20):
        x, state = torch.randn(2, N, I), (torch.randn(N, H, dtype=torch.complex64),)
        optimizer.zero_grad()
        (cell.read_out(cell(x[1], cell(x[0], state)), x[1]) - 1).square().sum().backward()
        optimizer.step()
    u = torch.complex(*cell.weight.detach())
    assert (u - before).norm() > 0.1
    assert before.imag.norm() > 1
    for each in (before, u):
        torch.testing.assert_close(each.mH @ each, torch.eye(H, dtype=each.dtype), rtol=0, atol=1e-5)


def test_the_gradient_of_a_unitary_matrix_is_that_of_its_parameters() -> None:
    torch.manual_seed(0)
    unitary = Unitary(3).double()
    free = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unitary, (free,))
    wide = torch.complex(free[0] - free[0].T, free[1] + free[1].T).detach()
    series = sum(
        (torch.linalg.matrix_power(wide, k) / float(math.factorial(k)) for k in range(1, 60)), torch.eye(3) + 0j
    )
    torch.testing.assert_close(torch.complex(*unitary(free)), torch.complex(*unitary.start) @ series)


def test_the_gradient_of_a_unitary_rnn_grows_by_positive_biases_alone() -> None:
    x = inputs(torch.float64)
    for bias, grows in ((-0.3, False), (0.0, False), (0.3, True)):
        cell = cast(UnitaryRnn, made("unitary"))
        nn.init.constant_(cell.bias, bias)
        gain = cell_signals(followed(case("unitary", UnitaryRnn.__call__), cell, x)).timesteps[schema.TRANSPORT_GAIN]
        assert bool(gain.max() > 1.01) is grows
        assert grows or gain.max() <= 1 + 1e-6
        assert bool(gain.min() > 1 - 1e-6) is (bias >= 0)


@each
def test_it_is_trained_and_recorded_in_the_lab(name: str, tmp_path: Path) -> None:
    spec = training_spec("recall", name, length=5, steps=4, hidden=4, batch=3, every=2, layers=2)
    run = load_run(train(plan_run(spec), tmp_path).path)
    assert set(run.timesteps["module"]) == {"recurrent.cells.0", "recurrent.cells.1"}
    assert set(run.timesteps["timestep"]) == set(range(6))
    assert run.timesteps[schema.TRANSPORT_GAIN].iloc[1:].notna().any()
    assert run.events["kind"].tolist() == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"init": "orthogonal"}, "init: a model 'mingru' is initialized as in its source; leave it out"),
        ({"init_std": 0.1}, "init_std: a model 'mingru' is initialized as in its source"),
        ({"forget_bias": 1.0}, "forget_bias: a model 'mingru' is initialized as in its source"),
        ({"layer_norm": True}, "layer_norm: it is for a model 'rnn', not for 'mingru'"),
        ({"omega": 1.0}, "omega 1: it is for a model 'rnn', not one 'mingru'"),
        ({"h_detach": 0.5}, "h_detach 0.5: only a model 'lstm' has a cell path"),
    ],
)
def test_what_is_not_for_it_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        training_spec("recall", "mingru", **settings)
