"""The loss after an update with and without clipping at the steps that were looked at, and the cliff of one of them."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag import schema
from graddiag.analysis import Counterfactuals, LookedStep, number
from graddiag.analysis.values import Floats, Series, series
from graddiag.figures.frame import PANEL, dressed, log_axis, nothing, panels
from graddiag.figures.lines import Place, add_oddities, as_float32, positive
from graddiag.figures.theme import PALETTES, Style, Theme, arm_styles, labels, safe

_NAME: Final = "Whether clipping saved a step"
_HEADS: Final = (
    "loss on the same batch after the update: with clipping (line), without (crosses)",
    "by clip threshold; the last point is without clipping, the dotted line the loss before",
)
_SYMBOLS: Final = {"with clipping": "circle", "without": "x-thin-open"}


def counterfactual(
    results: Counterfactuals | Sequence[Counterfactuals],
    step: int | None = None,
    *,
    theme: Theme = "light",
    title: bool = True,
) -> go.Figure:
    """Above, by step, the loss on the same batch after the update, with the judged threshold and without clipping.
    Below, by threshold, that of one step: the one nearest to ``step``, or where clipping made the largest difference.

    A loss axis is a log one where every loss is above 0. NaN and inf are marked at the top.
    """
    results = (results,) if isinstance(results, Counterfactuals) else tuple(results)
    drawn = [each for each in results if each.missing is None and each.steps]
    if not drawn:
        why = next((each.missing for each in results if each.missing), "There is no run to draw.")
        return nothing(why, theme, title=_NAME if title else None)
    figure = panels(2, 1, _HEADS, vertical_spacing=0.22)
    styles, log = arm_styles([each.source for each in drawn], theme), _is_positive(drawn)
    names = labels([each.source for each in drawn])
    for each, style, name in zip(drawn, styles, names, strict=True):
        _add_by_step(figure, each, style, safe(name), log=log)
        _add_cliff(figure, each, _chosen(each, step), style, safe(name), theme, log=log)
    lines = [(_steps(each), _series(each, of)) for each in drawn for of in (_clipped, _free)]
    add_oddities(figure, lines, theme, log=log, place=Place(1))
    _dress_axes(figure, drawn, log=log)
    return dressed(figure, theme, title=_NAME if title else None, body=2 * PANEL, heads=True)


def _add_by_step(figure: go.Figure, each: Counterfactuals, style: Style, name: str, *, log: bool) -> None:
    for of, mode, words in ((_clipped, "lines+markers", "with clipping"), (_free, "markers", "without")):
        values = _series(each, of).values
        figure.add_trace(
            go.Scatter(
                x=_steps(each),
                y=as_float32(positive(values) if log else values),
                mode=mode,
                name=name,
                legendgroup=name,
                showlegend=of is _clipped,
                line={"color": style.color, "dash": style.dash, "width": 1.4},
                marker={"color": style.color, "size": 5 if of is _clipped else 7, "symbol": _SYMBOLS[words]},
                hovertemplate=f"step %{{x}}, {words}: %{{y:.4g}}<extra>{name}</extra>",
            ),
            row=1,
            col=1,
        )


def _add_cliff(
    figure: go.Figure, each: Counterfactuals, looked: LookedStep, style: Style, name: str, theme: Theme, *, log: bool
) -> None:  # fmt: skip
    x = np.where(np.isfinite(looked.thresholds), looked.thresholds, looked.norm)
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
            hovertemplate=f"threshold %{{x:.4g}}: %{{y:.4g}}<extra>{name}, step {looked.step}</extra>",
        ),
        row=2,
        col=1,
    )
    add_oddities(figure, [(x, losses)], theme, log=log, place=Place(2))
    palette = PALETTES[theme]
    if np.isfinite(looked.loss_before) and (looked.loss_before > 0 or not log):
        figure.add_hline(y=looked.loss_before, line={"color": style.color, "dash": "dot", "width": 1}, row=2, col=1)
    if each.threshold is not None and each.threshold in looked.thresholds:
        line = {"color": palette.threshold, "dash": "dot", "width": 1.2}
        figure.add_vline(x=each.threshold, line=line, row=2, col=1)
        marker = {"symbol": "line-ns-open", "color": palette.threshold}
        words = f"set: {number(each.threshold)}"
        if not any(trace.name == words for trace in figure.data):
            figure.add_trace(
                go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=words, hoverinfo="skip")
            )


def _dress_axes(figure: go.Figure, drawn: Sequence[Counterfactuals], *, log: bool) -> None:
    losses = np.concatenate([_all_losses(each) for each in drawn])
    shown = losses[np.isfinite(losses)]
    figure.update_yaxes(title_text="loss", **(log_axis(shown) if log else {}))
    figure.update_xaxes(title_text="step", row=1, col=1)
    at = np.concatenate([np.append(looked.thresholds, looked.norm) for each in drawn for looked in each.steps])
    at = at[np.isfinite(at) & (at > 0)]
    figure.update_xaxes(title_text="threshold C of norm:C, L2 over all parameters", row=2, col=1, **log_axis(at))


def _chosen(each: Counterfactuals, step: int | None) -> LookedStep:
    if step is None:
        assert each.cliff is not None
        return each.cliff
    return min(each.steps, key=lambda looked: abs(looked.step - step))


def _is_positive(drawn: Sequence[Counterfactuals]) -> bool:
    losses = np.concatenate([_all_losses(each) for each in drawn])
    finite = losses[np.isfinite(losses)]
    return bool(len(finite)) and bool((finite > 0).all())


def _all_losses(each: Counterfactuals) -> Floats:
    return np.concatenate([np.append(looked.losses, looked.loss_before) for looked in each.steps])


def _steps(each: Counterfactuals) -> np.ndarray:
    return np.array([looked.step for looked in each.steps], dtype=np.int64)


def _series(each: Counterfactuals, of: Callable[[LookedStep], float]) -> Series:
    values = np.array([of(looked) for looked in each.steps], dtype=np.float64)
    absent = np.array([looked.judged is None and of is _clipped for looked in each.steps], dtype=bool)
    return series(schema.LOSS_AFTER, "loss after", "loss", values, absent)


def _clipped(looked: LookedStep) -> float:
    return looked.with_clipping


def _free(looked: LookedStep) -> float:
    return looked.free
