"""The network and its weight initialization."""

from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import BaseModel, Field, field_validator, model_validator

from graddiag.errors import SettingError
from graddiag.kinds import Nonlinearity, plain_models
from graddiag.lab import heads
from graddiag.lab.initializations import INITIALIZATIONS, initialization
from graddiag.lab.networks import NETWORK_NAMES, NetworkName, cell_type
from graddiag.lab.settings.declared import Shown

if TYPE_CHECKING:
    Initialization = str
else:
    Initialization = Literal[tuple(kind.name for kind in INITIALIZATIONS)]


class ModelSettings(BaseModel):
    """The network: symbols, a recurrent layer or several, an output layer."""

    model: Annotated[NetworkName, Shown("Network")] = Field(description=f"Network: {', '.join(NETWORK_NAMES)}.")
    hidden: Annotated[int, Shown("Units", most=2000)] = Field(ge=1, description="Units of each recurrent layer.")
    layers: Annotated[int, Shown("Layers", most=8)] = Field(1, ge=1, description="Recurrent layers.")
    embedding: int | None = Field(None, ge=1, description="Width of the symbols' embedding; none is one-hot.")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Share dropped of the embedding, between layers, and before the output."
    )
    output: str = Field("softmax", description=f"Output layer of text and words: {heads.known_heads()}.")
    init_std: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Draw weights from N(0, STD^2), with biases 0; none keeps torch's."
    )
    init_uniform: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Draw weights and biases from U(-BOUND, BOUND) instead."
    )
    forget_bias: float | None = Field(
        None,
        allow_inf_nan=False,
        description="Initial bias of the gate that keeps the state, f of an lstm or z of a gru (the sum of its two).",
    )
    nonlinearity: Annotated[Nonlinearity | None, Shown(default="tanh")] = Field(
        None, description=f"Units of an rnn: {', '.join(get_args(Nonlinearity))} (0 to 20)."
    )
    layer_norm: bool = Field(False, description="Normalize the pre-activations of an rnn over its units.")
    residual: bool = Field(False, description="Add to the state of an rnn instead of replacing it.")
    init: Initialization | None = Field(
        None,
        description="Initialization of the recurrence, drawn last: "
        + "; ".join(f"{kind.name}, {kind.help}" for kind in INITIALIZATIONS)
        + ".",
    )

    @field_validator("output")
    @classmethod
    def _known(cls, output: str) -> str:
        return str(heads.parse_head(output))

    @model_validator(mode="after")
    def _of_its_kind(self) -> "ModelSettings":
        kind, plain = cell_type(self.model), plain_models()
        keeps, chooses = kind is not None and kind.keeping is not None, kind is not None and bool(kind.nonlinearities)
        if kind is None:
            self._as_in_its_source()
        if self.forget_bias is not None and not keeps:
            raise SettingError(
                f"forget_bias {self.forget_bias:g}: a model {self.model!r} has no gate that forgets; leave it out."
            )
        if self.nonlinearity is not None and not chooses:
            raise SettingError(f"nonlinearity {self.nonlinearity}: only a model {plain} can choose it; leave it out.")
        for name in ("layer_norm", "residual"):
            if getattr(self, name) and not chooses:
                raise SettingError(f"{name}: it is for a model {plain}, not for {self.model!r}; leave it out.")
        if self.init is not None:
            initialization(self.init, self.model)
        if self.init_std is not None and self.init_uniform is not None:
            raise SettingError("init_std and init_uniform: the weights are drawn one way or the other; leave one out.")
        return self

    def _as_in_its_source(self) -> None:
        """Refuses another weight initialization of a cell of the lab: its parameters differ in kind and size."""
        for name in ("init", "init_std", "init_uniform", "forget_bias"):
            if getattr(self, name) is not None:
                raise SettingError(f"{name}: a model {self.model!r} is initialized as in its source; leave it out.")
