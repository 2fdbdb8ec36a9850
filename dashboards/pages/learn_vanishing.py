"""Learn: what vanishes through time and why, on an RNN whose recurrent matrix is a gain times an orthogonal one."""

from functools import partial
from typing import Final

import streamlit as st

from graddiag.figures import lessons as figures
from graddiag.kinds import Nonlinearity
from graddiag.lessons import vanishing
from graddiag.views.table import csv_of
from ui.charts import captioned
from ui.learn import Example, bench, choice, examples, formula, lesson, prose, slider
from ui.text import muted
from ui.theme import theme

EXAMPLES: Final = (
    Example("the gain alone", {"gain": 0.9, "length": 60, "phi": "identity", "drive": 1.0}),
    Example("explosion", {"gain": 1.1, "length": 60, "phi": "identity", "drive": 1.0}),
    Example("gain 1.5, and yet it vanishes", {"gain": 1.5, "length": 60, "phi": "tanh", "drive": 2.0}),
    Example("a linear unit that sums", {"gain": 1.0, "length": 60, "phi": "identity", "drive": 1.0}),
)
SLOPES: Final[dict[Nonlinearity, str]] = {
    "tanh": "at 1 everything passes, at 0 nothing. Raise the input drive, and tanh saturates.",
    "relu": "the share of units that are on. Those that are off pass nothing.",
    "sigmoid": "at most 1/4, however small the input. Raise the input drive, and it falls further.",
    "identity": "1 everywhere, whatever the input.",
}
LINEAR: Final = "The input has no effect on the gradient of identity, whose slope is 1 everywhere."
NO_DRIVE: Final = 0.0


def body() -> None:
    prose(
        "A recurrent network reads a sequence one timestep after the other and keeps what it needs in its state "
        "$h_t$. To learn from something read early, the gradient of the loss has to travel back through every "
        "timestep in between. Each of them multiplies it by the same matrix and by the slopes of the units:"
    )
    formula(r"a_t = x_t + W_{hh}\,h_{t-1}, \qquad h_t = \varphi(a_t)")
    formula(
        r"\frac{\partial L}{\partial h_{t-1}} = \frac{\partial L}{\partial h_t}\,"
        r"\mathrm{diag}\big(\varphi'(a_t)\big)\,W_{hh}"
    )
    prose(
        "Below, $W_{hh}$ is a *gain* times an orthogonal matrix, which turns a vector and leaves its length alone. "
        "Without a nonlinearity (identity) the norm is multiplied by exactly the gain at every step back. Over the 59 "
        "steps from the last of 60 timesteps to the first, 0.9 leaves 0.2%, and 1.1 makes it 277 times as large. With "
        "tanh the slopes are at most 1, and near 0 where a unit is saturated. So the gain says what could happen; the "
        "slopes decide what does."
    )
    examples(EXAMPLES)
    through_time()
    st.subheader("Why the spectral radius is not the bound")
    over_powers()


def through_time() -> None:
    controls, pictures = bench()
    with controls:
        gain = slider("Gain g, the spectral radius of W_hh", 0.5, 1.6, 0.9, key="gain", step=0.05)
        length = slider("Timesteps T", 5, 120, 60, key="length", step=5)
        phi: Nonlinearity = choice("Nonlinearity φ", tuple(SLOPES), "tanh", key="phi")
        if phi == "identity":
            drive = NO_DRIVE
            muted(LINEAR)
        else:
            drive = slider("Input drive, standard deviation of x", 0.0, 3.0, 0.5, key="drive", step=0.1)
    found = vanishing.decay(gain, length, phi, drive)
    with pictures:
        slope = f"Below, the mean slope of the units: {SLOPES[phi]}"
        captioned(figures.decay(found, theme=theme()), found.caption, slope, key="decay", csv=partial(csv_of, found))
    prose(
        "The dotted line above is a bound that always holds: the largest singular value of $W_{hh}$ times the largest "
        "slope, multiplied over the timesteps. With tanh, a gain above 1 and strong inputs the gradient shrinks all "
        "the same: a diagnosis that reads the spectral radius alone would call that network exploding."
    )


def over_powers() -> None:
    prose(
        "A matrix that is not normal can stretch a vector for many steps before its eigenvalues win. Take $W = "
        "\\begin{pmatrix} d & u \\\\ 0 & d \\end{pmatrix}$: both eigenvalues are $d$, and yet the corner of $W^k$ is "
        "$k\\,d^{k-1}u$, which grows first. A bound that always holds is the power of the largest singular value, "
        "dotted; where $u$ is large it soon leaves the picture."
    )
    controls, pictures = bench()
    with controls:
        diagonal = slider("Both eigenvalues d", 0.5, 1.0, 0.9, key="d", step=0.01)
        above = slider("The corner u", 0.0, 10.0, 5.0, key="u", step=0.5)
    found = vanishing.powers(diagonal, above, 80)
    with pictures:
        captioned(figures.powers(found, theme=theme()), found.caption, key="powers", csv=partial(csv_of, found))


lesson(
    "learn_vanishing",
    body,
    shows="exponents over gain and length",
    settings={"kind": "preset", "preset": "explode-vanish"},
)
