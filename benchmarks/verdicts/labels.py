"""The labels that many families share."""

from typing import Final

from benchmarks.verdicts.case import Label

FINE: Final = ("continue", "train-longer", "log-metric", "give-chance", "stop-early", "keep-clipping", None)
FIND: Final = ("overfit-one-batch", "check-data")

HEALTHY: Final = Label(("learned", "learning"), (None,), FINE, failed=False, healthy=True)
# a floor that nobody knows: that success was not measured is right, that it learned is right
UNMEASURED: Final = HEALTHY.also(outcomes="unknown")
# clipping at every step under Adam, or in the wrong place without harm: information that may be the cause named
NOTED: Final = HEALTHY.also(causes=("clipping-always",), actions="raise-clip-threshold")
OVERFITS: Final = Label(("overfits",), (None,), ("stop-early", "check-data"))

AT_CHANCE: Final = Label(("stuck",), (None,), FIND)
UNTOLD: Final = AT_CHANCE.also(outcomes="unknown", actions="give-chance log-metric")

EXPLODES: Final = Label(
    ("stuck", "diverged", "broken"),
    ("exploding", "non-finite"),
    ("clip", "change-initialization", "lower-learning-rate"),
)
CLIPPED_EXPLODES: Final = EXPLODES.also(causes=("clipping-always",), actions="lower-clip-threshold shorten-path")
FADES: Final = Label(
    ("stuck",),
    ("vanishing",),
    ("change-initialization", "change-cell", "shorten-path", "raise-forget-bias"),
)
SATURATES: Final = Label(("stuck",), ("saturated-gates", "vanishing"), ("scale-inputs", "change-initialization"))
DEAD: Final = Label(
    ("stuck",),
    ("dead-units", "vanishing"),
    ("revive-units", "change-initialization", "lower-learning-rate"),
)
CUT: Final = Label(("stuck",), ("truncated-reach",), ("remove-detach", "lengthen-window"))

# a fall of a few percent over the whole run is no learning
LR_LOW: Final = Label(("stuck",), ("learning-rate-low",), ("raise-learning-rate",))
LR_HIGH: Final = Label(
    ("stuck", "diverged", "broken"),
    ("learning-rate-high", "exploding"),
    ("lower-learning-rate", "clip"),
)
NOT_UPDATED: Final = Label(("stuck",), ("parameters-not-updated",), ("update-parameters",))
NOT_ZEROED: Final = Label(("diverged", "stuck", "broken"), ("gradients-not-zeroed",), ("zero-gradients",))
# and it learned all the same, or the loss swings
SWINGS: Final = Label(
    ("learning", "learned", "stuck", "diverged"), ("gradients-not-zeroed",), ("zero-gradients",), failed=False
)
NO_GRADIENT: Final = Label(("stuck",), ("no-gradient",), ("connect-loss", "remove-detach"))

CLIP_LOW: Final = Label(("stuck",), ("clipping-always",), ("raise-clip-threshold",))
CRAWLS: Final = Label(("learning", "stuck"), ("clipping-always",), ("raise-clip-threshold",), failed=False)
BEFORE_UNSCALE: Final = Label(("stuck",), ("clip-before-unscale",), ("unscale-before-clipping",))
MISPLACED: Final = Label(("stuck", "diverged", "broken"), ("clip-misplaced",), ("move-clipping",))

BROKEN: Final = Label(("broken",), ("non-finite",), ("guard-operation", "check-batch"))
BAD_BATCH: Final = Label(("broken",), ("non-finite",), ("check-batch", "check-data"))
CHANGED: Final = Label(("diverged",), ("changed-during-training",), ("revert-change", "check-data"))
