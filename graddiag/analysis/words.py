"""Words for numbers: the titles and units of signals and scalars, and how a number is written in a sentence."""

import math
from collections.abc import Sequence
from typing import Final

from graddiag import schema
from graddiag.kinds import GATES

# title, unit
_SCALARS: Final = {
    schema.LOSS: ("Loss", "as logged"),
    schema.GRAD_NORM: ("Gradient norm before clipping", "L2 over all parameters"),
    schema.GRAD_NORM_CLIPPED: ("Gradient norm after clipping", "L2 over all parameters"),
    schema.CLIP_COEFFICIENT: ("Clip coefficient, norm after / norm before", "1"),
    schema.GRAD_COSINE: ("Cosine between successive gradients", "1"),
    schema.NONFINITE: ("NaN or inf entries of the gradient", "entries"),
    schema.LR: ("Learning rate", ""),
    schema.UPDATE_RATIO: ("Norm of the update / norm of the weights", "1"),
    "validation_error": ("Validation error", "share of wrong answers"),
    schema.WALL_TIME: ("Time since the run began", "seconds"),
}

# columns that carry a sign, and so have neither a log scale nor a geometric mean
SIGNED: Final = frozenset({schema.GRAD_COSINE, *(each.name for each in schema.SIGNALS.values() if each.signed)})


def signal_title(signal: str) -> str:
    """What a column of ``timesteps`` is, in words."""
    return schema.SIGNALS[signal].label if signal in schema.SIGNALS else signal


def signal_unit(signal: str) -> str:
    """The unit of a column of ``timesteps``: which norm, of what, before or after clipping."""
    return schema.SIGNALS[signal].full_unit if signal in schema.SIGNALS else ""


def before_clipping(signal: str) -> bool:
    """Whether a column of ``timesteps`` is in units of the loss, and so of the gradient before clipping."""
    return signal in schema.SIGNALS and schema.SIGNALS[signal].scales_with_loss


def scalar_title(name: str) -> str:
    """What a column of ``steps`` is, in words; a scalar that a user logged goes by its own name."""
    return _SCALARS.get(name, (name, ""))[0]


def scalar_unit(name: str) -> str:
    """The unit of a column of ``steps``, as far as it is known."""
    return _SCALARS.get(name, (name, ""))[1]


def gate_title(gate: str) -> str:
    """A gate in words."""
    return GATES[gate].title if gate in GATES else f"gate {gate}"


def gate_name(gate: str) -> str:
    """A gate in words, without its letter."""
    return gate_title(gate).removesuffix(f" {gate}")


def recorded_span(first: int, last: int) -> str:
    """A range of the steps whose timesteps were recorded: they may begin after the first step, end before the last."""
    return span(first, last, "recorded step")


def number(value: float | None) -> str:
    """``value`` with three digits, as one would write it: 0.0123, 295, 3.1e-16, 12,400; "not known" for None."""
    if value is None:
        return "not known"
    if math.isnan(value) or math.isinf(value):
        return str(value)
    size = abs(value)
    if size >= 1e6 or 0 < size < 1e-3:
        return f"{value:.1e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    if size >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def plural(count: int, word: str) -> str:
    """``count`` and its word: 1 step, 2 steps."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def span(first: int, last: int, word: str = "step") -> str:
    """A range in words: step 7, steps 0 to 299."""
    return f"{word} {first}" if first == last else f"{word}s {first} to {last}"


def listed(words: Sequence[str]) -> str:
    """``words`` as an English list: a, b and c; empty for none."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def percent(share: float) -> str:
    """A share of 1 in percent, as one would write it: 0.02%, 3.1%, 97%."""
    return f"{number(float(f'{100 * share:.3g}'))}%"
