"""Colours that must be told apart, by normal and by colour-blind eyes: arms, and zero, missing, NaN and inf."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from plotly.colors import sample_colorscale

from graddiag.analysis import Source
from graddiag.figures.frame import log_axis
from graddiag.figures.theme import FONT_SIZE, PALETTES, Theme, arm_styles, labels

# linear RGB as seen with one kind of cones missing, Machado, Oliveira & Fernandes (2009), severity 1
EYES = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
GROUND: dict[Theme, str] = {"light": "#ffffff", "dark": "#121417"}


POLICIES = ("none", "norm:1", "value:1", "bptt:1", "auto:10", "zclip", "agc:0.1")


def linear(color: str) -> np.ndarray:
    shares = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def lab(color: str, eye: str) -> np.ndarray:
    """CIE L*a*b*, in which a distance of 2 can just be seen."""
    seen = np.clip(np.asarray(EYES[eye]) @ linear(color), 0, 1)
    x, y, z = np.cbrt(XYZ @ seen / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_zero_missing_nan_and_inf_are_told_apart_by_all_eyes(theme: Theme, eye: str) -> None:
    palette = PALETTES[theme]
    looks = [lab(color, eye) for color in (palette.zero, palette.missing, palette.nan, palette.inf)]
    assert min(np.linalg.norm(a - b) for a, b in combinations(looks, 2)) > 20


def nearest(colors: Sequence[str], eye: str) -> float:
    """The distance of the two that are most alike."""
    looks = [lab(color, eye) for color in colors]
    return float(min(np.linalg.norm(a - b) for a, b in combinations(looks, 2)))


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_arms_are_told_apart_by_all_eyes(theme: Theme, eye: str) -> None:
    """Distances (CIE 1976) as seen with Machado, Oliveira & Fernandes (2009), severity 1. The least that was measured:
    82 of the two arms of a pair and 10.6 of five arms (both dark), 6.9 of all seven, which have dashes besides."""
    arms = PALETTES[theme].arms
    assert nearest(arms[:2], eye) > 80
    assert nearest(arms[:5], eye) > 10
    assert nearest(arms, eye) > 6


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_arms_stand_out_from_the_ground_for_all_eyes(theme: Theme, eye: str) -> None:
    """The least that was measured is 37.6: light, deuteranopia."""
    ground = lab(GROUND[theme], eye)
    assert min(np.linalg.norm(lab(color, eye) - ground) for color in PALETTES[theme].arms) > 35


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_policy_has_a_colour_and_a_dash_of_its_own(theme: Theme) -> None:
    styles = arm_styles([Source(clip, clip=clip) for clip in POLICIES], theme)
    assert len({style.color for style in styles}) == len({style.dash for style in styles}) == len(POLICIES)


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_scale_of_heatmaps_only_ever_gets_lighter(theme: Theme, eye: str) -> None:
    shades = sample_colorscale(PALETTES[theme].scale, np.linspace(0, 1, 65), colortype="tuple")
    lightness = [lab("#" + bytes(round(255 * part) for part in shade).hex(), eye)[0] for shade in shades]
    assert min(np.diff(lightness)) > 0.2
    assert lightness[-1] - lightness[0] > 70


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_marks_stand_out_from_the_ground(theme: Theme) -> None:
    def luminance(color: str) -> float:
        return float(XYZ[1] @ linear(color)) + 0.05

    ground = luminance(GROUND[theme])
    for color in (PALETTES[theme].nan, PALETTES[theme].inf):
        assert max(luminance(color), ground) / min(luminance(color), ground) > 3


def test_powers_of_ten_are_no_larger_than_other_ticks() -> None:
    """plotly draws them a quarter larger than the tick font that it is given."""
    assert 1.25 * log_axis([1e-4, 1.0])["tickfont"]["size"] == pytest.approx(FONT_SIZE - 1, abs=0.5)
    assert "tickfont" not in log_axis([1.0, 5.0])


def test_a_label_names_the_experiment_where_names_are_alike() -> None:
    several = [Source("a", experiment, "clip off", 0) for experiment in ("text", "order")]
    assert labels(several) == ["clip off, seed 0 (text/a)", "clip off, seed 0 (order/a)"]
    assert labels([Source("a", "text", "off", 0), Source("b", "text", "off", 0)]) == [
        "off, seed 0 (a)",
        "off, seed 0 (b)",
    ]
    assert labels([Source("a", "text", "off", 0), Source("a", "order", "on", 0)]) == ["off, seed 0", "on, seed 0"]
