"""The loss after an update with and without clipping where thresholds were tried, and the cliff of one step."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag import schema
from graddiag.analysis import Counterfactuals, SweepStep, number
from graddiag.analysis.values import Floats, Series, series
from graddiag.figures.frame import PANEL, apply_layout, empty_figure, index_axis, log_axis, panels, set_xaxes, set_yaxes
from graddiag.figures.lines import PanelPosition, add_entry, add_nonfinite_markers, as_float32, positive
from graddiag.figures.theme import PALETTES, Style, Theme, arm_styles, labels, safe

COUNTERFACTUAL_TITLE: Final = "Whether clipping saved a step"
_HEAD: Final = "loss with clipping \N{MINUS SIGN} without; below 0 it helped"
_WITH, _WITHOUT, _BEFORE = "with clipping", "without clipping", "before the update"
_SYMBOLS: Final = {_WITH: "circle", _WITHOUT: "x-thin-open"}
_BEYOND: Final = 1.6  # times the largest threshold: there stands what is without any


def counterfactual(
    results: Counterfactuals | Sequence[Counterfactuals],
    step: int | None = None,
    *,
    theme: Theme = "light",
    title: bool = True,
) -> go.Figure:
    """Above, by step, the loss on the same batch after the update with the judged threshold less that without clipping:
    below 0 clipping helped.
    Below, by threshold, that of one step, which its head names: the one nearest to ``step``, or where clipping made the
    largest difference, of the steps that all runs have where there are any. Its last point, a cross, is without
    clipping: it is at the norm, or beyond the largest threshold where that is larger.

    The loss axis is a log one where every loss is above 0. NaN and inf are marked at the top.
    """
    results = (results,) if isinstance(results, Counterfactuals) else tuple(results)
    drawn = [each for each in results if each.missing is None and each.steps]
    if not drawn:
        why = next((each.missing for each in results if each.missing), "There is no run to draw.")
        return empty_figure(why, theme, title=COUNTERFACTUAL_TITLE if title else None)
    chosen = _chosen(drawn, step)
    figure = panels(2, 1, (_HEAD, _cliffs(drawn, chosen, step)), vertical_spacing=0.22)
    styles, log = arm_styles([each.source for each in drawn], theme), _is_positive(drawn)
    names = labels([each.source for each in drawn])
    for each, looked, style, name in zip(drawn, chosen, styles, names, strict=True):
        _add_by_step(figure, each, style, safe(name))
        _add_cliff(figure, each, looked, style, safe(name), theme, log=log)
    _add_key(figure, theme)
    lines = [(_steps(each), _gaps(each, theirs)) for each in drawn for theirs in (_clipped, _free)]
    whose = [f"{safe(name)}, {words}" for name in names for words in (_WITH, _WITHOUT)]
    add_nonfinite_markers(figure, lines, theme, log=False, place=PanelPosition(1), names=whose)
    figure.add_hline(y=0, line={"color": PALETTES[theme].muted, "width": 1, "dash": "dot"}, row=1, col=1)
    _set_axes(figure, drawn, chosen, log=log)
    return apply_layout(figure, theme, title=COUNTERFACTUAL_TITLE if title else None, body=2 * PANEL, heads=True)


def _add_by_step(figure: go.Figure, each: Counterfactuals, style: Style, name: str) -> None:
    figure.add_trace(
        go.Scatter(
            x=_steps(each),
            y=as_float32(_gaps(each, None).values),
            mode="lines+markers",
            name=name,
            legendgroup=name,
            line={"color": style.color, "dash": style.dash, "width": 1.4},
            marker={"color": style.color, "size": 6},
            text=[f"{number(of.with_clipping)} with, {number(of.free)} without clipping" for of in each.steps],
            hovertemplate=f"step %{{x}}: %{{y:.4g}}<br>%{{text}}<extra>{name}</extra>",
        ),
        row=1,
        col=1,
    )


def _add_cliff(
    figure: go.Figure, each: Counterfactuals, looked: SweepStep, style: Style, name: str, theme: Theme, *, log: bool
) -> None:  # fmt: skip
    x = _places(looked)
    losses = series(schema.LOSS_AFTER, "loss after", "loss", looked.losses, np.zeros(len(x), dtype=bool))
    known = np.isfinite(x) & (x > 0)
    figure.add_trace(
        go.Scatter(
            x=x[known],
            y=as_float32((positive(losses.values) if log else losses.values)[known]),
            mode="lines+markers",
            name=f"{name}, step {looked.step}",
            legendgroup=name,
            showlegend=False,
            line={"color": style.color, "dash": style.dash, "width": 1.6},
            marker={
                "symbol": [_SYMBOLS[_WITH if limit else _WITHOUT] for limit in np.isfinite(looked.thresholds[known])],
                "size": 7,
                "color": style.color,
                "line": {"width": 2, "color": style.color},
            },
            text=[f"threshold {number(c)}" if np.isfinite(c) else _WITHOUT for c in looked.thresholds[known]],
            hovertemplate=f"%{{text}}: %{{y:.4g}}<extra>{name}, step {looked.step}</extra>",
        ),
        row=2,
        col=1,
    )
    add_nonfinite_markers(
        figure, [(x, losses)], theme, log=log, place=PanelPosition(2), names=[f"{name}, step {looked.step}"]
    )
    palette = PALETTES[theme]
    if np.isfinite(looked.loss_before) and (looked.loss_before > 0 or not log):
        figure.add_hline(y=looked.loss_before, line={"color": style.color, "dash": "dot", "width": 1}, row=2, col=1)
    if each.threshold is not None and each.threshold in looked.thresholds:
        line = {"color": palette.threshold, "dash": "dot", "width": 1.2}
        figure.add_vline(x=each.threshold, line=line, row=2, col=1)
        words = f"set: C = {number(each.threshold)}"
        if not any(trace.name == words for trace in figure.data):
            add_entry(figure, words, line=line)


def _places(looked: SweepStep) -> Floats:
    """Where each threshold stands; where none acts: at the norm, or beyond the largest threshold, whichever is more."""
    finite = looked.thresholds[np.isfinite(looked.thresholds)]
    norm = looked.norm if np.isfinite(looked.norm) else 0.0
    beyond = max(norm, _BEYOND * float(finite.max())) if len(finite) else norm or np.nan
    return np.where(np.isfinite(looked.thresholds), looked.thresholds, beyond)


def _add_key(figure: go.Figure, theme: Theme) -> None:
    color = PALETTES[theme].muted
    for words in (_WITH, _WITHOUT):
        marker = {"symbol": _SYMBOLS[words], "size": 7, "color": color, "line": {"width": 2, "color": color}}
        add_entry(figure, words, marker=marker)
    add_entry(figure, _BEFORE, line={"color": color, "dash": "dot", "width": 1})


def _set_axes(
    figure: go.Figure, drawn: Sequence[Counterfactuals], chosen: Sequence[SweepStep], *, log: bool
) -> None:  # fmt: skip
    losses = np.concatenate([_all_losses(each) for each in drawn])
    shown = losses[np.isfinite(losses)]
    set_yaxes(figure, title_text="difference of loss", row=1, col=1)
    set_yaxes(figure, title_text="loss, as logged", row=2, col=1, **(log_axis(shown) if log else {}))
    index_axis(figure, "step", row=1, col=1)
    at = np.concatenate([_places(looked) for looked in chosen])
    at = at[np.isfinite(at) & (at > 0)]
    set_xaxes(figure, title_text="threshold C, L2 over all parameters", row=2, col=1, **log_axis(at))


def _chosen(drawn: Sequence[Counterfactuals], step: int | None) -> list[SweepStep]:
    """The step of each run whose cliff is drawn: one and the same where all of them looked at one."""
    if step is None:
        shared = set.intersection(*({looked.step for looked in each.steps} for each in drawn))
        cliffs = [replace(each, steps=tuple(s for s in each.steps if s.step in shared)).cliff for each in drawn]
        known = [cliff for cliff in cliffs if cliff is not None]
        if len(known) < len(drawn):
            return [cliff for each in drawn if (cliff := each.cliff) is not None]
        step = max(known, key=lambda looked: looked.gap).step
    return [min(each.steps, key=lambda looked: abs(looked.step - step)) for each in drawn]


def _cliffs(drawn: Sequence[Counterfactuals], chosen: Sequence[SweepStep], asked: int | None) -> str:
    if len({looked.step for looked in chosen}) == 1:
        nearest = "" if asked in (None, chosen[0].step) else f", the nearest tried to {asked:,}"
        return f"loss by clip threshold, at step {chosen[0].step:,}{nearest}"
    told = (f"{each.source.arm_label} {looked.step:,}" for each, looked in zip(drawn, chosen, strict=True))
    return f"loss by clip threshold; steps: {', '.join(told)}"


def _is_positive(drawn: Sequence[Counterfactuals]) -> bool:
    losses = np.concatenate([_all_losses(each) for each in drawn])
    finite = losses[np.isfinite(losses)]
    return bool(len(finite)) and bool((finite > 0).all())


def _all_losses(each: Counterfactuals) -> Floats:
    return np.concatenate([np.append(looked.losses, looked.loss_before) for looked in each.steps])


def _steps(each: Counterfactuals) -> np.ndarray:
    return np.array([looked.step for looked in each.steps], dtype=np.int64)


def _gaps(each: Counterfactuals, shown: Callable[[SweepStep], float] | None) -> Series:
    """The loss with clipping less that without; where ``shown``, one of the two, is NaN or inf, that instead."""
    values = np.array([_clipped(looked) - _free(looked) for looked in each.steps], dtype=np.float64)
    if shown is not None:
        own = np.array([shown(looked) for looked in each.steps], dtype=np.float64)
        values = np.where(np.isfinite(own), np.where(np.isfinite(values), values, 0.0), own)
    else:
        values = np.where(np.isfinite(values), values, np.nan)
    absent = np.array([looked.judged is None for looked in each.steps], dtype=bool)
    return series(schema.LOSS_AFTER, "loss with clipping less without", "loss", values, absent)


def _clipped(looked: SweepStep) -> float:
    return looked.with_clipping


def _free(looked: SweepStep) -> float:
    return looked.free
