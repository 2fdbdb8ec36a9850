"""Figures of snapshots, credit and spectra: every one of every awkward run renders, stays small, and says why not."""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from graddiag import analysis, figures
from graddiag.analysis import Lyapunov, Source
from graddiag.figures.theme import PALETTES, Theme
from graddiag.run import Run
from tests.analysis.runs import INF, LAYER, NAN, manifest
from tests.analysis.snapped import EMPTY, PLAIN, lyapunov_frame, snapped

FIGURES: dict[str, Callable[..., go.Figure]] = {
    "credit": lambda run, **how: figures.credit(analysis.credit_matrix(run, 0, LAYER), **how),
    "units": lambda run, **how: figures.unit_heat(analysis.unit_heat(run, 0, LAYER), **how),
    "units of f": lambda run, **how: figures.unit_heat(analysis.unit_heat(run, 0, LAYER, "activation_f"), **how),
    "units of g": lambda run, **how: figures.unit_heat(analysis.unit_heat(run, 0, LAYER, "activation_g"), **how),
    "shares": lambda run, **how: figures.unit_heat(analysis.unit_heat(run, 0, LAYER, "saturated_low_f"), **how),
    "spectrum": lambda run, **how: figures.spectrum(analysis.weight_spectra(run, 0), **how),
    "history": lambda run, **how: figures.spectrum_history(analysis.spectrum_history(run), **how),
    "exponents": lambda run, **how: figures.lyapunov_history(analysis.lyapunov_history(run, LAYER), **how),
}


def exponents(values: list[list[float]] | np.ndarray, missing: str | None = None) -> Lyapunov:
    """Of samples [N, k], with two windows that are as the whole."""
    by_sample = np.array(values)
    mean = by_sample.mean(0) if len(by_sample) else np.full(by_sample.shape[1], NAN)
    state, steps, transient = by_sample.shape[1], 10, 1
    return Lyapunov(Source("<b>x</b>"), LAYER, mean, by_sample, np.array([mean] * 2), state, steps, transient, missing)


EXPONENTS = {
    "plain": exponents([[-0.1, -0.2], [0.1, -0.4]]),
    "one sample": exponents([[-0.1, -0.2]]),
    "minus infinity": exponents([[-0.1, -INF], [-0.2, -INF]]),
    "NaN": exponents([[NAN, NAN]]),
    "one": exponents([[0.5]]),
}


@pytest.mark.parametrize("case", snapped())
@pytest.mark.parametrize("name", FIGURES)
def test_it_renders(name: str, case: str) -> None:
    for theme in ("light", "dark"):
        figure = FIGURES[name](snapped()[case], theme=theme)
        json.loads(figure.to_json())
        assert figure.layout.title.text
        assert "<img" not in figure.to_json().replace("\\u003c", "<")


@pytest.mark.parametrize("case", [EMPTY, "no snapshots"])
@pytest.mark.parametrize("name", FIGURES)
def test_without_snapshots_it_says_what_to_do(name: str, case: str) -> None:
    figure = FIGURES[name](snapped()[case], title=False)
    assert (len(figure.data), figure.layout.title.text) == (0, None)
    told = figure.layout.annotations[0].text.replace("<br>", " ")
    assert ("watch(..., snapshot_every=100)" in told) == (name != "history")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_no_value_is_told_apart(theme: Theme) -> None:
    def named(figure: go.Figure) -> dict[str, str]:
        return {trace.name: trace.marker.color for trace in figure.data if trace.type == "scatter"}

    palette = PALETTES[theme]
    assert named(FIGURES["credit"](snapped()[PLAIN], theme=theme)) == {"after the loss timestep": palette.outside}
    zeros = {"exactly zero": palette.zero, "after the loss timestep": palette.outside}
    assert named(FIGURES["credit"](snapped()["all zero"], theme=theme)) == zeros
    assert named(FIGURES["units"](snapped()["all NaN"], theme=theme)) == {"NaN": palette.nan}
    assert named(FIGURES["units of f"](snapped()["all zero"], theme=theme)) == {}


