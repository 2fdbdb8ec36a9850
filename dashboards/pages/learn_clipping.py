"""Learn: what each clip policy does to a gradient of two entries."""

from functools import partial
from typing import Final

import streamlit as st

from graddiag.figures import lesson_maps as figures
from graddiag.lessons import clipping
from graddiag.views.table import csv_of
from ui.charts import captioned
from ui.learn import Example, bench, choice, examples, lesson, prose, slider
from ui.text import muted
from ui.theme import theme

ROW: Final = 3
NAN, INF = float("nan"), float("inf")
FIRST: Final = {"the slider's": None, "inf": INF, "NaN": NAN}
EXAMPLES: Final = (
    Example("one large entry", {"g1": 3.0, "g2": 0.1, "c": 1.0, "first": "the slider's"}),
    Example("small enough", {"g1": 0.5, "g2": 0.4, "c": 1.0, "first": "the slider's"}),
    Example("one inf", {"g1": 3.0, "g2": 2.0, "c": 1.0, "first": "inf"}),
    Example("one NaN", {"g1": 3.0, "g2": 2.0, "c": 1.0, "first": "NaN"}),
)
ARROWS: Final = "Thin: the gradient before clipping. Thick: after. Dashed: the region that a fixed threshold allows."


def body() -> None:
    prose(
        "Clipping shortens a gradient before the update. The policies differ in what they compare with the threshold, "
        "and so in their effect on the *direction*. By the global norm, every entry is multiplied by the same "
        "coefficient $\\min(1, c / (\\lVert g\\rVert + 10^{-6}))$ and the direction stays. Entry by entry, large "
        "entries are cut and small ones are not, so the step turns towards the small ones. AGC compares the gradient "
        "of each row (the weights into one unit) with the weights of that row, and shortens it to at most a factor "
        "times their norm; here each entry is a separate row, with weights of norm 4 and 1. AutoClip and ZClip "
        "follow the norms of the training so far: here 30 steps with norms of 1 to 1.2."
    )
    examples(EXAMPLES)
    controls, pictures = bench()
    with controls:
        g1 = slider("First entry of the gradient", -5.0, 5.0, 3.0, key="g1", step=0.1)
        first = choice("The first entry is", list(FIRST), "the slider's", key="first")
        g2 = slider("Second entry", -5.0, 5.0, 2.0, key="g2", step=0.1)
        threshold = slider("Threshold c of norm and value", 0.1, 5.0, 1.0, key="c", step=0.1)
        factor = slider("Factor of AGC", 0.05, 1.0, 0.25, key="agc", step=0.05)
    special = FIRST[first]
    entry = g1 if special is None else special
    found = clipping.clip_each((entry, g2), threshold, factor)
    extent = 1.15 * max(abs(g1), abs(g2), threshold)
    with pictures:
        muted(ARROWS)
        for start in range(0, len(found), ROW):
            for result, column in zip(found[start : start + ROW], st.columns(ROW), strict=True):
                with column:
                    st.markdown(f"**{result.title}**  \n`{result.spec}`")
                    captioned(
                        figures.arrow(result, extent=extent, theme=theme()),
                        result.caption,
                        key=result.spec,
                        csv=partial(csv_of, result),
                    )
    st.subheader("Effect on inf and NaN")
    broken_entries()


def broken_entries() -> None:
    prose(
        "- **None** leaves it.\n"
        "- **Global norm, AutoClip, ZClip**: with an inf the norm is inf and the coefficient 0: the entry becomes NaN "
        "(inf times 0) and every other entry 0. With a NaN the norm, the coefficient and so all entries are NaN.\n"
        "- **Each entry**: an inf becomes c or -c, as any large entry does; a NaN stays. The others are cut as usual.\n"
        "- **Each row (AGC)**: in a row with an inf, that entry becomes NaN and the others 0; a row with a NaN is left "
        "as it is. The other rows are shortened as usual."
    )
    prose(
        "An update with a NaN makes the weight it reaches NaN for good. Of these policies only clipping each entry "
        "survives an inf, and none a NaN; `value:C:nan=0` makes it 0. graddiag counts such steps."
    )


lesson(
    "learn_clipping",
    body,
    shows="tasks that clipping decides, and those it does not",
    settings={"kind": "preset", "preset": "pascanu"},
)
