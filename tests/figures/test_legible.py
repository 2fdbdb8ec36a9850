"""That a figure can be read: ticks, legends that name what is drawn, ranges that fit, colours that mean one thing."""

import numpy as np
import pytest

from graddiag import analysis, figures, schema
from graddiag.figures.theme import PALETTES, Theme
from graddiag.run import Run
from tests.analysis.runs import LAYER, manifest, timesteps_frame
from tests.figures.test_theme import EYES, lab


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
