"""Every threshold of the diagnosis, in one place, with what it means and where it comes from."""

from dataclasses import dataclass

from graddiag.errors import SettingError


@dataclass(frozen=True)
class Thresholds:
    """The numbers behind ``diagnose``. Change one with ``dataclasses.replace`` or by name: ``Thresholds(spike=20)``.

    Attributes:
        touched_floor: a timestep counts as touched by the loss itself if its immediate gradient is at least this share
            of the sequence's largest; the others depend on what travels back to them.
        arriving: vanishing, if less than this share of the loss's gradient reaches some timestep, in the
            median of the judged steps. Temporal order (50 tanh units) is learned from an initial share of 2e-5 to 5e-5
            (30 timesteps) and is not learned from 1e-7 to 1e-6 (50 timesteps): 1e-5 lies between.
        arriving_severe: the same, called severe: the resolution of float32 (2^-23). A smaller share changes no
            bit of a sum with what the last timestep contributes.
        fresh_gain: vanishing with a loss at most timesteps, if one step back leaves less than this share of a gradient,
            on average. Each timestep then has an immediate gradient, and the fading of the others does no harm;
            below 10%, the recurrence hardly learns. An LSTM with torch's default initialization has .3.
        dense_share: the loss counts as one at most timesteps, if it touches this share of them at once.
        judged_share: vanishing, saturated gates and dead units are judged by the last so much of the recorded steps or
            snapshots: a start that training overcomes is no finding.
        gate_open: a gate that carries the state on (f of an LSTM, z of a GRU) counts as open from this mean activation
            on: then a larger bias is no advice. At .95 a third of the state is left after 20 timesteps.
        usual_share: back-propagation is cut short, or begins from a carried state, if it does so at this share of the
            recorded steps at which that can be seen.
        growth: exploding, if the gradient grows by this factor on its way back through time, by the product of its
            gains and against all that the loss puts in at once, at ...
        growth_share: ... at least this share of the recorded steps.
        growth_severe: the same, called severe.
        spike: a step is a spike if its gradient norm, before clipping, is this many times the typical norm: the median
            of all norms before it, or what that median was at its highest (so that small norms late in a training
            that converged make no spikes).
        spike_share: exploding, if at least this share of the steps are spikes ...
        spike_severe: ... or one reaches this many times the typical norm.
        spike_share_severe: the share of spikes that is called severe.
        recent: steps before one that it is also measured against, by their median: a norm (or loss) that climbs to
            ``spike`` times the usual one over more steps than these grew, and did not jump.
        history: steps before the first that can be a spike.
        nonfinite_rare: NaN or inf is a warning only, at less than this share of the steps and not at the last.
        saturated: saturated gates, if at least this share of a gate's activations is, in the median judged step.
            A trained LSTM has gates of which half are (Karpathy et al. 2016): that is no fault.
        dead_share: dead units are a warning from this share of a layer's units on, information below it.
        clipped_always: clipping is always on, if it engages at this share of the steps.
        clipped_hard: the same is a warning, if in the median it leaves less than this share of the gradient's length.
        above_all: a clip threshold lies above everything seen, if it is this many times the largest norm: a jump that
            counts as a spike would pass below it.
        loss_steps: fewer steps with a loss than this say nothing about its course.
        loss_fall: the loss does not fall, if it ends less than this share of its first level below that level, and no
            longer falls.
        loss_noise: what the level of the loss must change by to count as a change, in standard errors.
        loss_rise: the loss rises again, if for good it gives back more than this share of what it had fallen by.
        loss_flat: the last share of the run over which the level must have stayed together to be called flat.
        loss_late: the last share of the run whose slope tells whether the loss still falls ...
        loss_slope: ... if it lies this many of its standard errors below 0.
        loss_spike: the loss jumps, if it lies this many robust standard deviations above its running median.
        near_chance: the loss is at that of guessing, if it lies within this share of it.
        goal_least: a goal of which chance is unknown improved, if by more than this share of its first value.
        loss_interpolates: a loss of unknown floor that is flat counts as learned, if its noise is less than this share
            of what it fell by: a net that still has something to learn, or noise to meet, has more.
        same_way: successive gradients point the same way, from this cosine on (median of the recorded steps).
        saturated_all: saturated gates explain a failure, from this share of a gate's activations on, from the first
            recorded step on: a few units that are not saturated are enough to learn.
        dead_all: dead units explain a failure, from this share of a layer on.
        slow_update: the steps are small, if an update is less than this share of the weights (norms, median step). A
            tenth of the rule of thumb of 1e-3 (Karpathy, CS231n, 2015).
        large_update: the steps are large, from this share on: ten times that rule.
    """

    touched_floor: float = 1e-3
    arriving: float = 1e-5
    arriving_severe: float = 2.0**-23
    fresh_gain: float = 0.1
    dense_share: float = 0.5
    judged_share: float = 0.5
    gate_open: float = 0.95
    usual_share: float = 0.5
    growth: float = 10.0
    growth_share: float = 0.25
    growth_severe: float = 1000.0
    spike: float = 10.0
    spike_share: float = 0.0005
    spike_severe: float = 100.0
    spike_share_severe: float = 0.01
    recent: int = 50
    history: int = 5
    nonfinite_rare: float = 0.01
    saturated: float = 0.9
    dead_share: float = 0.1
    clipped_always: float = 0.9
    clipped_hard: float = 0.1
    above_all: float = 10.0
    loss_steps: int = 100
    loss_fall: float = 0.05
    loss_noise: float = 3.0
    loss_rise: float = 0.25
    loss_flat: float = 0.25
    loss_late: float = 0.5
    loss_slope: float = 2.0
    loss_spike: float = 8.0
    near_chance: float = 0.05
    goal_least: float = 0.02
    loss_interpolates: float = 0.01
    same_way: float = 0.2
    saturated_all: float = 0.97
    dead_all: float = 0.9
    slow_update: float = 1e-4
    large_update: float = 1e-2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise SettingError(f"threshold {name} is {value}: every threshold is a number above 0.")
