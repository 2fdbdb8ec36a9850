"""The names of a run's tables, of their columns and of the words that a column may hold.

Every column name is a constant here, or of a signal in ``signals``, and a bare string nowhere else.
"""

from typing import Final, Literal

from graddiag import kinds

SCHEMA_VERSION: Final = 4
OLDEST_READABLE_SCHEMA: Final = 1

INCOMPLETE: Final = "finished, recording incomplete"  # the training ended well; rows could not be written
STOPPED: Final = "stopped"  # by the search that the training is a part of
Status = Literal["running", "finished", "finished, recording incomplete", "stopped", "failed", "interrupted"]
OnNonfinite = Literal["continue", "stop", "skip"]
"""What to do with an update whose gradient has NaN or inf."""
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
REASON = "reason"  # why a damaged run cannot be read

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
EVENT_OPTIMIZER_REPLACED = "optimizer_replaced"
EVENT_NO_UPDATE = "no_update"
EVENT_GRADIENT_CHANGED = "gradient_changed_between_passes"
EVENT_ROWS_LOST = "rows_lost"
EVENT_NOTHING_FOLLOWED = "nothing_followed"
EVENT_NOT_FOLLOWED = "not_followed"
EVENT_LAYER_ADDED = "layer_added"
EVENT_GAIN_MISSING = "gain_missing"
EVENT_RESUMED = "resumed"
EVENT_SETTING_CHANGED = "setting_changed"
EVENT_UPLOAD_RESTORED = "upload_restored"
ALL_PARAMETERS = "all parameters"  # where an event of the whole gradient is
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
    EVENT_OPTIMIZER_REPLACED,
    EVENT_NO_UPDATE,
    EVENT_GRADIENT_CHANGED,
    EVENT_ROWS_LOST,
    EVENT_NOTHING_FOLLOWED,
    EVENT_NOT_FOLLOWED,
    EVENT_LAYER_ADDED,
    EVENT_GAIN_MISSING,
    EVENT_RESUMED,
    EVENT_SETTING_CHANGED,
    EVENT_UPLOAD_RESTORED,
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

RUN_LIST_COLUMNS: Final = (
    *(RUN, EXPERIMENT, ARM, SEED, TASK, MODEL, CLIP, STATUS, STEPS, FINAL_LOSS),
    *(OUTCOME, CAUSE, VERDICT, REASON),
)


def gate_column(measure: str, gate: str) -> str:
    """The column of ``snapshots`` that holds ``measure`` (ACTIVATION, SATURATED_LOW or SATURATED_HIGH) of a gate."""
    return f"{measure}_{gate}"
