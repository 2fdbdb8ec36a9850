"""Learn: what a gate does for the gradient, in an LSTM and a GRU, against a tanh RNN over the same input."""

from typing import Final

import streamlit as st

from graddiag.figures import lessons as figures
from graddiag.lessons import gates
from ui.charts import captioned, theme
from ui.learn import Example, examples, lesson, slider

EXAMPLES: Final = (
    Example("torch's start: bias 0", {"bias": 0.0, "length": 60, "seen": 1.0, "drive": 0.5}),
    Example("f = 0.9", {"bias": 2.2, "length": 40, "seen": 0.0, "drive": 0.5}),
    Example("a gate wide open", {"bias": 6.0, "length": 60, "seen": 0.0, "drive": 0.5}),
    Example("gates that read", {"bias": 3.0, "length": 60, "seen": 1.0, "drive": 0.5}),
)
SEEN: Final = "Scales all of W_hh and the gates' W_ih. At 0 the gates are constants, and only the cell leads back."


def body() -> None:
    st.markdown(
        "An LSTM keeps a second state beside $h$, the cell $c$, and changes it by multiplying with a gate and adding:"
    )
    st.latex(r"c_t = f_t\,c_{t-1} + i_t\,g_t")
    st.latex(
        r"\frac{\partial L}{\partial c_{t-1}} = f_t\,\frac{\partial L}{\partial c_t}"
        r" + \text{what comes through } h_{t-1}"
    )
    st.markdown(
        "On the way back along the cell there is no matrix and no slope of a tanh: the gradient is multiplied by the "
        "forget gate alone. An $f$ of 1 carries it back unchanged over any distance, an $f$ of 0.9 leaves 1.5% after "
        "40 timesteps. The time constant, after which 1/e is left, is $-1/\\ln f$. A GRU does the same with its gate "
        "$z$: $h_t = (1-z_t)\\,n_t + z_t\\,h_{t-1}$. That is why the bias with which $f$ (or $z$) starts decides how "
        "far back the cell carries a gradient before anything is learned; torch starts it near 0, which is $f = 0.5$."
    )
    examples(EXAMPLES)
    left, right = st.columns(2)
    with left:
        bias = slider("Bias of the gate that keeps, f or z", -2.0, 8.0, 2.0, key="bias", step=0.1)
        length = slider("Timesteps T", 10, 200, 60, key="length", step=10)
    with right:
        seen = slider("What the gates read of x and h", 0.0, 1.0, 0.0, key="seen", step=0.1, help=SEEN)
        drive = slider("Input drive, standard deviation of x", 0.0, 2.0, 0.5, key="drive", step=0.1)
    found = gates.keep(bias, length, seen, drive)
    gate, tau, mean_f, mean_z = st.columns(4)
    gate.metric("sigmoid(bias)", f"{found.gate:.4f}")
    tau.metric("Time constant -1/ln f", f"{found.time_constant:.1f} timesteps")
    mean_f.metric("Mean of f, as it was", f"{found.mean_f:.3f}")
    mean_z.metric("Mean of z, as it was", f"{found.mean_z:.3f}")
    captioned(figures.kept(found, theme=theme()), found.caption, key="kept")
    st.markdown(
        "With the gates reading nothing, LSTM and GRU lie exactly on the dotted line: the gate's value to the power "
        "of the distance. Let them read, and the gradient finds further ways, through the gates and $h$; it may then "
        "arrive larger than along the cell alone. The RNN has an orthogonal $W_{hh}$, which by itself neither "
        "stretches nor shrinks a gradient, and loses it to the slopes of tanh all the same."
    )


lesson(
    "learn_gates",
    body,
    shows="over which gaps RNN, GRU and LSTM learn",
    settings={"kind": "preset", "preset": "distance"},
)
