"""That a figure can be read: ticks, legends that name what is drawn, ranges that fit, colours that mean one thing."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from graddiag import analysis, figures, schema
from graddiag.figures.theme import PALETTES, Theme
from graddiag.run import Run
from tests.analysis.optimization.test_noise import run_of as noisy
from tests.analysis.runs import LAYER, gates_frame, manifest, snapshots_frame, steps_frame, timesteps_frame
from tests.analysis.snapped import PLAIN, snapped
from tests.figures.test_snapshots import EXPONENTS
from tests.figures.test_theme import EYES, lab
from tests.figures.test_values import clipped_run


def ratio_of(factor: float) -> analysis.HeatRatio:
    frames = [timesteps_frame({schema.GRAD_H: [[1.0, size]]}) for size in (1.0, factor)]
    runs = [Run.from_frames(manifest(arm, arm=arm), timesteps=frame) for arm, frame in zip("ab", frames, strict=True)]
    return analysis.heat_ratio(runs, schema.GRAD_H, LAYER)


@pytest.mark.parametrize(
    ("factor", "texts"),
    [
        (1.0, ("0.67", "0.82", "1", "1.2", "1.5")),
        (1.7, ("0.5", "0.71", "1", "1.4", "2")),
        (0.02, ("0.02", "0.14", "1", "7.1", "50")),
    ],
)
def test_the_scale_of_a_ratio_has_ticks_at_its_ends_and_between(factor: float, texts: tuple[str, ...]) -> None:
    axis = figures.heat_ratio(ratio_of(factor)).layout.coloraxis
    assert axis.colorbar.ticktext == texts
    assert (axis.colorbar.tickvals[0], axis.colorbar.tickvals[-1]) == (axis.cmin, axis.cmax)
    assert axis.cmin <= np.log10(factor) <= axis.cmax == -axis.cmin


def test_a_wide_scale_about_one_has_powers_of_ten() -> None:
    axis = figures.heat_ratio(ratio_of(3e4)).layout.coloraxis
    minus = "\N{MINUS SIGN}"
    ticks = tuple(f"10<sup>{power}</sup>" for power in (f"{minus}5", f"{minus}2", "2", "5"))
    assert axis.colorbar.ticktext == (*ticks[:2], "1", *ticks[2:])


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_diverging_colours_are_told_apart_and_are_not_those_of_arms(theme: Theme, eye: str) -> None:
    palette = PALETTES[theme]
    below, above = (palette.diverging[place][1] for place in (1, 3))
    assert np.linalg.norm(lab(below, eye) - lab(above, eye)) > 40
    if eye == "normal":
        arms = [lab(color, eye) for color in palette.arms[:2]]
        assert min(np.linalg.norm(lab(color, eye) - arm) for color in (below, above) for arm in arms) > 30


def weights_of(arm: str, clip: str, parameters: tuple[str, ...]) -> analysis.SpectrumHistory:
    rows = [
        {schema.STEP: step, schema.PARAMETER: name, schema.SPECTRAL_RADIUS: 0.9, schema.SPECTRAL_NORM: 1.1}
        for step in range(2)
        for name in parameters
    ]
    run = Run.from_frames(manifest(arm, arm=arm, clip=clip), parameters=pd.DataFrame(rows))
    return analysis.spectrum_history(run)


WEIGHTS = ("rnn.weight_hh_l0", "rnn.weight_hh_l1")


def test_the_weights_of_one_run_have_a_colour_and_a_name_each() -> None:
    figure = figures.spectrum_history(weights_of("clip off", "none", WEIGHTS))
    assert [trace.name for trace in figure.data if trace.showlegend] == list(WEIGHTS)
    assert len({trace.line.color for trace in figure.data}) == 2


def test_the_weights_of_several_runs_have_a_dash_each_and_the_colour_of_the_arm() -> None:
    figure = figures.spectrum_history(
        [weights_of("clip off", "none", WEIGHTS), weights_of("clip on", "norm:1", WEIGHTS)]
    )
    entries = {trace.name: trace.line for trace in figure.data if trace.showlegend is not False}
    assert list(entries) == ["clip off", "clip on", *WEIGHTS]
    lines = {(trace.line.color, trace.line.dash) for trace in figure.data if trace.x[0] is not None}
    colors, dashes = ({entries[name][look] for name in names} for look, names in LOOKS)
    assert lines == set(product(colors, dashes))
    assert len(lines) == 4


LOOKS = (("color", ("clip off", "clip on")), ("dash", WEIGHTS))


def test_a_cosine_without_a_signal_is_drawn_in_full_and_one_with_it_names_it() -> None:
    (alone,) = figures.noise(analysis.gradient_noise(noisy([-0.3] * 50))).data
    assert alone.opacity == 1
    faint, bold = figures.noise(analysis.gradient_noise(noisy([0.8] * 100))).data
    assert faint.opacity < 0.5
    assert (bold.name, bold.showlegend) == ("clip off: signal, by part", True)


def test_the_panels_of_a_spectrum_leave_room_for_the_title_between_them() -> None:
    figure = figures.spectrum(analysis.weight_spectra(snapped()[PLAIN], 0))
    assert figure.layout.xaxis2.domain[0] - figure.layout.xaxis.domain[1] == pytest.approx(0.2)


@pytest.mark.parametrize(("largest", "end"), [(0.0, 0.25), (0.2, 0.25), (0.3, 0.5), (0.7, 1.0)])
def test_all_gates_share_one_range_that_fits_their_saturation(largest: float, end: float) -> None:
    high = [[[0.1]], [[largest]]]
    gate = {
        name: {
            schema.MEAN: [[0.5]],
            schema.STD: [[0.0]],
            schema.SATURATED_LOW: [[0.0]],
            schema.SATURATED_HIGH: share,
        }
        for name, share in zip("if", high if largest else [[[0.0]]] * 2, strict=True)
    }
    layout = figures.gates(analysis.gate_history(Run.from_frames(manifest(), gates=gates_frame(gate)), LAYER)).layout
    for axis in (layout.yaxis2, layout.yaxis4):
        assert axis.range == pytest.approx((-1.05 * end, 1.05 * end))
        assert axis.tickvals == (-end, -end / 2, 0, end / 2, end)


def test_a_band_and_the_windows_of_exponents_are_named() -> None:
    names = [trace.name for trace in figures.lyapunov(EXPONENTS["plain"]).data if trace.showlegend is not False]
    assert names[1:] == ["smallest to largest sample", "windows of the sequence"]
    alone = [trace.name for trace in figures.lyapunov(EXPONENTS["one sample"]).data]
    assert "smallest to largest sample" not in alone


def test_the_rule_of_thumb_is_named_and_has_room_below_it() -> None:
    steps = steps_frame([1.0] * 2, **{schema.UPDATE_RATIO: [1e-2, 2e-2]})
    figure = figures.updates(analysis.updates(Run.from_frames(manifest(), steps=steps)))
    assert figure.data[-1].name == "rule of thumb 0.001"
    assert figure.layout.yaxis.range[0] < -3.05


def test_a_share_is_called_a_share() -> None:
    frame = timesteps_frame({schema.GRAD_W_HH: [[1.0, 3.0]], schema.GRAD_W_HH_COSINE: [[0.6, 0.8]]})
    found = analysis.weight_contributions(Run.from_frames(manifest(), timesteps=frame), LAYER)
    titles = (
        figures.weight_contributions(found).layout.yaxis.title.text,
        figures.effective_timesteps(found).layout.yaxis2.title.text,
    )
    assert titles == ("share", "share")


def test_the_dotted_median_is_called_dotted_and_a_legend_of_two_rows_has_room() -> None:
    many = Run.from_frames(manifest(clip="norm:2"), steps=steps_frame([1.0, 2.0, 3.0] * 50))
    found, reason = analysis.what_if(clipped_run()), analysis.recommended_thresholds(many)
    figure = figures.what_if(found, reason)
    assert figure.layout.annotations[1].text == "clip coefficient, mean, and median (dotted line)"
    assert figure.layout.yaxis3.title.text == "lr \N{MULTIPLICATION SIGN} coefficient"
    assert figure.layout.margin.t > figures.what_if(found).layout.margin.t
    assert figure.layout.legend.tracegroupgap < 5


@pytest.mark.parametrize(("largest", "end"), [(0.1, 0.2), (0.3, 0.5), (0.8, 1.0)])
def test_the_panels_of_units_share_a_range_that_fits_and_have_titles(largest: float, end: float) -> None:
    columns = {
        schema.gate_column(schema.SATURATED_LOW, gate): [[[0.0, share]]]
        for gate, share in (("f", largest), ("o", 0.05))
    }
    run = Run.from_frames(manifest(), snapshots=snapshots_frame(columns))
    figure = figures.gate_units(analysis.gate_units(run, LAYER))
    layout = figure.layout
    assert any(trace.name == "always saturated" for trace in figure.data) == (end == 1)
    assert bool(layout.shapes) == (end == 1)
    for axis in (layout.xaxis, layout.yaxis, layout.xaxis2, layout.yaxis2):
        assert axis.range == pytest.approx((-0.04 * end, 1.04 * end))
        assert "-saturated" in axis.title.text


def test_the_axes_of_heatmaps_end_at_the_edges_of_the_cells() -> None:
    cells = np.array([[1.0, 0.0, 2.0], [1.0, 3.0, 0.0]])
    run = Run.from_frames(manifest(), timesteps=timesteps_frame({schema.GRAD_H: cells}))
    heat = figures.heatmap(analysis.heat(run, schema.GRAD_H, LAYER)).layout
    ratio = figures.heat_ratio(ratio_of(2.0)).layout
    assert (heat.xaxis.range, heat.yaxis.range) == ((-0.5, 1.5), (-0.5, 2.5))
    assert (ratio.xaxis.range, ratio.yaxis.range) == ((-0.5, 0.5), (-0.5, 1.5))