def test_numbers_are_those_of_the_result() -> None:
    run = snapped()[PLAIN]
    heat = FIGURES["credit"](run).data[0]
    np.testing.assert_allclose(np.asarray(heat.z)[5], np.log10(0.5) * np.arange(5, -1, -1), rtol=1e-6)
    assert np.asarray(heat.z).dtype == np.float32
    assert FIGURES["units of f"](run).layout.coloraxis.cmin == 0
    assert FIGURES["units of g"](run).layout.coloraxis.cmin == -1
    spectrum = FIGURES["spectrum"](run)
    dots = next(trace for trace in spectrum.data if trace.mode == "markers")
    np.testing.assert_allclose(dots.x, [0.9, 0.9], rtol=1e-6)
    assert next(trace.name for trace in spectrum.data) == "unit circle"


def test_a_large_matrix_is_thinned_with_the_last_row_and_column() -> None:
    large = np.tril(np.ones((900, 900)))
    values = analysis.flow.credit.credit_values(
        Source("x"), LAYER, None, np.arange(900), np.where(large > 0, large, NAN)
    )
    heat = figures.credit(values).data[0]
    assert np.asarray(heat.z).size <= 60_000
    assert (heat.x[-1], heat.y[-1]) == (899, 899)


@pytest.mark.parametrize("case", EXPONENTS)
def test_exponents_render(case: str) -> None:
    for figure in (figures.lyapunov(EXPONENTS[case], theme="dark"), figures.spectrum((), [EXPONENTS[case]])):
        json.loads(figure.to_json())
        assert all(len(trace.x) <= 2000 for trace in figure.data)
    assert EXPONENTS[case].caption.endswith(".")


def test_exponents_that_are_missing_say_why() -> None:
    none = exponents(np.zeros((0, 2)), "No sequence is longer than 9 timesteps.")
    (note,) = figures.lyapunov(none).layout.annotations
    assert "longer than 9 timesteps" in note.text.replace("<br>", " ")
    (note,) = figures.lyapunov([]).layout.annotations
    assert "There is no exponent" in note.text


def test_the_band_is_from_the_smallest_to_the_largest_sample() -> None:
    band = next(trace for trace in figures.lyapunov(EXPONENTS["plain"]).data if trace.fill == "toself")
    np.testing.assert_allclose(band.y, [0.1, -0.2, -0.4, -0.1], rtol=1e-6)
    assert not any(trace.fill == "toself" for trace in figures.lyapunov(EXPONENTS["one sample"]).data)
    assert "1 of them are -inf" in EXPONENTS["minus infinity"].caption


def test_a_line_a_run_over_training() -> None:
    run: Run = snapped()[PLAIN]
    figure = figures.spectrum_history([analysis.spectrum_history(run)] * 2)
    lines = [trace for trace in figure.data if trace.type == "scatter"]
    np.testing.assert_allclose(lines[0].y, [1.1, 1.2], rtol=1e-6)
    np.testing.assert_allclose(lines[1].y, [0.8, 0.9], rtol=1e-6)


def test_exponents_over_training_are_a_line_with_a_band_and_thin_ones_beside_the_line_at_zero() -> None:
    frames = [lyapunov_frame(np.array([[-0.1, -0.2], [0.3, -0.4]]) + step, step) for step in (0, 1)]
    run = Run.from_frames(manifest(), lyapunov=pd.concat([*frames, lyapunov_frame(np.full((2, 2), NAN), 2)]))
    figure = figures.lyapunov_history(analysis.lyapunov_history(run, LAYER))
    band, thin, line, odd, *entries = figure.data
    np.testing.assert_allclose(band.y, [0.3, 1.3, 0.9, -0.1], rtol=1e-6)
    np.testing.assert_allclose(line.y, [0.1, 1.1, NAN], rtol=1e-6)
    np.testing.assert_allclose(thin.y, [-0.3, 0.7, NAN], rtol=1e-6)
    assert [trace.showlegend for trace in (band, thin, line)] == [False, False, True]
    assert (odd.name, list(odd.x)) == ("NaN", [2])
    assert [entry.name for entry in entries] == ["smallest to largest sample", "further exponents"]
    assert figure.layout.yaxis.title.text == "exponent, 1/timestep"
    assert figure.layout.shapes[0].y0 == 0
    alone = Run.from_frames(manifest(), lyapunov=lyapunov_frame(np.array([[-0.1, -0.2]])))
    assert not any(t.fill == "toself" for t in figures.lyapunov_history(analysis.lyapunov_history(alone, LAYER)).data)
    assert "There is no run to draw" in figures.lyapunov_history([]).layout.annotations[0].text
