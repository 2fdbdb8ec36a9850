"""The clip policies: each declared once, with all that is known of it. torch is not imported before one is made.

The command line, the Lab's form, the table of docs/clipping.md, analyses and figures read what they need here. A new
policy is an entry of ``POLICIES`` and the class that it names.
"""

import math
from typing import Any, Final

from graddiag.clipping.declaration import Number, Option, PolicyKind, PolicyText, Syntax
from graddiag.errors import SettingError

_THRESHOLD: Final = Number("a threshold", "1.0", "positive and finite", lambda c: math.isfinite(c) and c > 0)
_FACTOR: Final = Number("a factor", "0.01", "positive and finite", lambda c: math.isfinite(c) and c > 0)
_PERCENTILE: Final = Number("a percentile", "10", "from 0 to 100", lambda p: 0 <= p <= 100)
_WINDOW: Final = Number(
    "a window", "20", "a whole number of timesteps, 1 or more", lambda k: k >= 1 and k % 1 == 0, whole=True
)
_ORDER: Final = Number("an order", "inf", "above 0", lambda p: p > 0)

POLICIES: Final = (
    PolicyKind(
        name="none",
        title="None",
        forms=(Syntax("none", "nothing"),),
        help="no clipping",
        implementation="fixed:NoClipping",
        keeps_direction=True,
        style=0,
    ),
    PolicyKind(
        name="norm",
        title="Global norm",
        forms=(
            Syntax(
                "norm:C",
                "all gradients together times min(1, C / (norm + 1e-6)), torch's `clip_grad_norm_`; the direction is "
                "kept",
                "Pascanu, Mikolov & Bengio (2013)",
            ),
            Syntax("norm:C:P", "the same with the P-norm; `norm:1:inf` looks at the largest entry"),
        ),
        help="the norm of all gradients together (norm:C:inf, their largest entry)",
        implementation="fixed:NormClipping",
        keeps_direction=True,
        style=1,
        number=_THRESHOLD,
        option=Option("p", "the order of the norm (norm:1.0:inf)", number=_ORDER, default=2.0),
        limits_norm=True,
    ),
    PolicyKind(
        name="value",
        title="Each entry",
        forms=(
            Syntax(
                "value:C",
                "each entry clamped to ±C, torch's `clip_grad_value_`; the direction changes",
                "char-rnn (5)",
            ),
            Syntax("value:C:nan=0", "the same, and NaN becomes 0", "faster-rnnlm (1)"),
        ),
        help="each entry",
        implementation="fixed:ValueClipping",
        keeps_direction=False,
        style=2,
        number=_THRESHOLD,
        option=Option("zero_nan", "nan=0 (value:1.0:nan=0)", values={"nan=0": True}),
    ),
    PolicyKind(
        name="bptt",
        title="Error vector in time",
        forms=(
            Syntax(
                "bptt:C",
                "inside back-propagation: each entry of the error vector clamped to ±C at every timestep",
                "rnnlm (15)",
            ),
            Syntax("bptt:C:norm", "the same by the length of each sample's error vector"),
        ),
        help="each entry of the error vector between two timesteps (bptt:C:norm, its length)",
        implementation="bptt:BpttClipping",
        keeps_direction=None,
        style=3,
        number=_THRESHOLD,
        option=Option("by", "norm (bptt:5.0:norm)", values={"norm": "norm"}),
    ),
    PolicyKind(
        name="tbptt",
        title="Truncated BPTT",
        forms=(
            Syntax(
                "tbptt:K",
                "back-propagation cut every K timesteps; the state is carried over",
                "Williams & Peng (1990)",
            ),
        ),
        help="a cut every K timesteps",
        implementation="bptt:TruncatedBptt",
        keeps_direction=None,
        style=3,
        number=_WINDOW,
        cuts=True,
    ),
    PolicyKind(
        name="auto",
        title="Past norms (AutoClip)",
        forms=(
            Syntax(
                "auto:P", "the norm clipped to the P-th percentile of all norms so far", "Seetharaman et al. (2020)"
            ),
        ),
        help="the norm, at the P-th percentile of the norms so far",
        implementation="adaptive:AutoClip",
        keeps_direction=True,
        style=4,
        number=_PERCENTILE,
        adapts=True,
    ),
    PolicyKind(
        name="zclip",
        title="Outliers (ZClip)",
        forms=(
            Syntax(
                "zclip", "norms more than 2.5 deviations above their running mean pulled back", "Kumar et al. (2025)"
            ),
        ),
        help="the norm, where it is an outlier among the norms so far",
        implementation="adaptive:ZClip",
        keeps_direction=True,
        style=5,
        adapts=True,
    ),
    PolicyKind(
        name="agc",
        title="Each row (AGC)",
        forms=(
            Syntax(
                "agc:C",
                "each row of a gradient shortened to C times the length of the same row of the weight",
                "Brock et al. (2021)",
            ),
        ),
        help="each unit against its weights",
        implementation="agc:UnitwiseClipping",
        keeps_direction=False,
        style=6,
        number=_FACTOR,
    ),
    PolicyKind(
        name="layer",
        title="Each layer",
        forms=(
            Syntax(
                "layer:C",
                "the gradient of each parameter tensor by itself times min(1, C / (its norm + 1e-6))",
                "McMahan et al. (2018)",
            ),
        ),
        help="the norm of each parameter tensor",
        implementation="layerwise:LayerClipping",
        keeps_direction=False,
        style=1,
        number=_THRESHOLD,
    ),
    PolicyKind(
        name="adagc",
        title="Each layer's past norms (AdaGC)",
        forms=(
            Syntax(
                "adagc",
                "the gradient of each parameter tensor shortened to 1.05 times the running mean of its norms",
                "Wang et al. (2025)",
            ),
        ),
        help="the norm of each parameter tensor, against its norms so far",
        implementation="adagc:AdaGC",
        keeps_direction=False,
        style=5,
        adapts=True,
    ),
    PolicyKind(
        name="spam",
        title="Spikes of an entry (SPAM)",
        forms=(
            Syntax(
                "spam",
                "each entry g with g² above 5,000 times the running mean of its squares shortened to that; the mean is "
                "reset every 500 steps",
                "Huang et al. (2025)",
            ),
        ),
        help="each entry, against its squares so far",
        implementation="spam:SpikeAware",
        keeps_direction=False,
        style=2,
        adapts=True,
    ),
)


