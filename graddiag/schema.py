"""The contract of a run: its tables, their columns (dtype, unit, meaning) and the words a column may hold.

Every column name is a constant here and a bare string nowhere else. Norms are L2 over batch and units together, in
units of the loss, before clipping unless the name ends in ``_clipped``. What was not measured is null, never 0; NaN
and inf are findings and are kept.
"""

from dataclasses import dataclass
from typing import Final, Literal

from graddiag import kinds

SCHEMA_VERSION: Final = 3
OLDEST_READABLE_SCHEMA: Final = 1

Status = Literal["running", "finished", "failed", "interrupted"]
Direction = Literal["forward", "reverse"]
DType = Literal["int32", "int64", "float32", "float64", "string"]

# Keys
STEP = "step"
MODULE = "module"
LAYER = "layer"
DIRECTION = "direction"
CALL = "call"
TIMESTEP = "timestep"
GATE = "gate"
UNIT = "unit"
PARAMETER = "parameter"
LOSS_TIMESTEP = "loss_timestep"
INDEX = "index"

# steps
LOSS = "loss"
GRAD_NORM = "grad_norm"
GRAD_NORM_CLIPPED = "grad_norm_clipped"
CLIP_COEFFICIENT = "clip_coefficient"
GRAD_COSINE = "grad_cosine"
NONFINITE = "nonfinite"
LR = "lr"
UPDATE_RATIO = "update_ratio"
WALL_TIME = "wall_time"
EXPLAINED = "explained"
CONSTANT_LOSS = "constant_loss"
BATCH_SIZE = "batch_size"
SEQUENCE_LENGTH = "sequence_length"
UNREACHED_MODULES = "unreached_modules"
GRADIENTS_NOT_ZEROED = "gradients_not_zeroed"
UPDATES_SKIPPED = "updates_skipped"
# a scalar that a loop may log: cosine between the gradient before and after clipping
CLIP_COSINE = "clip_cosine"

# timesteps
GRAD_H = "grad_h"
GRAD_H_DIRECT = "grad_h_direct"
GRAD_H_MAX = "grad_h_max"
GRAD_C = "grad_c"
GRAD_C_PATH = "grad_c_path"
GRAD_A = "grad_a"
GRAD_W_HH = "grad_w_hh"
GRAD_W_HH_COSINE = "grad_w_hh_cosine"
TRANSPORT_GAIN = "transport_gain"
PASSED = "passed"
H_RMS = "h_rms"
C_RMS = "c_rms"

# gates
MEAN = "mean"
STD = "std"
SATURATED_LOW = "saturated_low"
SATURATED_HIGH = "saturated_high"

# parameters
WEIGHT_NORM = "weight_norm"
ZEROS = "zeros"
SPECTRAL_RADIUS = "spectral_radius"
SPECTRAL_NORM = "spectral_norm"

# snapshots, a column per gate: see gate_column
ACTIVATION = "activation"

# spectra
SINGULAR_VALUE = "singular_value"
EIGENVALUE_REAL = "eigenvalue_real"
EIGENVALUE_IMAG = "eigenvalue_imag"

# lyapunov
EXPONENT = "exponent"
EXPONENT_LOW = "exponent_low"
EXPONENT_HIGH = "exponent_high"
SAMPLES = "samples"
TIMESTEPS = "timesteps"

# counterfactuals
THRESHOLD = "threshold"
LOSS_BEFORE = "loss_before"
LOSS_AFTER = "loss_after"

# events
KIND = "kind"
WHERE = "where"
VALUE = "value"
MESSAGE = "message"

# the frame that list_runs gives
RUN = "run"
EXPERIMENT = "experiment"
ARM = "arm"
BASELINE_ARM = "baseline"  # an arm of this name is the one that others are held against
SEED = "seed"
TASK = "task"
MODEL = "model"
CLIP = "clip"
STATUS = "status"
STEPS = "steps"
FINAL_LOSS = "final_loss"
OUTCOME = "outcome"
CAUSE = "cause"
VERDICT = "verdict"

# tables
TABLE_STEPS = "steps"
TABLE_TIMESTEPS = "timesteps"
TABLE_GATES = "gates"
TABLE_PARAMETERS = "parameters"
TABLE_SNAPSHOTS = "snapshots"
TABLE_CREDIT = "credit"
TABLE_SPECTRA = "spectra"
TABLE_LYAPUNOV = "lyapunov"
TABLE_COUNTERFACTUALS = "counterfactuals"
TABLE_EVENTS = "events"

