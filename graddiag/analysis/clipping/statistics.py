"""What clipping did to a run: how often it engaged, how strongly, what it met, and what it could not help."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from graddiag.analysis.captioning import Caption
from graddiag.analysis.optimization.norms import NormHistory, find_spikes, finite_norms, norm_history
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Ints, Result, Source, is_nonfinite
from graddiag.analysis.words import number, plural
from graddiag.clipping.registry import kind_of
from graddiag.run import Run

_COEFFICIENTS: Final = {"min": 0.0, "5%": 0.05, "25%": 0.25, "50%": 0.5, "75%": 0.75}
_NORMS: Final = {"1%": 0.01, "10%": 0.1, "50%": 0.5, "90%": 0.9, "99%": 0.99, "max": 1.0}

# torch's factor is C / (norm + 1e-6): a coefficient nearer to 1 than this is rounding, not clipping
ROUNDING: Final = 1e-9


# the role of a policy: at up to the first share of the steps it is a safety net, from the second on a step-size limiter
SAFETY_NET_SHARE: Final = 0.1
LIMITER_SHARE: Final = 0.5

Role = Literal["never engaged", "safety net", "in between", "step-size limiter"]

_ROLES: Final[Mapping[Role, str]] = {
    "never engaged": "of no effect",
    "safety net": "a safety net: it caught single steps and left the usual one alone",
    "in between": "between a safety net and a step-size limiter",
    "step-size limiter": "a step-size limiter: its threshold, more than the gradient, set the length of the usual step",
}


@dataclass(frozen=True)
class ClipStatistics(Result):
    """How a clip policy acted over ``steps`` steps.

    clipped_steps: those with a coefficient (norm after / norm before) below 1; clipped_share: of the steps with a known
    coefficient. stretches: runs of clipped steps in a row; longest_stretch: steps of the longest, which begins at
    longest_stretch_start; median_stretch: steps of the median one. coefficient_quantiles: of the coefficient over the
    clipped steps; norm_percentiles: of the norm before clipping, L2 over all parameters, over the steps where it is
    finite. nonfinite_steps: those whose gradient held NaN or inf, which no policy of this kind mends.

    role: ``safety net`` up to SAFETY_NET_SHARE of the steps, ``step-size limiter`` from LIMITER_SHARE on: where half of
    the steps are clipped the threshold lies below the median norm, and the usual update is lr x threshold long,
    whatever the gradient (normalised gradient descent). None without a policy or a known coefficient.
    inside: whether the policy acts inside of back-propagation (bptt:C, tbptt:K): a step then has no norm from before
    it, so that its coefficient is 1 whatever it did, and the numbers about clipped steps are None or 0;
    ``reach(...).inside`` says what it did. spikes: steps whose norm was many times the usual one (``find_spikes``);
    spikes_clipped: those that were clipped.
    """

    source: Source
    policy: str | None
    threshold: float | None
    steps: int
    clipped_steps: int
    clipped_share: float | None
    first_clipped_step: int | None
    longest_stretch: int
    longest_stretch_start: int | None
    nonfinite_steps: int
    first_nonfinite_step: int | None
    norm_max: float | None = None
    norm_max_step: int | None = None
    coefficient_quantiles: Mapping[str, float] = field(default_factory=dict)
    norm_percentiles: Mapping[str, float] = field(default_factory=dict)
    missing: str | None = None
    stretches: int = 0
    median_stretch: float | None = None
    role: Role | None = None
    spikes: int | None = None
    spikes_clipped: int | None = None
    inside: bool = False

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        if not self.source.clipped:
            found = {"": "none", "largest gradient norm": number(self.norm_max)}
        elif self.inside:
            found = {"": f"{self.policy} acts inside of back-propagation, at each timestep; see the transport gain"}
        elif not self.clipped_steps:
            found = {"": f"{self.policy} never engaged in {plural(self.steps, 'step')}"}
        else:
            found = {
                "": f"{self.policy} engaged at {self.clipped_steps:,} of {plural(self.steps, 'step')} "
                f"({self.clipped_share:.1%}), first at step {self.first_clipped_step}",
                "length left to the gradient, median": f"{self.coefficient_quantiles['50%']:.1%}",
            }
        if self.nonfinite_steps:
            found["NaN or inf, which clipping cannot help, at"] = plural(self.nonfinite_steps, "step")
        return Caption("Clipping", found)

    @property
    def role_sentence(self) -> str:
        """What the policy was to this run, and what it did about the spikes and the values that are not finite."""
        if self.inside:
            return f"{self.policy} acts inside of back-propagation: what it did is not in the norms of the steps."
        if self.role is None:
            return "What clipping was to this run is not known: no clip policy, or no clip coefficient, was recorded."
        spikes = "" if not self.spikes else f" Of {plural(self.spikes, 'spike')} it shortened {self.spikes_clipped}."
        bad = plural(self.nonfinite_steps, "step")
        helpless = f" It could not help {bad} with NaN or inf." if self.nonfinite_steps else ""
        return f"Clipping was {_ROLES[self.role]}.{spikes}{helpless}"


def clip_statistics(run: Run, *, thresholds: Thresholds | None = None) -> ClipStatistics:
    """How often and how strongly clipping engaged, and the norms it met.

    Source: Pascanu, Mikolov & Bengio (2013), section 3.2; Zhang, He, Sra & Jadbabaie (2020) on the limiter.
    """
    return statistics_of(norm_history(run), thresholds)


def statistics_of(history: NormHistory, thresholds: Thresholds | None = None) -> ClipStatistics:
    """The statistics of norms that were read already."""
    kind, steps = kind_of(history.source.clip), history.steps
    inside = kind is not None and kind.acts_inside
    coefficient = np.full(len(steps), np.nan) if inside else history.coefficient.values
    clipped = coefficient < 1 - ROUNDING
    known = int(np.isfinite(coefficient).sum())
    share = float(clipped.sum() / known) if known else None
    starts, lengths = stretches_of(clipped)
    longest = int(lengths.argmax()) if len(lengths) else None
    bad = (history.nonfinite > 0) | is_nonfinite(history.before.states)
    norms, norm_steps = finite_norms(history)
    spikes = find_spikes(steps, history.before.values, thresholds or Thresholds()).steps if len(norms) else None
    return ClipStatistics(
        history.source,
        history.source.clip,
        history.threshold,
        len(steps),
        int(clipped.sum()),
        share,
        int(steps[clipped][0]) if clipped.any() else None,
        0 if longest is None else int(lengths[longest]),
        None if longest is None else int(steps[starts[longest]]),
        int(bad.sum()),
        int(steps[bad][0]) if bad.any() else None,
        float(norms.max()) if len(norms) else None,
        int(norm_steps[norms.argmax()]) if len(norms) else None,
        _quantiles(coefficient[clipped], _COEFFICIENTS),
        _quantiles(norms, _NORMS),
        history.missing,
        len(lengths),
        float(np.median(lengths)) if len(lengths) else None,
        _role(share) if history.source.clipped else None,
        None if spikes is None else len(spikes),
        None if spikes is None or not known else int(np.isin(spikes, steps[clipped]).sum()),
        inside,
    )


def _role(share: float | None) -> Role | None:
    if share is None:
        return None
    if share == 0:
        return "never engaged"
    if share <= SAFETY_NET_SHARE:
        return "safety net"
    return "step-size limiter" if share >= LIMITER_SHARE else "in between"


def stretches_of(held: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Where each run of True in ``held`` begins, and how long it is."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], held.astype(np.int8), [0]])))
    return edges[::2], edges[1::2] - edges[::2]


def _quantiles(values: NDArray[np.float64], wanted: Mapping[str, float]) -> dict[str, float]:
    if not len(values):
        return {}
    return {name: float(np.quantile(values, share)) for name, share in wanted.items()}
