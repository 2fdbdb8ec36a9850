"""Outcomes in words: the headline of a badge, and the sentence below it."""

from collections.abc import Mapping, Sequence
from typing import Final

from graddiag.analysis.words import number, percent

NO_LOSS: Final = "Success was not measured: no loss was logged. Log one: `recorder.log(loss=loss)`."

# logged under these names a scalar weighs a part of the loss
WEIGHTS: Final = (
    "beta",
    "kl_weight",
    "kl_beta",
    "anneal",
    "temperature",
    "tau",
    "lambda",
    "weight",
    "alpha",
    "entropy_weight",
)

_FLOOR_UNKNOWN: Final = (
    "Its floor is unknown, so this may be success or not. Log a validation metric: `recorder.log(val_loss=...)`, or "
    "give `chance_loss=`."
)
_NOT_SIGNIFICANT: Final = "better, but not significantly. Record more steps, train longer, or log a validation metric."
_NOT_A_MEASURE: Final = (
    "This loss does not measure success: it crosses zero within its noise, moves with a weight that was logged, or "
    "depends on a second network that is trained too (a critic, a discriminator). Log what you want to improve, e.g. "
    "`recorder.log(reward=...)`."
)

_SKIPPED: Final = (
    "More updates are skipped than made: the gradient holds NaN or inf, under a GradScaler at every scale it tries."
)

_SHOWN: Final = 0.005  # of the reference: so little is not called below it where noise explains it

_HEADLINES: Final[Mapping[tuple[str, str | None], str]] = {
    ("stuck", "at-chance"): "STUCK AT CHANCE",
    ("stuck", "constant-prediction"): "STUCK AT A CONSTANT PREDICTION",
    ("stuck", "never-fell"): "DID NOT LEARN",
    ("stuck", "slow"): "BARELY LEARNS",
    ("stuck", "barely"): "BARELY LEARNS",
    ("stuck", "plateau"): "STUCK ON A PLATEAU",
    ("learning", "slow"): "LEARNING SLOWLY",
    ("learning", "jumped"): "LEARNING, JUST JUMPED",
    ("learning", "recovering"): "RECOVERING",
    ("learned", "recovered"): "LEARNED, RECOVERED",
    ("diverged", "lost"): "LOST WHAT IT HAD LEARNED",
    ("unknown", "few-steps"): "TOO EARLY TO TELL",
    ("unknown", "no-loss"): "SUCCESS NOT MEASURED",
    ("unknown", "not-a-measure"): "SUCCESS NOT MEASURED",
    ("unknown", "floor-unknown"): "CANNOT TELL",
    ("unknown", "not-significant"): "CANNOT TELL",
    ("broken", None): "BROKEN BY NaN OR INF",
    ("broken", "skipped"): "NO UPDATES: THE GRADIENT HOLDS NaN OR INF",
}


def headline(name: str, detail: str | None) -> str:
    return _HEADLINES.get((name, detail), name.upper())


def sentence(
    name: str,
    detail: str | None,
    since: int | None,
    measure: str = "",
    levels: Sequence[float] = (),
    reference: float | None = None,
    reference_name: str = "",
    best_step: int | None = None,
    share: float | None = None,
) -> str:
    """What the outcome means here. levels: start, best, last of ``measure``; share: what lies between the reference and
    the last level, of the reference; or, without one, what the model explains."""
    if (name, detail) == ("broken", "skipped"):
        return _SKIPPED
    if not levels:
        return {"broken": f"The loss or the gradient is NaN or inf from step {since} on."}.get(name, NO_LOSS)
    start, best, last = (number(each) for each in levels)
    known = "" if reference is None else f"; {reference_name} has {number(reference)}"
    went = f"{_named(measure)} went from {start} to {last}"
    ends = f"{_named(measure)} is {last}"
    at = "" if since is None else f" since step {since:,}"
    flat = "" if since is None else f" and is flat{at}"
    alone = " This is the training loss alone." if measure == "loss" else ""
    below = _below(reference, reference_name, share) or known
    texts: dict[tuple[str, str | None], str] = {
        ("stuck", "at-chance"): f"{ends}: {_no_better(share)} {reference_name or 'guessing'}"
        + (f" ({number(reference)})." if reference is not None else "."),
        ("stuck", "constant-prediction"): f"{went} and stays there{at}: that is what a constant prediction reaches"
        + (f" ({number(reference)})." if reference is not None else "."),
        ("stuck", "barely"): f"{went}{below}: next to nothing, and a fault is in the way of learning.",
        ("stuck", "slow"): f"{went}, still worse than a constant prediction"
        + (f" ({number(reference)})." if reference is not None else "."),
        ("stuck", "never-fell"): f"{went}: it did not improve.",
        ("learning", "slow"): f"{went}{known}: it improves, and is not better than that yet.",
        ("learning", "jumped"): f"{went}, after {best} at step {best_step:,}. It jumped{at}: too recent to judge.",
        ("learning", "recovering"): f"{went}, after {best} at step {best_step:,}. It is coming back from a jump{at}.",
        (
            "diverged",
            "lost",
        ): f"{_named(measure)} had reached {best} at step {best_step:,} and is {last} now, worse{at}.",
        ("diverged", "rose"): f"{went}, worse than where it began{at}.",
        ("unknown", "few-steps"): f"{went}: too few steps to judge.",
        ("unknown", "floor-unknown"): f"{went}{flat}. {_FLOOR_UNKNOWN}",
        ("unknown", "not-significant"): f"{ends}{known}: {_NOT_SIGNIFICANT}",
        ("unknown", "not-a-measure"): f"{went}. {_NOT_A_MEASURE}",
        ("learned", "near-floor"): f"{ends}{below}. It began at {start}: it was good from the start.{alone}",
        ("learned", "recovered"): f"{went}{below}, and came back from a jump.{alone}",
    }
    if name == "broken":
        return f"The loss or the gradient is NaN or inf from step {since} on; {measure} had reached {best}."
    if (name, detail) == ("overfits", "never-better"):
        return f"{went} and never got better for sure, while most of the training loss is gone."
    if name == "overfits":
        return (
            f"{_named(measure)} was best at step {best_step:,} ({best}) and is {last} now, while the training "
            "loss does not rise."
        )
    if name == "learning":
        return texts.get((name, detail), f"{went}{below}, and still improves.{alone}")
    return texts.get((name, detail), f"{went}{below}.{alone}")


def _no_better(share: float | None) -> str:
    return "within the noise of" if share is not None and share > _SHOWN else "not better than"


def _below(reference: float | None, name: str, share: float | None) -> str:
    """How far the last level lies below the reference; empty where that is not known."""
    if share is None or share <= 0:
        return ""
    if reference is None:
        return f"; the model removes {percent(share)} of the loss of a constant prediction"
    return f", {percent(share)} below {name or 'guessing'} ({number(reference)})"


def _named(measure: str) -> str:
    return "The loss" if measure == "loss" else f"`{measure}`"
