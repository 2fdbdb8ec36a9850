"""Learn: what a gate does for the gradient, in an LSTM and a GRU, against a tanh RNN over the same input."""

from functools import partial
from typing import Final

import streamlit as st

from graddiag.figures import lessons as figures
from graddiag.lessons import gates
from graddiag.views.table import csv_of
from ui.charts import captioned
from ui.learn import Example, bench, examples, formula, lesson, prose, slider
from ui.theme import theme

EXAMPLES: Final = (
    Example("torch's start: bias 0", {"bias": 0.0, "length": 60, "seen": 1.0, "drive": 0.5}),
    Example("f = 0.9", {"bias": 2.2, "length": 40, "seen": 0.0, "drive": 0.5}),
    Example("a gate wide open", {"bias": 6.0, "length": 60, "seen": 0.0, "drive": 0.5}),
    Example("gates that read", {"bias": 3.0, "length": 60, "seen": 1.0, "drive": 0.5}),
)
SEEN: Final = (
    "Of LSTM and GRU. At 0 neither gates nor candidate read h, and the gates read no x either: they are constants, and "
    "f or z alone leads back."
)


def body() -> None:
    prose(
        "An LSTM keeps a second state beside $h$, the cell $c$, and changes it by multiplying with a gate and adding:"
    )
    formula(r"c_t = f_t\,c_{t-1} + i_t\,g_t")
    formula(
        r"\frac{\partial L}{\partial c_{t-1}} = f_t\,\frac{\partial L}{\partial c_t}"
        r" + \text{what comes through } h_{t-1}"
    )
    prose(
        "On the way back along the cell there is no matrix and no slope of a tanh: the gradient is multiplied by the "
        "forget gate alone. An $f$ of 1 carries it back unchanged over any distance, an $f$ of 0.9 leaves less than 2% "
        "over 40 timesteps. The time constant, after which 1/e is left, is $-1/\\ln f$. A GRU does the same to $h$ "
        "itself with its update gate $z$: $h_t = (1-z_t)\\,n_t + z_t\\,h_{t-1}.$ That is why the bias with which "
        "$f$ or $z$ starts decides how far back a gradient is carried before anything is learned; torch starts both "
        "near 0, which is a gate of 0.5."
    )
    examples(EXAMPLES)
    controls, pictures = bench()
    with controls:
        bias = slider("Bias of f (LSTM) and of z (GRU)", -2.0, 8.0, 2.0, key="bias", step=0.1)
        length = slider("Timesteps T", 10, 200, 60, key="length", step=10)
        seen = slider("Scale of W_hh and of the gates' W_ih", 0.0, 1.0, 0.0, key="seen", step=0.1, help=SEEN)
        drive = slider("Input drive, standard deviation of x", 0.0, 2.0, 0.5, key="drive", step=0.1)
    found = gates.keep(bias, length, seen, drive)
    with pictures:
        with st.container(horizontal=True, gap="medium"):
            st.metric("sigmoid(bias)", f"{found.gate:.4f}", width="content")
            st.metric("Its time constant", f"{found.time_constant:.1f} timesteps", width="content")
            st.metric("Mean of f", f"{found.mean_f:.4f}", width="content")
            st.metric("Mean of z", f"{found.mean_z:.4f}", width="content")
        captioned(figures.kept(found, theme=theme()), found.caption, key="kept", csv=partial(csv_of, found))
    prose(
        "With the scale of $W_{hh}$ and of the gates' $W_{ih}$ at 0, neither gates nor candidate read $h$, and the "
        "gates read no $x$: LSTM and GRU lie exactly on the circles, sigmoid(bias) to the power of the distance. Raise "
        "it, and the gradient finds further ways, through the gates and the candidate; it may then be larger than "
        "by $f$ or $z$ alone. The RNN has an orthogonal $W_{hh}$, which by itself neither stretches nor shrinks a "
        "gradient, and loses it to the slopes of tanh all the same."
    )


lesson(
    "learn_gates",
    body,
    shows="over which gaps RNN, GRU and LSTM learn",
    settings={"kind": "preset", "preset": "distance"},
)
