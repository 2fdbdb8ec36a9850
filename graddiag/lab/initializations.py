"""The weight initializations of the lab that have a name. torch is not imported before one draws.

They are drawn after everything else. A new one is an entry of ``INITIALIZATIONS`` and the function in
``graddiag.lab.weight_init`` that it names.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from graddiag.errors import SettingError
from graddiag.lab.networks import cell_type

if TYPE_CHECKING:
    from torch import nn

    from graddiag.lab.spec import TrainingSpec


@dataclass(frozen=True)
class InitializationKind:
    """A weight initialization.

    Attributes:
        name: as ``--init`` has it; help: what it does.
        implementation: function in ``weight_init``, called with the recurrent layer and the settings that it ``takes``.
        gated: whether it is for models with gates; None where it is for all.
        refusal: why it is refused for the others.
    """

    name: str
    help: str
    implementation: str
    takes: tuple[str, ...] = ()
    gated: bool | None = None
    refusal: str = ""

    def draw(self, recurrent: "nn.RNNBase", spec: "TrainingSpec") -> None:
        """Draws the parameters of ``recurrent`` from torch's global generator."""
        implementation = getattr(import_module("graddiag.lab.weight_init"), self.implementation)
        implementation(recurrent, *(getattr(spec, name) for name in self.takes))


INITIALIZATIONS: Final = (
    InitializationKind("orthogonal", "orthogonal recurrent matrices", "orthogonal"),
    InitializationKind(
        "identity",
        "the identity (an rnn with relu: the IRNN)",
        "identity",
        gated=False,
        refusal="it is for a model 'rnn' (with --nonlinearity relu, the IRNN).",
    ),
    InitializationKind(
        "chrono",
        "gates that keep for 1 to T timesteps",
        "chrono",
        takes=("length",),
        gated=True,
        refusal="it sets the biases of gates, and a model 'rnn' has none.",
    ),
)


def initialization(name: str, model: str) -> InitializationKind:
    """The initialization of that name, for a model that it is for.

    Raises:
        SettingError: it is not for this model.
    """
    kind = next(kind for kind in INITIALIZATIONS if kind.name == name)
    cell = cell_type(model)
    if kind.gated is not None and kind.gated != (cell is not None and cell.keeping is not None):
        raise SettingError(f"init {name}: {kind.refusal}")
    return kind