# kinds of event
EVENT_NONFINITE = "nonfinite"
EVENT_SPIKE = "spike"
EVENT_FIRST_CLIP = "first_clip"
EVENT_GATE_SATURATED = "gate_saturated"
EVENT_RECORDING_STOPPED = "recording_stopped"
EVENT_CLIP_MISPLACED = "clip_misplaced"
EVENT_CLIP_BEFORE_UNSCALE = "clip_before_unscale"
EVENT_UPDATE_SKIPPED = "update_skipped"
EVENT_GRADIENTS_NOT_ZEROED = "gradients_not_zeroed"
EVENT_NO_GRADIENT = "no_gradient"
EVENT_STATE_DETACHED = "state_detached"
EVENT_KINDS: Final = (
    EVENT_NONFINITE,
    EVENT_SPIKE,
    EVENT_FIRST_CLIP,
    EVENT_GATE_SATURATED,
    EVENT_RECORDING_STOPPED,
    EVENT_CLIP_MISPLACED,
    EVENT_CLIP_BEFORE_UNSCALE,
    EVENT_UPDATE_SKIPPED,
    EVENT_GRADIENTS_NOT_ZEROED,
    EVENT_NO_GRADIENT,
    EVENT_STATE_DETACHED,
)

# gates by kind of cell, in the order of torch's rows; an RNN has its activation alone
GATES: Final = {name: kind.gate_names for name, kind in kinds.CELL_TYPES.items()}
SIGMOID_GATES: Final = frozenset(name for name, gate in kinds.GATES.items() if gate.activation == "sigmoid")

# a sigmoid gate is saturated below the first and above the second; a tanh below -HIGH and above HIGH
SATURATION_LOW: Final = 0.1
SATURATION_HIGH: Final = 0.9

# a credit matrix holds the rows of so many loss timesteps at most
CREDIT_ROWS: Final = 32

# the Lyapunov exponents of a snapshot: so many of the largest, of so many samples of the batch, at most
LYAPUNOV_EXPONENTS: Final = 8
LYAPUNOV_SAMPLES: Final = 4


def gate_column(measure: str, gate: str) -> str:
    """The column of ``snapshots`` that holds ``measure`` (ACTIVATION, SATURATED_LOW or SATURATED_HIGH) of a gate."""
    return f"{measure}_{gate}"


@dataclass(frozen=True)
class Column:
    """One column of a table: its name, how it is stored, its unit and what it means.

    ``since``: the schema that brought it; in a run of an older one it is null throughout.
    """

    name: str
    dtype: DType
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


_NORM = "L2 over batch and units, units of the loss"
_STEP = Column(STEP, "int32", "steps", "optimizer update, counted from 0", key=True)
_LAYER_KEYS = (
    _STEP,
    Column(
        MODULE, "string", "", "qualified name of the recurrent module in the model; '' is the model itself", key=True
    ),
    Column(LAYER, "int32", "", "layer of the module, counted from 0", key=True),
    Column(DIRECTION, "string", "", "forward or reverse", key=True),
    Column(CALL, "int32", "", "which call of the module within the step, counted from 0", key=True),
)
_TIMESTEP = Column(TIMESTEP, "int32", "timesteps", "position in the sequence, in the order of the data", key=True)

# the activation of a plain RNN comes last
_EVERY_GATE = tuple(sorted(kinds.GATES, key=kinds.is_state))


def _unit_columns(gate: str) -> tuple[Column, ...]:
    low, high = ("below .1" if gate in SIGMOID_GATES else "below -.9"), "above .9"
    if kinds.is_state(gate):
        low, high = "low, as in the table gates", "high, likewise"
    share = f"samples whose gate {gate} is"
    return (
        Column(gate_column(ACTIVATION, gate), "float32", "1", f"mean activation of gate {gate} over the batch"),
        Column(gate_column(SATURATED_LOW, gate), "float32", "share", f"{share} {low}", since=2),
        Column(gate_column(SATURATED_HIGH, gate), "float32", "share", f"{share} {high}", since=2),
    )


_SINCE_3 = (
    Column(
        EXPLAINED,
        "float64",
        "share",
        "1 - loss / loss of the best constant prediction, on the batch; R2 of a squared error. Targets are recovered "
        "from the gradient of the outputs; null where the loss is neither a cross-entropy nor a squared error; "
        "recorded steps alone",
        since=3,
    ),
    Column(
        CONSTANT_LOSS,
        "float64",
        "loss",
        "loss of the best constant prediction on the batch: class frequencies, or the mean of the targets, of the "
        "recorded steps so far; recorded steps alone",
        since=3,
    ),
    Column(BATCH_SIZE, "float64", "samples", "batch size of the first call of a recurrent module in the step", since=3),
    Column(
        SEQUENCE_LENGTH,
        "float64",
        "timesteps",
        "timesteps of that call, the longest sequence; where each call is one timestep, the calls of the module",
        since=3,
    ),
    Column(
        UNREACHED_MODULES,
        "int32",
        "modules",
        "recurrent modules in training mode that ran with gradients on and whose trainable parameters got none",
        since=3,
    ),
    Column(
        GRADIENTS_NOT_ZEROED,
        "int32",
        "parameters",
        "parameters whose gradient was added to the one that the update before had used",
        since=3,
    ),
    Column(
        UPDATES_SKIPPED,
        "int32",
        "updates",
        "updates that the GradScaler skipped between the row before and this one",
        since=3,
    ),
)


