"""The rule for a loss that does not fall though the gradient is healthy: the cause lies elsewhere."""

from graddiag.analysis.findings import Advice, Evidence, Finding, Place
from graddiag.analysis.measured import Measured
from graddiag.analysis.words import number, plural

_NEAR_CHANCE = 0.05


def plateau(measured: Measured) -> Finding | None:
    """The loss is where it began, or above, and no rule about the gradient explains it."""
    loss, t = measured.loss, measured.thresholds
    if not loss.stuck or measured.gradient_ill or measured.cuts:
        return None
    assert loss.start is not None
    assert loss.end is not None
    count = int(loss.level_steps[-1]) if len(loss.level_steps) else 0
    healthy = "though the gradient is healthy" if measured.faded else "and the gradient's way was not measured"
    sentence = (
        f"The loss does not fall, {healthy}: it began at a level of {number(loss.start)} and ends at "
        f"{number(loss.end)}{_chance(loss.end, loss.chance)}."
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
    rule = (
        f"over at least {t.loss_steps} steps the loss ends less than {t.loss_fall:.0%} below its first level and no "
        "longer falls, while no NaN or inf, no exploding, vanishing or cut gradient is found."
    )
    used = ("loss_steps", "loss_fall", "loss_noise")
    onset = loss.flat_from if loss.flat_from is not None else 0
    return Finding("plateau", "warning", sentence, tuple(evidence), rule, _advice(measured), used, onset)


def _chance(end: float, chance: float | None) -> str:
    if chance is None or not chance:
        return ""
    near = abs(end - chance) <= _NEAR_CHANCE * abs(chance)
    return f", {'which is' if near else 'where'} the loss of guessing{'' if near else ' is'} {number(chance)}"


def _advice(measured: Measured) -> tuple[Advice, ...]:
    """Ranked by what was seen: a loss that jumps, or steps that are large or small against the weights."""
    rough = len(measured.loss.jumps) > 0 or measured.loss.course == "risen"
    ratio, ranked = measured.update_ratio, []
    smaller = f"a smaller learning rate{_ratio(ratio)}: the steps may be too large for the loss to settle."
    larger = f"a larger learning rate{_ratio(ratio)}: the steps may be too small to get anywhere."
    slow = ratio is not None and ratio < 1e-4
    ranked.append(Advice(larger if slow else smaller, "update against weight near 1e-3: CS231n, Karpathy"))
    threshold = measured.recommended.safety_net
    if threshold and not measured.history.source.clipped:
        clip = Advice(f"clip by global norm, norm:{threshold:.2g} say.", "Pascanu et al. 2013, section 3.2")
        ranked.insert(0 if rough else 1, clip)
    ranked.append(Advice("train longer: tasks with long dependencies stay at chance for many steps, then fall."))
    ranked.append(
        Advice(
            "see whether the model can learn a single batch by heart; if not, look for an error in the data, the "
            "targets or the loss.",
            "Karpathy 2019, a recipe for training neural networks",
        )
    )
    return tuple(ranked)


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f" (an update is {number(ratio)} of the weights in the median step)"
