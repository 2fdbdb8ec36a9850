"""Gradient noise: how much of a step's gradient is signal, and what a larger batch would buy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from graddiag import schema
from graddiag.analysis.captions import Told
from graddiag.analysis.intervals import Interval, over_steps
from graddiag.analysis.values import Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import number, percent, plural, scalar_title, scalar_unit
from graddiag.run import Run, numbers

_FEWEST: Final = 20
_BLOCKS: Final = 10
_NAMES: Final = ("batch", "batch_size")


@dataclass(frozen=True)
class NoiseBlock:
    """A part of the training: its first and last step, and its share of signal (None where it is not above 0)."""

    first: int
    last: int
    signal: float | None


@dataclass(frozen=True)
class GradientNoise(Result):
    """An estimate of signal and noise, from the cosine between the gradients of successive updates.

    With g = G + noise, the noise of two batches independent and the mean gradient G nearly the same at both,
    E[g_k . g_{k-1}] = |G|^2 and E|g|^2 = |G|^2 + |noise|^2. steps, cosine: the recorded ones. signal: the ratio of the
    two means, |G|^2 / E|g|^2, between 0 and 1 for a gradient that keeps its direction, with a 95% interval (block
    bootstrap over steps); taken as the mean cosine, each step alike, so that jumps of the norm do not decide it.
    signal_to_noise: signal / (1 - signal), in power. noise_scale: (1 - signal) / signal, the number of batches like
    these whose mean has as much signal as noise; times ``batch`` it is the simple noise scale in samples. None where
    the interval of the mean cosine reaches 0: then noise, or a gradient that swings to and fro, hides the signal.
    gain: by factor, what a batch so many times as large would buy: how much farther one (rightly sized) step gets,
    (1 + noise_scale) / (1 + noise_scale / factor); at most the factor itself.

    Source: McCandlish et al. (2018), an empirical model of large-batch training, section 2.2; successive steps stand in
    for their two batch sizes.
    """

    source: Source
    steps: Ints
    cosine: Series
    signal: float | None
    interval: Interval | None
    signal_to_noise: float | None
    noise_scale: float | None
    batch: int | None
    gain: Mapping[int, float]
    blocks: tuple[NoiseBlock, ...]
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.told.caption(self.source)

    @property
    def told(self) -> Told:
        of = "Cosine between successive gradients"
        cosines = plural(int(np.isfinite(self.cosine.values).sum()), "step")
        if self.signal is None or self.noise_scale is None:
            return Told(of, {"mean": self._mean, "": self._hidden, "over": cosines})
        samples = f", {number(self.noise_scale * self.batch)} samples" if self.batch else ""
        found = {
            "{} of a gradient's square is signal": percent(self.signal),
            "noise scale": f"{number(self.noise_scale)} batches{samples}",
            "twice the batch would make a step {} times as useful": number(self.gain[2]),
            "over": cosines,
        }
        return Told(of, found)

    @property
    def _mean(self) -> str:
        return number(float(self.cosine.values[np.isfinite(self.cosine.values)].mean()))

    @property
    def _hidden(self) -> str:
        """Why no signal can be told."""
        if self.interval is not None and self.interval[1] < 0:
            return "on the whole each turns against the one before, and such swinging hides the signal"
        return "cannot be told from 0: noise hides the signal"


def gradient_noise(run: Run) -> GradientNoise:
    """Signal and noise of the gradient as far as successive gradients tell; an estimate, with its interval."""
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.GRAD_COSINE])
    values, absent = numbers(frame[schema.GRAD_COSINE])
    steps, values = frame[schema.STEP].to_numpy(dtype=np.int64)[~absent], values[~absent]
    title, unit = scalar_title(schema.GRAD_COSINE), scalar_unit(schema.GRAD_COSINE)
    line = series(schema.GRAD_COSINE, title, unit, values, np.zeros(len(values), dtype=bool))
    finite = np.isfinite(values)
    count = int(finite.sum())
    enough = count >= _FEWEST
    interval = over_steps(values[finite]) if enough else None
    mean = float(values[finite].mean()) if enough else 0.0
    signal = mean if interval is not None and interval[0] > 0 and mean < 1 else None
    scale = None if signal is None else (1 - signal) / signal
    return GradientNoise(
        source_of(run),
        steps,
        line,
        signal,
        interval,
        None if scale is None else 1 / scale,
        scale,
        batch_of(run.manifest.config),
        {} if scale is None else {factor: (1 + scale) / (1 + scale / factor) for factor in (2, 4, 16)},
        _blocks(steps[finite], values[finite]) if enough else (),
        None if enough else _why(len(values), count),
    )


def batch_of(config: Mapping[str, Any]) -> int | None:
    """The batch size that the configuration names."""
    found = [config[name] for name in _NAMES if isinstance(config.get(name), int)]
    return int(found[0]) if found and found[0] > 0 else None


def _blocks(steps: Ints, values: Floats) -> tuple[NoiseBlock, ...]:
    parts = np.array_split(np.arange(len(values)), min(_BLOCKS, len(values) // _FEWEST))
    means = [float(values[part].mean()) for part in parts]
    return tuple(
        NoiseBlock(int(steps[part[0]]), int(steps[part[-1]]), mean if mean > 0 else None)
        for part, mean in zip(parts, means, strict=True)
    )


def _why(count: int, finite: int) -> str:
    if not count:
        return (
            "Gradient noise cannot be told from norms alone: it takes the cosine between successive gradients, which "
            "runs of schema 2 and later record."
        )
    return (
        f"{plural(finite, 'finite cosine')} between successive gradients are too few to tell noise; {_FEWEST} would do."
    )
