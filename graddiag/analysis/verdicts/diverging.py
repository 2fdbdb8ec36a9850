"""The rule for a loss that rises: above where it began, or back from what it had reached."""

from graddiag import schema
from graddiag.analysis.findings import PRACTICE, Advice, Evidence, Finding, Place
from graddiag.analysis.measured import Measured
from graddiag.analysis.remedies import BY_HEART, clip, large_steps, smaller_rate
from graddiag.analysis.spikes import find_spikes
from graddiag.analysis.words import number, plural
from graddiag.run import numbers


def diverging(measured: Measured) -> Finding | None:
    """The loss ends, for good, well above its lowest level; whatever the gradient does."""
    loss, t = measured.loss, measured.thresholds
    if not loss.rising:
        return None
    assert loss.start is not None
    assert loss.end is not None
    assert loss.best is not None
    assert loss.risen_from is not None
    fell = f"fell to {number(loss.best)} and " if loss.course == "risen after falling" else ""
    sentence = f"The loss {fell}rises from step {loss.risen_from} on: it began at {number(loss.start)} and ends at "
    sentence += f"{number(loss.end)}."
    if len(loss.jumps):
        sentence += f" It jumps at {plural(len(loss.jumps), 'step')}, first at step {loss.jumps[0]}."
    first, last = int(loss.level_steps[0]), int(loss.level_steps[-1])
    evidence = (
        Evidence("level of the loss at the start", loss.start, "", f"step {first}", Place(step=first)),
        Evidence("lowest level", loss.best, "", f"from step {loss.best_step} on", Place(step=loss.best_step)),
        Evidence("level at the end", loss.end, "", f"from step {last} on", Place(step=last)),
    )
    rule = (
        f"over at least {t.loss_steps} steps the loss ends, by the lower of its last two levels, {t.loss_fall:.0%} "
        f"above its first one, or gives back more than {t.loss_rise:.0%} of what it had fallen by; by "
        "more than the noise."
    )
    used = ("loss_steps", "loss_fall", "loss_noise", "loss_rise", "spike", "recent", "large_update")
    return Finding("diverging", "warning", sentence, evidence, rule, _advice(measured), used, loss.risen_from)


def _advice(measured: Measured) -> tuple[Advice, ...]:
    """Clipping first where the norm or the loss jumped; the learning rate first where steps are large or it rose; where
    the steps are small the data come first."""
    loss, ratio, t = measured.loss, measured.update_ratio, measured.thresholds
    spikes = find_spikes(measured.history.steps, measured.history.before.values, t)
    jumped = len(spikes.steps) > 0 or len(loss.jumps) > 0
    net = clip(measured.history, measured.recommended.safety_net)
    rate = _rate(measured)
    stop = Advice(
        f"keep the weights of about step {loss.best_step}, where the loss was lowest: what came after only lost.",
        "Prechelt 1998, early stopping: but when?",
    )
    data = Advice("see whether the data changed: batches in an order rather than at random, say.", PRACTICE)
    if jumped and not large_steps(ratio, t):
        return net, rate, stop, data
    if ratio is not None and ratio < t.slow_update:
        return data, BY_HEART, rate, stop
    return rate, net, stop, data


def _rate(measured: Measured) -> Advice:
    """A smaller learning rate; where it was higher when the loss rose than when it was lowest, a smaller peak."""
    frame, loss = measured.run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.LR]), measured.loss
    steps, rates = frame[schema.STEP].to_numpy(), numbers(frame[schema.LR])[0]
    early, late = (float(rates[steps == step][0]) for step in (loss.best_step, loss.risen_from))
    if late > early:
        why = f"it was still being raised, from {number(early)} to {number(late)}"
        return Advice(f"a smaller peak of the learning rate: {why}.", "Goyal et al. 2017, warmup")
    return smaller_rate("steps that are too large leave what they had reached", measured.update_ratio)