def kind_of(text: str | None) -> PolicyKind | None:
    """The policy that ``text`` begins with, e.g. the ``clip`` of a manifest; None for any other text, and for None."""
    name = (text or "").strip().partition(":")[0]
    return next((kind for kind in POLICIES if kind.name == name), None)


def read(text: str | None) -> PolicyText | None:
    """The policy that ``text`` names; None where it is free text, or None."""
    try:
        return None if text is None else check(text)
    except SettingError:
        return None


def check(text: str) -> PolicyText:
    """The policy that ``text`` names.

    Raises:
        SettingError: an unknown policy, or a number that is missing, none, or out of its range.
    """
    kind, (name, separator, argument) = kind_of(text), text.strip().partition(":")
    if kind is None:
        raise SettingError(f"clip {text!r}: there is no policy {name!r}; use one of {known_forms()}.")
    if kind.number is None:
        if separator:
            raise SettingError(f"clip {text!r}: the policy {name} takes nothing behind it; write {name} alone.")
        return PolicyText(kind)
    first, more, option = argument.partition(":")
    number = _number(text, name, first, kind.number)
    return PolicyText(kind, number, _options(text, kind, number, option) if more else {})


def normalized(text: str) -> str:
    """``text`` in the one spelling that a run keeps: ``norm:1`` is ``norm:1.0``.

    Raises:
        SettingError: as ``check``.
    """
    return str(check(text))


def known_forms() -> str:
    """The plain form of every policy, with commas between them."""
    return ", ".join(kind.forms[0].form for kind in POLICIES)


def help_text() -> str:
    """Every policy and what it does, in one line: for the help of an option, or of a field."""
    return "; ".join(f"{kind.forms[0].form}, {kind.help}" for kind in POLICIES)


def table() -> tuple[tuple[str, str, str], ...]:
    """Every form of every policy, what it does, and its source: the rows of docs/clipping.md."""
    return tuple((form.form, form.does, form.source) for kind in POLICIES for form in kind.forms)


def _options(text: str, kind: PolicyKind, number: float, option: str) -> dict[str, Any]:
    """What stands behind the second colon, as a keyword of the implementation."""
    known = kind.option
    if known is not None and known.number is not None:
        value = _number(text, f"{kind.name}:{number!r}", option, known.number)
        return {} if value == known.default else {known.keyword: value}
    if known is not None and option in known.values:
        return {known.keyword: known.values[option]}
    allowed = "there is nothing" if known is None else f"there may be {known.example}"
    raise SettingError(f"clip {text!r}: found {option!r} behind the second colon, where {allowed}.")


def _number(text: str, name: str, argument: str, wanted: Number) -> float:
    example = f"write {name}:{wanted.example}, for example"
    try:
        number = float(argument)
    except ValueError:
        found = repr(argument) if argument else "nothing"
        raise SettingError(
            f"clip {text!r}: {name} needs {wanted.name}, a number, and found {found}; {example}."
        ) from None
    if not wanted.allows(number):
        raise SettingError(
            f"clip {text!r}: {wanted.name.partition(' ')[2]} must be {wanted.requirement}, found {number:g}; "
            f"{example}, or none to leave gradients as they are."
        )
    return int(number) if wanted.whole else number
