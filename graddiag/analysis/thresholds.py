"""Every threshold of the verdict, in one place, with what it means and where it comes from."""

from dataclasses import dataclass

from graddiag.errors import SettingError


@dataclass(frozen=True)
class Thresholds:
    """The numbers behind ``diagnose``. Change one with ``dataclasses.replace`` or by name: ``Thresholds(spike=20)``.

    Attributes:
        touched_floor: a timestep counts as touched by the loss itself if its immediate gradient is at least this share
            of the sequence's largest; the others depend on what travels back to them.
        arriving: vanishing, if less than this share of the loss's gradient arrives at the worst-served timestep, in the
            median of the judged steps. Temporal order (50 tanh units) is learned from an initial share of 2e-5 to 5e-5
            (30 timesteps) and is not learned from 1e-7 to 1e-6 (50 timesteps): 1e-5 lies between.
        arriving_severe: the same, called severe: the resolution of float32 (2^-23). What arrives below it changes no
            bit of a sum with what the last timestep contributes.
        fresh_gain: vanishing with a loss at most timesteps, if one step back leaves less than this share of a gradient,
            on average. Each timestep then has a gradient of its own, and the fading of the others starves nothing;
            below a tenth, hardly anything teaches the recurrence. An LSTM at torch's default start has .3.
        judged_share: vanishing is judged by the last so much of the recorded steps: a start that training overcomes
            is no finding.
        growth: exploding, if the gradient grows by this factor on its way back through time, by the product of its
            gains and against all that the loss puts in at once, at ...
        growth_share: ... at least this share of the recorded steps.
        growth_severe: the same, called severe.
        spike: a step is a spike if its gradient norm, before clipping, is this many times the usual norm: the median of
            all norms before it, or what that median was at its highest (so that small norms late in a training
            that converged make no spikes).
        spike_share: exploding, if at least this share of the steps are spikes ...
        spike_severe: ... or one reaches this many times the usual norm.
        spike_share_severe: the share of spikes that is called severe.
        history: steps before the first that can be a spike.
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
        loss_spike: the loss jumps, if it lies this many robust standard deviations above its running median.
    """

    touched_floor: float = 1e-3
    arriving: float = 1e-5
    arriving_severe: float = 2.0**-23
    fresh_gain: float = 0.1
    judged_share: float = 0.5
    growth: float = 10.0
    growth_share: float = 0.25
    growth_severe: float = 1000.0
    spike: float = 10.0
    spike_share: float = 0.0005
    spike_severe: float = 100.0
    spike_share_severe: float = 0.01
    history: int = 5
    saturated: float = 0.9
    dead_share: float = 0.1
    clipped_always: float = 0.9
    clipped_hard: float = 0.1
    above_all: float = 10.0
    loss_steps: int = 100
    loss_fall: float = 0.05
    loss_noise: float = 3.0
    loss_spike: float = 8.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise SettingError(f"threshold {name} is {value}: every threshold is a number above 0.")
