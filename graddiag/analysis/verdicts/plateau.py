"""The rule for a loss that does not fall though the gradient is healthy: the cause lies elsewhere."""

from graddiag.analysis.findings import PRACTICE, Advice, Evidence, Finding, Place
from graddiag.analysis.measured import Measured
from graddiag.analysis.remedies import BY_HEART, LONGER, RATIO, clip, large_steps, smaller_rate, told
from graddiag.analysis.words import number, plural


def plateau(measured: Measured) -> Finding | None:
    """The loss is where it began, and no rule about the gradient explains it."""
    loss, t = measured.loss, measured.thresholds
    if loss.course != "flat" or measured.gradient_ill or measured.cuts:
        return None
    assert loss.start is not None
    assert loss.end is not None
    count = int(loss.level_steps[-1]) if len(loss.level_steps) else 0
    healthy = "though the gradient is healthy" if measured.faded else "and the gradient's way was not measured"
    sentence = (
        f"The loss does not fall, {healthy}: it began at a level of {number(loss.start)} and ends at "
        f"{number(loss.end)}{_chance(measured)}."
    )
    if len(loss.jumps):
        sentence += f" It jumps at {plural(len(loss.jumps), 'step')}, first at step {loss.jumps[0]}."
    evidence = [
        Evidence("level of the loss at the start", loss.start, "", f"step {loss.level_steps[0]}", Place(step=0)),
        Evidence("level at the end", loss.end, "", f"from step {count} on", Place(step=count)),
    ]
    if loss.chance is not None:
        evidence.append(Evidence("loss of guessing", loss.chance, "", "the run's configuration"))
    if len(loss.jumps):
        top = int(loss.heights.argmax())
        place = Place(step=int(loss.jumps[top]))
        evidence.append(Evidence("highest jump", float(loss.heights[top]), "", f"step {place.step}", place))
    if measured.update_ratio is not None:
        name = "norm of an update over that of the weights, median step"
        evidence.append(Evidence(name, measured.update_ratio, "", "recorded steps"))
    rule = (
        f"over at least {t.loss_steps} steps the loss ends less than {t.loss_fall:.0%} below its first level and no "
        "longer falls, while no NaN or inf, no exploding, vanishing or cut gradient is found."
    )
    used = (
        *("loss_steps", "loss_fall", "loss_noise", "loss_late", "loss_slope", "loss_spike"),
        *("near_chance", "slow_update", "large_update"),
    )
    onset = loss.flat_from if loss.flat_from is not None else 0
    return Finding("plateau", "warning", sentence, tuple(evidence), rule, _advice(measured), used, onset)


def _at_chance(measured: Measured) -> bool:
    loss, near = measured.loss, measured.thresholds.near_chance
    if not loss.chance or loss.end is None:
        return False
    return abs(loss.end - loss.chance) <= near * abs(loss.chance)


def _chance(measured: Measured) -> str:
    chance, near = measured.loss.chance, _at_chance(measured)
    if not chance:
        return ""
    return f", {'which is' if near else 'where'} the loss of guessing{'' if near else ' is'} {number(chance)}"


def _advice(measured: Measured) -> tuple[Advice, ...]:
    """Ranked by what was seen: a loss that jumps, steps that are large or small against the weights, or neither."""
    ratio, t = measured.update_ratio, measured.thresholds
    smaller = smaller_rate("the steps may be too large for the loss to settle", ratio, RATIO)
    larger = Advice(f"a larger learning rate{told(ratio)}: the steps may be too small to get anywhere.", RATIO)
    net = () if measured.history.source.clipped else (clip(measured.history, measured.recommended.safety_net),)
    if len(measured.loss.jumps):
        return (*net, smaller, LONGER, BY_HEART)
    if large_steps(ratio, t):
        return (smaller, *net, LONGER, BY_HEART)
    if ratio is not None and ratio < t.slow_update:
        return (larger, LONGER, BY_HEART)
    tries = (_either_rate(ratio), *net)
    return (LONGER, BY_HEART, *tries) if _at_chance(measured) else (BY_HEART, LONGER, *tries)


def _either_rate(ratio: float | None) -> Advice:
    size = "how large one is was not recorded"
    if ratio is not None:
        size = f"in the median step it is {number(ratio)} of them"
    return Advice(
        f"a learning rate three times larger, and one three times smaller: nothing says that an update is too large or "
        f"too small against the weights ({size}).",
        PRACTICE,
    )
