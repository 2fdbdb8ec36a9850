"""Gradient noise: how much of a step's gradient is signal, and what a larger batch would buy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed
from graddiag.analysis.intervals import Interval, over_neighbours
from graddiag.analysis.values import Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import number, percent, plural, scalar_title, scalar_unit
from graddiag.clipping.registry import kind_of
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
    """An estimate of signal and noise, from the gradients of successive updates: their cosine and their norms.

    With g = G + noise, the noise of two batches independent and the mean gradient G nearly the same at both,
    E[g_k . g_{k-1}] = |G|^2 and E|g|^2 = |G|^2 + |noise|^2, where g_k . g_{k-1} = cosine x |g_k| |g_{k-1}|. steps,
    cosine: the recorded ones. signal: |G|^2 / E|g|^2, between 0 and 1 for a gradient that keeps its direction: the mean
    inner product over the mean square, taken in each of ``blocks`` by itself and then as the mean over steps, so that
    neither a norm that falls over training nor one jump decides it alone. interval: its 95% interval; the inner
    products of neighbouring steps depend on one another, since they share one gradient.
    mean_cosine: of all recorded steps; it is not the signal where norms vary.
    signal_to_noise: signal / (1 - signal), in power. noise_scale: (1 - signal) / signal, the number of batches like
    these whose mean has as much signal as noise; times ``batch`` it is the simple noise scale in samples. None where
    the interval reaches 0: then noise, or a gradient that oscillates, hides the signal.
    gain: by factor, what a batch so many times as large would buy: how much farther one (rightly sized) step gets,
    (1 + noise_scale) / (1 + noise_scale / factor); at most the factor itself.

    The norms are those before clipping; of ``value:C`` and ``agc:C``, which change the direction as well, those after.

    Source: McCandlish et al. (2018), an empirical model of large-batch training, section 2.2; successive steps
    replace their two batch sizes.
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
    mean_cosine: float | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        of = "Cosine between successive gradients"
        cosines = plural(int(np.isfinite(self.cosine.values).sum()), "step")
        if self.signal is None or self.noise_scale is None:
            return Caption(of, {"mean": number(self.mean_cosine), "": self._hidden, "over": cosines})
        samples = f", {number(self.noise_scale * self.batch)} samples" if self.batch else ""
        found = {
            "{} of a gradient's square is signal": percent(self.signal),
            "noise scale": f"{number(self.noise_scale)} batches{samples}",
            "twice the batch would make a step {} times as useful": number(self.gain[2]),
            "over": cosines,
        }
        return Caption(of, found)

    @property
    def _hidden(self) -> str:
        """Why no signal can be told."""
        if self.interval is not None and self.interval[1] < 0:
            return "on the whole each turns against the one before: the gradient oscillates, which hides the signal"
        return "the signal is not significantly different from 0"

    def to_frame(self) -> pd.DataFrame:
        """A row a step."""
        return indexed({schema.STEP: self.steps}, self.cosine)


def gradient_noise(run: Run) -> GradientNoise:
    """Signal and noise of the gradient as far as successive gradients tell; an estimate, with its interval."""
    steps, cosine, products, squares = _products(run)
    title, unit = scalar_title(schema.GRAD_COSINE), scalar_unit(schema.GRAD_COSINE)
    line = series(schema.GRAD_COSINE, title, unit, cosine, np.zeros(len(cosine), dtype=bool))
    known = np.isfinite(products) & np.isfinite(squares) & (squares > 0)
    count = int(known.sum())
    enough = count >= _FEWEST
    blocks, ratios = _blocks(steps[known], products[known], squares[known]) if enough else ((), np.zeros(0))
    mean = float(ratios.mean()) if enough else 0.0
    interval = _interval(ratios, len(blocks)) if enough else None
    signal = mean if interval is not None and interval[0] > 0 and mean < 1 else None
    scale = None if signal is None else (1 - signal) / signal
    finite = cosine[np.isfinite(cosine)]
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
        blocks,
        None if enough else _why(len(cosine), len(finite), count),
        float(finite.mean()) if len(finite) else None,
    )


def _products(run: Run) -> tuple[Ints, Floats, Floats, Floats]:
    """The steps that have a cosine, the cosines, the inner products with the gradient of the step before, and the mean
    square of the two norms, [S] each; NaN where a norm is not known."""
    names = [schema.STEP, schema.GRAD_COSINE, schema.GRAD_NORM, schema.GRAD_NORM_CLIPPED]
    frame = run.read(schema.TABLE_STEPS, columns=names)
    (cosine, absent), (before, _), (after, _) = (numbers(frame[name]) for name in names[1:])
    steps = frame[schema.STEP].to_numpy(dtype=np.int64)
    kind = kind_of(run.manifest.clip)
    turned = kind is not None and kind.keeps_direction is False
    norms = np.where(np.isfinite(after), after, before) if turned else np.where(np.isfinite(before), before, after)
    earlier = np.full(len(norms), np.nan)
    earlier[1:] = np.where(np.diff(steps) == 1, norms[:-1], np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        products, squares = cosine * norms * earlier, (norms**2 + earlier**2) / 2
    return steps[~absent], cosine[~absent], products[~absent], squares[~absent]


def _interval(ratios: Floats, blocks: int) -> Interval | None:
    """Of the mean of ``ratios``, 1 at most: a share cannot be more."""
    found = over_neighbours(ratios, blocks)
    return None if found is None else (found[0], min(found[1], 1.0))


def batch_of(config: Mapping[str, Any]) -> int | None:
    """The batch size that the configuration names."""
    found = [config[name] for name in _NAMES if isinstance(config.get(name), int)]
    return int(found[0]) if found and found[0] > 0 else None


def _blocks(steps: Ints, products: Floats, squares: Floats) -> tuple[tuple[NoiseBlock, ...], Floats]:
    """The signal block by block, and what each step says about the signal of all, [S]: their mean is the mean over
    steps of the blocks' signals, and they scatter around it as the products do about the signal of their own block."""
    parts = np.array_split(np.arange(len(products)), min(_BLOCKS, len(products) // _FEWEST))
    signals = np.concatenate([np.full(len(part), products[part].sum() / squares[part].sum()) for part in parts])
    sizes = np.concatenate([np.full(len(part), squares[part].mean()) for part in parts])
    blocks = tuple(
        NoiseBlock(int(steps[part[0]]), int(steps[part[-1]]), float(signals[part[0]]) if signals[part[0]] > 0 else None)
        for part in parts
    )
    return blocks, signals.mean() + (products - signals * squares) / sizes


def _why(count: int, finite: int, known: int) -> str:
    if not count:
        return (
            "Gradient noise cannot be measured from norms alone: it takes the cosine between successive gradients, "
            "which runs of schema 2 and later record."
        )
    if finite >= _FEWEST > known:
        return "Gradient noise needs the gradient norms of successive steps beside their cosine: they are not recorded."
    return (
        f"{plural(finite, 'finite cosine')} between successive gradients are too few to tell noise; {_FEWEST} would do."
    )
