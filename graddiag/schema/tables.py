"""The tables of a run: their columns with dtype, unit and meaning."""

from dataclasses import dataclass
from typing import Final

from graddiag import kinds
from graddiag.schema import names
from graddiag.schema.signals import GRAD_H, SIGNALS


@dataclass(frozen=True)
class Column:
    """One column of a table: its name, how it is stored, its unit and what it means.

    ``since``: the schema that brought it; in a run of an older one it is null throughout.
    """

    name: str
    dtype: names.DType
    unit: str
    meaning: str
    key: bool = False
    since: int = 1


@dataclass(frozen=True)
class Table:
    """One table of a run. ``open_ended`` tables take further float64 columns: whatever scalars the user logged."""

    name: str
    row: str
    columns: tuple[Column, ...]
    open_ended: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.key)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


_STEP = Column(names.STEP, "int32", "steps", "optimizer update, counted from 0", key=True)
_LAYER_KEYS = (
    _STEP,
    Column(
        names.MODULE,
        "string",
        "",
        "qualified name of the recurrent module in the model; '' is the model itself",
        key=True,
    ),
    Column(names.LAYER, "int32", "", "layer of the module, counted from 0", key=True),
    Column(names.DIRECTION, "string", "", "forward or reverse", key=True),
    Column(names.CALL, "int32", "", "which call of the module within the step, counted from 0", key=True),
)
_TIMESTEP = Column(names.TIMESTEP, "int32", "timesteps", "position in the sequence, in the order of the data", key=True)

# the activation of a plain RNN comes last
_EVERY_GATE = tuple(sorted(kinds.GATES, key=kinds.is_state))


def _unit_columns(gate: str) -> tuple[Column, ...]:
    low, high = ("below .1" if gate in names.SIGMOID_GATES else "below -.9"), "above .9"
    if kinds.is_state(gate):
        low, high = "low, as in the table gates", "high, likewise"
    share = f"samples whose gate {gate} is"
    return (
        Column(
            names.gate_column(names.ACTIVATION, gate), "float32", "1", f"mean activation of gate {gate} over the batch"
        ),
        Column(names.gate_column(names.SATURATED_LOW, gate), "float32", "share", f"{share} {low}", since=2),
        Column(names.gate_column(names.SATURATED_HIGH, gate), "float32", "share", f"{share} {high}", since=2),
    )


_SINCE_3 = (
    Column(
        names.EXPLAINED,
        "float64",
        "share",
        "1 - loss / loss of the best constant prediction, on the batch; R2 of a squared error. Targets are recovered "
        "from the gradient of the outputs; null where the loss is neither a cross-entropy nor a squared error; "
        "recorded steps alone",
        since=3,
    ),
    Column(
        names.CONSTANT_LOSS,
        "float64",
        "loss",
        "loss of the best constant prediction on the batch: class frequencies, or the mean of the targets, of the "
        "recorded steps so far; recorded steps alone",
        since=3,
    ),
    Column(
        names.BATCH_SIZE,
        "float64",
        "samples",
        "batch size of the first call of a recurrent module in the step",
        since=3,
    ),
    Column(
        names.SEQUENCE_LENGTH,
        "float64",
        "timesteps",
        "timesteps of that call, the longest sequence; where each call is one timestep, the calls of the module",
        since=3,
    ),
    Column(
        names.UNREACHED_MODULES,
        "int32",
        "modules",
        "recurrent modules in training mode that ran with gradients on and whose trainable parameters got none",
        since=3,
    ),
    Column(
        names.GRADIENTS_NOT_ZEROED,
        "int32",
        "parameters",
        "parameters whose gradient was added to the one that the update before had used",
        since=3,
    ),
    Column(
        names.UPDATES_SKIPPED,
        "int32",
        "updates",
        'updates between the row before and this one that the GradScaler skipped, or on_nonfinite="skip"',
        since=3,
    ),
)


