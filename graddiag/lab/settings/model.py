"""The network and how its weights start."""

from typing import Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from graddiag.errors import SettingError
from graddiag.kinds import CELL_TYPES, ModelKind, Nonlinearity, plain_models
from graddiag.lab import heads

Initialisation = Literal["orthogonal", "identity", "chrono"]


class ModelSettings(BaseModel):
    """The network: symbols, a recurrent layer or several, an output layer.

    Attributes:
        hidden: H, units of each recurrent layer.
        embedding: width of the symbols' embedding; None feeds them one-hot.
        dropout: share of what is dropped of the embedding, between layers, and of what the last layer gives.
        output: softmax; ``classes:C``, the class-factored softmax of rnnlm; ``nce:K``, noise-contrastive estimation
            with K noise words; the last two for words and text.
        init_std: weights drawn from N(0, init_std^2), biases 0; None keeps torch's initialisation.
        init_uniform: every weight and bias drawn from U(-init_uniform, init_uniform); None likewise.
        forget_bias: what the two biases of the gate that keeps the state (f of an LSTM, z of a GRU) sum to at the
            start; None keeps what was drawn.
        nonlinearity: of an RNN's units; None is tanh.
        layer_norm: an RNN's pre-activations normalised over its units; residual: its state is added to, not replaced.
            See ``graddiag.nn.RNN``.
        init: how the recurrent weights (orthogonal, identity) or the gates' biases (chrono, with the length as the
            longest time constant) are drawn, after all of the above; see ``graddiag.lab.weight_init``.
    """

    model: ModelKind
    hidden: int = Field(ge=1)
    layers: int = Field(1, ge=1)
    embedding: int | None = Field(None, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    output: str = "softmax"
    init_std: float | None = Field(None, gt=0, allow_inf_nan=False)
    init_uniform: float | None = Field(None, gt=0, allow_inf_nan=False)
    forget_bias: float | None = Field(None, allow_inf_nan=False)
    nonlinearity: Nonlinearity | None = None
    layer_norm: bool = False
    residual: bool = False
    init: Initialisation | None = None

    @field_validator("output")
    @classmethod
    def _known(cls, output: str) -> str:
        return str(heads.parse(output))

    @model_validator(mode="after")
    def _of_its_kind(self) -> "ModelSettings":
        kind, plain = CELL_TYPES[self.model], plain_models()
        keeps, chooses = kind.keeping is not None, bool(kind.nonlinearities)
        if self.forget_bias is not None and not keeps:
            raise SettingError(
                f"forget_bias {self.forget_bias:g}: a model {self.model!r} has no gate that forgets; leave it out."
            )
        if self.nonlinearity is not None and not chooses:
            raise SettingError(f"nonlinearity {self.nonlinearity}: only a model {plain} can choose it; leave it out.")
        for name in ("layer_norm", "residual"):
            if getattr(self, name) and not chooses:
                raise SettingError(f"{name}: it is for a model {plain}, not for {self.model!r}; leave it out.")
        if self.init == "identity" and not chooses:
            raise SettingError(f"init identity: it is for a model {plain} (with --nonlinearity relu, the IRNN).")
        if self.init == "chrono" and not keeps:
            raise SettingError(f"init chrono: it sets the biases of gates, and a model {self.model!r} has none.")
        if self.init_std is not None and self.init_uniform is not None:
            raise SettingError("init_std and init_uniform: the weights are drawn one way or the other; leave one out.")
        return self
