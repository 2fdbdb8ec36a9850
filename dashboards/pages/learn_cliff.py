"""Learn: the cliff in the error surface of a recurrent unit, and one descent over it with and without clipping."""

from functools import partial
from typing import Final

import streamlit as st

from graddiag.figures import lesson_maps as maps
from graddiag.figures import lessons as figures
from graddiag.lessons import cliff
from graddiag.views.table import csv_of
from ui.charts import captioned
from ui.learn import Example, bench, choice, examples, formula, lesson, prose, slider
from ui.theme import theme

SHOWN: Final[tuple[maps.Shown, ...]] = ("error", "gradient")
EXAMPLES: Final = (
    Example("over the edge", {"w": 4.6, "b": -2.0, "lr": 0.5, "c": 0.1, "steps": 30}),
    Example("far away", {"w": 5.0, "b": -2.5, "lr": 1.0, "c": 0.1, "steps": 30}),
    Example("a small learning rate", {"w": 4.6, "b": -2.0, "lr": 0.05, "c": 0.1, "steps": 30}),
    Example("no cliff near", {"w": 3.5, "b": -1.2, "lr": 0.5, "c": 0.1, "steps": 30}),
)
SAMPLED: Final = (
    f"The colours are those of {cliff.GRID} x {cliff.GRID} points; between them, on the wall, the norm is far larger."
)


def body() -> None:
    prose(
        "One recurrent unit, no input, 50 timesteps; two numbers to learn, the weight $w$ and the bias $b$. The unit "
        "starts at $x_0 = 0.5$, and its output $\\sigma(x_{50})$ is to be 0.7:"
    )
    formula(r"x_t = w\,\sigma(x_{t-1}) + b")
    formula(r"E = \big(\sigma(x_{50}) - 0.7\big)^2")
    prose(
        "The letters are those of Pascanu, Mikolov and Bengio (2013), whose figure 6 is this surface: $x_t$ is what "
        "the first lesson calls $a_t$, and the error $E$ is the loss $L$."
    )
    prose(
        "For $w > 4$ such a unit can have two states it stays in, one high and one low. Which of the two it falls "
        "into changes along a line in the plane of $w$ and $b$, and there the error has a wall: at $w = 4.6$ the "
        "gradient on it is thousands of times the median beside it. A step of gradient descent that starts on the "
        "wall is thrown far away from it, and what was learned is lost. Clipping the norm keeps the direction and "
        "takes a step of ordinary length."
    )
    examples(EXAMPLES)
    controls, pictures = bench()
    with controls:
        w = slider("Start: w", 3.0, 7.0, 4.6, key="w", step=0.05)
        b = slider("Start: b", -4.0, -1.0, -2.0, key="b", step=0.05)
        lr = slider("Learning rate", 0.05, 2.0, 0.5, key="lr", step=0.05)
        threshold = slider("Threshold of the norm", 0.02, 1.0, 0.1, key="c", step=0.02)
        steps = slider("Steps", 1, 60, 30, key="steps", step=1)
        shown: maps.Shown = choice("Colour: the error, or its gradient's norm", SHOWN, "error", key="colour")
    descents = [cliff.descend((w, b), lr, clip, steps) for clip in ("none", f"norm:{threshold:g}")]
    with pictures:
        captioned(
            maps.cliff(cliff.surface(*cliff.view(descents)), descents, shown=shown, theme=theme()),
            *(descent.caption for descent in descents),
            *([SAMPLED] if shown == "gradient" else []),
            key="surface",
            csv=partial(csv_of, descents),
        )
    st.subheader("The wall from the side")
    found = cliff.section(w)
    captioned(figures.section(found, theme=theme()), found.caption, key="section", csv=partial(csv_of, found))


lesson(
    "learn_cliff",
    body,
    shows="descents from the cliff, and a training that explodes",
    settings={"kind": "preset", "preset": "explode-vanish"},
)