TABLES: Final[dict[str, Table]] = {
    table.name: table
    for table in (
        Table(
            names.TABLE_STEPS,
            "step, every one",
            (
                _STEP,
                Column(names.LOSS, "float64", "loss", "the scalar on which backward() was called, as logged"),
                Column(names.GRAD_NORM, "float64", "L2 over all parameters", "norm of the gradient before clipping"),
                Column(
                    names.GRAD_NORM_CLIPPED, "float64", "L2 over all parameters", "norm of the gradient the update used"
                ),
                Column(names.CLIP_COEFFICIENT, "float64", "1", "norm after / norm before; 1 is untouched"),
                Column(
                    names.GRAD_COSINE,
                    "float64",
                    "1",
                    "cosine between the gradients that this update and the one before used; recorded steps alone",
                    since=2,
                ),
                Column(names.NONFINITE, "int64", "entries", "NaN or inf entries of the gradient before clipping"),
                Column(names.LR, "float64", "", "learning rate of the first parameter group"),
                Column(
                    names.UPDATE_RATIO, "float64", "1", "norm of the update / norm of the weights; recorded steps alone"
                ),
                Column(
                    names.WALL_TIME,
                    "float64",
                    "seconds",
                    "time since the run was created, without interruptions, at the end of the step",
                ),
                *_SINCE_3,
            ),
            open_ended=True,
        ),
        Table(
            names.TABLE_TIMESTEPS,
            "recorded step, module, layer, direction, call, timestep",
            (
                *_LAYER_KEYS,
                _TIMESTEP,
                *(Column(each.name, "float32", each.unit, each.meaning, since=each.since) for each in SIGNALS.values()),
            ),
        ),
        Table(
            names.TABLE_GATES,
            "recorded step, module, layer, direction, call, timestep, gate",
            (
                *_LAYER_KEYS,
                _TIMESTEP,
                Column(names.GATE, "string", "", "i f g o (LSTM), r z n (GRU), h (RNN)", key=True),
                Column(names.MEAN, "float32", "1", "mean activation over batch and units"),
                Column(names.STD, "float32", "1", "standard deviation of the activation over batch and units"),
                Column(
                    names.SATURATED_LOW,
                    "float32",
                    "share",
                    "activations below .1 (sigmoid), below -.9 (tanh), at 0 (relu)",
                ),
                Column(
                    names.SATURATED_HIGH,
                    "float32",
                    "share",
                    "activations above .9 (sigmoid, tanh), at its cap (truncated relu); null for relu",
                ),
            ),
        ),
        Table(
            names.TABLE_PARAMETERS,
            "recorded step, parameter",
            (
                _STEP,
                Column(names.PARAMETER, "string", "", "qualified name of the parameter", key=True),
                Column(names.GRAD_NORM, "float32", "L2", "norm of its gradient before clipping"),
                Column(names.GRAD_NORM_CLIPPED, "float32", "L2", "norm of the gradient the update used"),
                Column(
                    names.ZEROS, "float32", "share", "entries of the gradient that the update used that are 0", since=2
                ),
                Column(names.WEIGHT_NORM, "float32", "L2", "norm of the parameter before the update"),
                Column(names.UPDATE_RATIO, "float32", "1", "norm of its update / its norm before"),
                Column(
                    names.SPECTRAL_RADIUS,
                    "float32",
                    "1",
                    "largest |eigenvalue| of a recurrent weight (per gate block: the largest)",
                ),
                Column(names.SPECTRAL_NORM, "float32", "1", "largest singular value of a recurrent weight (likewise)"),
            ),
        ),
        Table(
            names.TABLE_SNAPSHOTS,
            "chosen step, module, layer, direction, call, timestep, unit",
            (
                *_LAYER_KEYS,
                _TIMESTEP,
                Column(names.UNIT, "int32", "", "unit of the hidden layer, counted from 0", key=True),
                Column(GRAD_H, "float32", "L2 over batch, units of the loss", "total dL/dh_t of this unit"),
                *(column for gate in _EVERY_GATE for column in _unit_columns(gate)),
            ),
        ),
        Table(
            names.TABLE_CREDIT,
            "chosen step, module, layer, direction, call, loss timestep, timestep up to it",
            (
                *_LAYER_KEYS,
                Column(
                    names.LOSS_TIMESTEP,
                    "int32",
                    "timesteps",
                    f"timestep s of L_s, what enters the layer through its output at s alone; all, or "
                    f"{names.CREDIT_ROWS} of them evenly spaced with the last processed",
                    key=True,
                ),
                _TIMESTEP,
                Column(
                    GRAD_H,
                    "float32",
                    SIGNALS[GRAD_H].unit,
                    "||dL_s/dh_t||: what loss timestep s sends back to timestep t",
                ),
            ),
        ),
        Table(
            names.TABLE_SPECTRA,
            "chosen step, recurrent weight, gate, index",
            (
                _STEP,
                Column(names.PARAMETER, "string", "", "qualified name of the recurrent weight", key=True),
                Column(names.GATE, "string", "", "the gate whose block of the weight it is; h for an RNN", key=True),
                Column(
                    names.INDEX, "int32", "", "place by size, the largest is 0; values and eigenvalues apart", key=True
                ),
                Column(
                    names.SINGULAR_VALUE, "float32", "1", "singular value of the block, after the update of the step"
                ),
                Column(
                    names.EIGENVALUE_REAL, "float32", "1", "real part of an eigenvalue; null if the block is not square"
                ),
                Column(names.EIGENVALUE_IMAG, "float32", "1", "its imaginary part"),
            ),
        ),
        Table(
            names.TABLE_LYAPUNOV,
            "chosen step, module, layer, direction, call, index",
            (
                *_LAYER_KEYS,
                Column(names.INDEX, "int32", "", "place by size, the largest is 0", key=True),
                Column(names.EXPONENT, "float32", "1/timestep", "finite-time Lyapunov exponent, mean over samples"),
                Column(names.EXPONENT_LOW, "float32", "1/timestep", "that of the sample where it is smallest"),
                Column(names.EXPONENT_HIGH, "float32", "1/timestep", "that of the sample where it is largest"),
                Column(names.SAMPLES, "int32", "", f"samples of the batch it is of: {names.LYAPUNOV_SAMPLES} at most"),
                Column(names.TIMESTEPS, "int32", "timesteps", "timesteps that counted, in the longest of them"),
            ),
        ),
        Table(
            names.TABLE_COUNTERFACTUALS,
            "step at which thresholds were tried, clip threshold",
            (
                _STEP,
                Column(
                    names.INDEX, "int32", "", "place by threshold, the smallest is 0; without clipping last", key=True
                ),
                Column(names.THRESHOLD, "float64", "L2 over all parameters", "C of norm:C; null without clipping"),
                Column(names.GRAD_NORM, "float64", "L2 over all parameters", "norm of the gradient before clipping"),
                Column(names.CLIP_COEFFICIENT, "float64", "1", "norm after / norm before that C gives; 1 is untouched"),
                Column(names.LOSS_BEFORE, "float64", "loss", "on the batch of the step, before an update"),
                Column(names.LOSS_AFTER, "float64", "loss", "on the same batch, after the update with that threshold"),
            ),
        ),
        Table(
            names.TABLE_EVENTS,
            "event",
            (
                _STEP,
                Column(names.KIND, "string", "", "one of EVENT_KINDS", key=True),
                Column(
                    names.WHERE,
                    "string",
                    "",
                    "module, layer, direction and timestep in words, or the parameter",
                    key=True,
                ),
                Column(names.VALUE, "float64", "", "the number that made it an event"),
                Column(names.MESSAGE, "string", "", "one sentence"),
            ),
        ),
    )
}
