"""The networks of the lab: the layers of ``graddiag.nn``, and cells that are followed without their equations.

The former are the kinds of ``graddiag.kinds``. A cell of ``graddiag.lab.cells`` is an entry of ``NETWORKS`` and a
module of one class; ``graddiag.watch(cells=...)`` measures it. torch is not imported before one is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from graddiag.kinds import CELL_TYPES, MODELS, CellType


@dataclass(frozen=True)
class NetworkKind:
    """A cell of the lab.

    Attributes:
        name: as ``--model`` has it; title: as it is written in text.
        does: its equations, and source: where they come from, for the manual.
        implementation: module of ``graddiag.lab.cells`` and class, called with the sizes of input and state.
    """

    name: str
    title: str
    does: str
    source: str
    implementation: str


NETWORKS: Final = (
    NetworkKind(
        name="mingru",
        title="minGRU",
        does="z_t = sigmoid(W_z x_t), h_t = (1 - z_t) h_{t-1} + z_t W_h x_t: no gate reads the state",
        source="Feng et al. (2024), section 3.1",
        implementation="min_gru:MinGru",
    ),
    NetworkKind(
        name="minlstm",
        title="minLSTM",
        does="h_t = f' h_{t-1} + i' W_h x_t, with f' = f / (f + i) and i' = i / (f + i)",
        source="Feng et al. (2024), section 3.2",
        implementation="min_lstm:MinLstm",
    ),
    NetworkKind(
        name="lru",
        title="LRU",
        does="s_t = λ s_{t-1} + g B x_t, complex and diagonal, |λ| < 1; the output is gelu(Re(C s_t) + D x_t)",
        source="Orvieto et al. (2023), section 3 and appendix A",
        implementation="lru:Lru",
    ),
    NetworkKind(
        name="slstm",
        title="sLSTM",
        does="an LSTM with exponential gates: c_t = f c_{t-1} + i z, n_t = f n_{t-1} + i, h_t = o c_t / n_t",
        source="Beck et al. (2024), equations 8 to 17",
        implementation="slstm:Slstm",
    ),
    NetworkKind(
        name="mlstm",
        title="mLSTM",
        does="a matrix memory with exponential gates: C_t = f C_{t-1} + i v kᵀ, n_t = f n_{t-1} + i k, "
        "h_t = o C_t q / max(abs(n_t q), 1)",
        source="Beck et al. (2024), equations 19 to 27",
        implementation="mlstm:Mlstm",
    ),
    NetworkKind(
        name="leaky",
        title="leaky RNN",
        does="h_t = .8 h_{t-1} + .2 tanh(W x_t + U h_{t-1} + b): a time constant of five timesteps",
        source="Jaeger et al. (2007); .2 as in Yang et al. (2019)",
        implementation="leaky_rnn:LeakyRnn",
    ),
    NetworkKind(
        name="orthogonal",
        title="orthogonal RNN",
        does="h_t = modReLU(W x_t + U h_{t-1}), U orthogonal at every step of the training",
        source="Lezcano-Casado & Martínez-Rubio (2019); torch.nn.utils.parametrizations.orthogonal",
        implementation="orthogonal_rnn:OrthogonalRnn",
    ),
    NetworkKind(
        name="unitary",
        title="unitary RNN",
        does="h_t = modReLU(V x_t + U h_{t-1}), complex, U unitary at every step of the training",
        source="Arjovsky et al. (2016); every unitary U, as in Wisdom et al. (2016)",
        implementation="unitary_rnn:UnitaryRnn",
    ),
    NetworkKind(
        name="cornn",
        title="coRNN",
        does="coupled oscillators: z_t = z_{t-1} + Δt (tanh(W [x_t, z, y]) - 2.7 y - 4.7 z), y_t = y_{t-1} + Δt z_t",
        source="Rusch & Mishra (2021), equation 3, n̄ = n - 1",
        implementation="cornn:CoRnn",
    ),
)

NETWORK_NAMES: Final[tuple[str, ...]] = (*MODELS, *(kind.name for kind in NETWORKS))

if TYPE_CHECKING:
    NetworkName = str
else:
    NetworkName = Literal[NETWORK_NAMES]

# Adam, as in their sources: a plain step of the gradient does not suit parameters of such different sizes
_ADAM: Final[Mapping[str, Any]] = {"optimizer": "adam", "lr": 0.003, "init_std": None}
STARTS: Final[Mapping[str, Mapping[str, Any]]] = {
    **{kind.name: kind.start for kind in CELL_TYPES.values()},
    **{kind.name: _ADAM for kind in NETWORKS},
}
"""Settings that suit each network."""


def cell_type(model: str) -> CellType | None:
    """The kind of a layer of ``graddiag.nn``; None for a cell of the lab."""
    return next((kind for kind in CELL_TYPES.values() if kind.name == model), None)


def network_kind(model: str) -> NetworkKind:
    """The cell of the lab with that name."""
    return next(kind for kind in NETWORKS if kind.name == model)