TABLES: Final[dict[str, Table]] = {
    table.name: table
    for table in (
        Table(
            TABLE_STEPS,
            "step, every one",
            (
                _STEP,
                Column(LOSS, "float64", "loss", "the scalar on which backward() was called, as logged"),
                Column(GRAD_NORM, "float64", "L2 over all parameters", "norm of the gradient before clipping"),
                Column(GRAD_NORM_CLIPPED, "float64", "L2 over all parameters", "norm of the gradient the update used"),
                Column(CLIP_COEFFICIENT, "float64", "1", "norm after / norm before; 1 is untouched"),
                Column(
                    GRAD_COSINE,
                    "float64",
                    "1",
                    "cosine between the gradients that this update and the one before used; recorded steps alone",
                    since=2,
                ),
                Column(NONFINITE, "int64", "entries", "NaN or inf entries of the gradient before clipping"),
                Column(LR, "float64", "", "learning rate of the first parameter group"),
                Column(UPDATE_RATIO, "float64", "1", "norm of the update / norm of the weights; recorded steps alone"),
                Column(WALL_TIME, "float64", "seconds", "time since the run was created, at the end of the step"),
                *_SINCE_3,
            ),
            open_ended=True,
        ),
        Table(
            TABLE_TIMESTEPS,
            "recorded step, module, layer, direction, call, timestep",
            (
                *_LAYER_KEYS,
                _TIMESTEP,
                Column(GRAD_H, "float32", _NORM, "total dL/dh_t: immediate and through time"),
                Column(GRAD_H_DIRECT, "float32", _NORM, "immediate dL/dh_t: through the layer's output at t, and h_n"),
                Column(GRAD_H_MAX, "float32", "L2 over units, units of the loss", "largest dL/dh_t of a single sample"),
                Column(GRAD_C, "float32", _NORM, "total dL/dc_t (LSTM)"),
                Column(GRAD_C_PATH, "float32", _NORM, "part of dL/dc_t that came along the cell, dc_{t+1} f_{t+1}"),
                Column(GRAD_A, "float32", _NORM, "dL/da_t, at the pre-activations of all gates"),
                Column(
                    GRAD_W_HH, "float32", "Frobenius, units of the loss", "||G_t||, what timestep t adds to dL/dW_hh"
                ),
                Column(GRAD_W_HH_COSINE, "float32", "1", "cosine between G_t and the sum of all G_t"),
                Column(
                    TRANSPORT_GAIN,
                    "float32",
                    "1",
                    "||J_t^T lambda_t|| / ||lambda_t||: stretch of one step back, before bptt:C, tbptt:K or h-detach; "
                    "null where no gradient reached t, or one of the two norms is below the smallest normal number",
                ),
                Column(
                    PASSED,
                    "float32",
                    "1",
                    "norm of what t sends back after bptt:C, tbptt:K or h-detach / before; null without them",
                    since=3,
                ),
                Column(H_RMS, "float32", "1", "root mean square of h_t over batch and units"),
                Column(C_RMS, "float32", "1", "root mean square of c_t over batch and units (LSTM)"),
            ),
        ),
        Table(
            TABLE_GATES,
            "recorded step, module, layer, direction, call, timestep, gate",
            (
                *_LAYER_KEYS,
                _TIMESTEP,
                Column(GATE, "string", "", "i f g o (LSTM), r z n (GRU), h (RNN)", key=True),
                Column(MEAN, "float32", "1", "mean activation over batch and units"),
                Column(STD, "float32", "1", "standard deviation of the activation over batch and units"),
                Column(
                    SATURATED_LOW, "float32", "share", "activations below .1 (sigmoid), below -.9 (tanh), at 0 (relu)"
                ),
                Column(
                    SATURATED_HIGH,
                    "float32",
                    "share",
                    "activations above .9 (sigmoid, tanh), at its cap (truncated relu); null for relu",
                ),
            ),
        ),
        Table(
            TABLE_PARAMETERS,
            "recorded step, parameter",
            (
                _STEP,
                Column(PARAMETER, "string", "", "qualified name of the parameter", key=True),
                Column(GRAD_NORM, "float32", "L2", "norm of its gradient before clipping"),
                Column(GRAD_NORM_CLIPPED, "float32", "L2", "norm of the gradient the update used"),
                Column(ZEROS, "float32", "share", "entries of the gradient that the update used that are 0", since=2),
                Column(WEIGHT_NORM, "float32", "L2", "norm of the parameter before the update"),
                Column(UPDATE_RATIO, "float32", "1", "norm of its update / its norm before"),
                Column(
                    SPECTRAL_RADIUS,
                    "float32",
                    "1",
                    "largest |eigenvalue| of a recurrent weight (per gate block: the largest)",
                ),
                Column(SPECTRAL_NORM, "float32", "1", "largest singular value of a recurrent weight (likewise)"),
            ),
        ),
        Table(
            TABLE_SNAPSHOTS,
            "chosen step, module, layer, direction, call, timestep, unit",
            (
                *_LAYER_KEYS,
                _TIMESTEP,
                Column(UNIT, "int32", "", "unit of the hidden layer, counted from 0", key=True),
                Column(GRAD_H, "float32", "L2 over batch, units of the loss", "total dL/dh_t of this unit"),
                *(column for gate in _EVERY_GATE for column in _unit_columns(gate)),
            ),
        ),
        Table(
            TABLE_CREDIT,
            "chosen step, module, layer, direction, call, loss timestep, timestep up to it",
            (
                *_LAYER_KEYS,
                Column(
                    LOSS_TIMESTEP,
                    "int32",
                    "timesteps",
                    f"timestep s of L_s, what enters the layer through its output at s alone; all, or {CREDIT_ROWS} of "
                    "them evenly spaced with the last processed",
                    key=True,
                ),
                _TIMESTEP,
                Column(GRAD_H, "float32", _NORM, "||dL_s/dh_t||: what loss timestep s sends back to timestep t"),
            ),
        ),
        Table(
            TABLE_SPECTRA,
            "chosen step, recurrent weight, gate, index",
            (
                _STEP,
                Column(PARAMETER, "string", "", "qualified name of the recurrent weight", key=True),
                Column(GATE, "string", "", "the gate whose block of the weight it is; h for an RNN", key=True),
                Column(INDEX, "int32", "", "place by size, the largest is 0; values and eigenvalues apart", key=True),
                Column(SINGULAR_VALUE, "float32", "1", "singular value of the block, after the update of the step"),
                Column(EIGENVALUE_REAL, "float32", "1", "real part of an eigenvalue; null if the block is not square"),
                Column(EIGENVALUE_IMAG, "float32", "1", "its imaginary part"),
            ),
        ),
        Table(
            TABLE_LYAPUNOV,
            "chosen step, module, layer, direction, call, index",
            (
                *_LAYER_KEYS,
                Column(INDEX, "int32", "", "place by size, the largest is 0", key=True),
                Column(EXPONENT, "float32", "1/timestep", "finite-time Lyapunov exponent, mean over samples"),
                Column(EXPONENT_LOW, "float32", "1/timestep", "that of the sample where it is smallest"),
                Column(EXPONENT_HIGH, "float32", "1/timestep", "that of the sample where it is largest"),
                Column(SAMPLES, "int32", "", f"samples of the batch it is of: {LYAPUNOV_SAMPLES} at most"),
                Column(TIMESTEPS, "int32", "timesteps", "timesteps that counted, in the longest of them"),
            ),
        ),
        Table(
            TABLE_COUNTERFACTUALS,
            "step at which thresholds were tried, clip threshold",
            (
                _STEP,
                Column(INDEX, "int32", "", "place by threshold, the smallest is 0; without clipping last", key=True),
                Column(THRESHOLD, "float64", "L2 over all parameters", "C of norm:C; null without clipping"),
                Column(GRAD_NORM, "float64", "L2 over all parameters", "norm of the gradient before clipping"),
                Column(CLIP_COEFFICIENT, "float64", "1", "norm after / norm before that C gives; 1 is untouched"),
                Column(LOSS_BEFORE, "float64", "loss", "on the batch of the step, before an update"),
                Column(LOSS_AFTER, "float64", "loss", "on the same batch, after the update with that threshold"),
            ),
        ),
        Table(
            TABLE_EVENTS,
            "event",
            (
                _STEP,
                Column(KIND, "string", "", "one of EVENT_KINDS", key=True),
                Column(
                    WHERE, "string", "", "module, layer, direction and timestep in words, or the parameter", key=True
                ),
                Column(VALUE, "float64", "", "the number that made it an event"),
                Column(MESSAGE, "string", "", "one sentence"),
            ),
        ),
    )
}

RUN_LIST_COLUMNS: Final = (
    *(RUN, EXPERIMENT, ARM, SEED, TASK, MODEL, CLIP, STATUS, STEPS, FINAL_LOSS),
    *(OUTCOME, CAUSE, VERDICT),
)
