"""Learn: why cross-entropy, on one sigmoid unit that is wrong and saturated."""

from functools import partial
from typing import Final

import streamlit as st

from graddiag.analysis import number
from graddiag.figures import lessons as figures
from graddiag.lessons import losses
from graddiag.lessons.values import equal, written
from graddiag.views.table import csv_of
from ui.charts import captioned
from ui.learn import Example, bench, examples, formula, lesson, prose, slider
from ui.text import table
from ui.theme import theme

COSTS: Final = (
    "p given to the right answer",
    "Cross\N{NON-BREAKING HYPHEN}entropy \N{MINUS SIGN}ln\N{NO-BREAK SPACE}p",
    "Squared error ½(1\N{NO-BREAK SPACE}-\N{NO-BREAK SPACE}p)²",
)
GIVEN: Final = (0.5, 0.1, 0.01, 0.0001)
EXAMPLES: Final = (
    Example("badly wrong", {"z": -10.0}),
    Example("undecided", {"z": 0.0}),
    Example("right", {"z": 5.0}),
)
ROUNDED: Final = (1.0, 20.0, 88.0, 89.0, 709.0, 710.0)


def body() -> None:
    prose(
        "A unit answers with $p = \\sigma(z)$ and the right answer is 1. Its loss is written $C$ here, and what goes "
        "into the sigmoid $z$; the first lesson writes $L$ and $a$. How much the unit learns from a mistake is the "
        "slope of $C$ in $z$:"
    )
    formula(r"C = -\ln p: \quad \frac{dC}{dz} = p - 1")
    formula(r"C = \tfrac12(1-p)^2: \quad \frac{dC}{dz} = (p-1)\,p\,(1-p)")
    prose(
        "The first is cross-entropy, the second the squared error. The factor "
        "$p\\,(1-p)$ is the slope of the sigmoid, and it is nearly 0 where the unit is saturated. Under squared error "
        "a unit that is confidently wrong therefore learns almost nothing from its worst mistakes; under cross-entropy "
        "the factor cancels, and the worst mistakes teach most."
    )
    examples(EXAMPLES)
    controls, pictures = bench()
    with controls:
        z = slider("z, what goes into the sigmoid", -12.0, 12.0, -6.0, key="z", step=0.1)
    found = losses.slopes(z)
    with pictures:
        captioned(figures.slopes(found, theme=theme()), found.chosen.caption, key="slopes", csv=partial(csv_of, found))
    st.subheader("Learning out of saturation")
    start = found.chosen
    prose(
        f"From {equal('z', f'{z:g}')} ({equal('p', number(start.p))}, the slider above) gradient descent moves $z$, "
        "once under either loss, with the same learning rate."
    )
    controls, pictures = bench()
    with controls:
        lr = slider("Learning rate", 0.1, 10.0, 1.0, key="lr", step=0.1)
        steps = slider("Steps", 10, 1000, 300, key="steps", step=10)
    escaped = losses.escape(z, lr, steps)
    with pictures:
        captioned(figures.escape(escaped, theme=theme()), escaped.caption, key="escape", csv=partial(csv_of, escaped))
    st.subheader("What a mistake costs")
    table(COSTS, costs())
    st.subheader("A sigmoid that breaks")
    prose(
        "Written as $e^z / (1 + e^z)$ the sigmoid overflows: in float32 it is NaN from $z = 89$, in float64 from "
        "710. The NaN then spreads through everything that is computed from it. The stable form, which libraries use, "
        "is 1."
    )
    table(("z", "float32, as written", "float64, as written", "stable"), broken())


def costs() -> list[tuple[tuple[str, str], ...]]:
    found = [losses.unit_loss(losses.logit(p)) for p in GIVEN]
    return [((f"{one.p:g}", ""), (f"{one.cross_entropy:.3f}", ""), (f"{one.squared_error:.4f}", "")) for one in found]


def broken() -> list[tuple[tuple[str, str], ...]]:
    rows = [(x, losses.squash(x, "float32"), losses.squash(x, "float64")) for x in ROUNDED]
    return [
        tuple((written(value), "") for value in (x, single.naive, double.naive, double.stable))
        for x, single, double in rows
    ]


lesson(
    "learn_saturation",
    body,
    shows="a classifier from a saturated start",
    settings={"kind": "preset", "preset": "saturation"},
)
