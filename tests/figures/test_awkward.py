"""Every figure of every awkward run: it renders, stays small, and says what it cannot show."""

import inspect
import json
from collections.abc import Callable, Sequence
from typing import get_type_hints

import numpy as np
import plotly.graph_objects as go
import pytest

from graddiag import analysis, diagnose, figures, schema
from graddiag.figures.theme import PALETTES, Theme, safe
from graddiag.run import Run
from tests.analysis import damaged as damages
from tests.analysis.damaged import damaged_where_read
from tests.analysis.runs import LAYER, awkward, net

Runs = Sequence[Run]

FIGURES: dict[str, Callable[..., go.Figure]] = {
    "heatmap": lambda runs, **how: figures.heatmap([analysis.heat(r, schema.GRAD_H, LAYER) for r in runs], **how),
    "heatmap of a gain": lambda runs, **how: figures.heatmap(
        analysis.heat(runs[0], schema.TRANSPORT_GAIN, LAYER), **how
    ),
    "heatmap of a cosine": lambda runs, **how: figures.heatmap(
        [analysis.heat(r, schema.GRAD_W_HH_COSINE, LAYER) for r in runs], columns=1, **how
    ),
    "profile": lambda runs, **how: figures.profile([analysis.profile(r, 0, LAYER) for r in runs], **how),
    "profiles": lambda runs, **how: figures.profile(
        analysis.profile(runs[0], (0, 9), LAYER, (schema.GRAD_H, schema.GRAD_W_HH_COSINE)), **how
    ),
    "curves": lambda runs, **how: figures.curves([analysis.loss_curve(r) for r in runs], **how),
    "scalars": lambda runs, **how: figures.curves(analysis.loss_curve(runs[0], [schema.LOSS, schema.GRAD_NORM]), **how),
    "course": lambda runs, **how: figures.course([analysis.training_course(r) for r in runs], **how),
    "norms": lambda runs, **how: figures.norms([analysis.norm_history(r) for r in runs], **how),
    "coefficient": lambda runs, **how: figures.clip_coefficient([analysis.norm_history(r) for r in runs], **how),
    "gates": lambda runs, **how: figures.gates([analysis.gate_history(r, LAYER) for r in runs], **how),
    "gate profile": lambda runs, **how: figures.gate_profile([analysis.gate_profile(r, 0, LAYER) for r in runs], **how),
    "reach": lambda runs, **how: figures.reach([analysis.reach(r, LAYER) for r in runs], **how),
    "transport": lambda runs, **how: figures.transport([analysis.reach(r, LAYER) for r in runs], **how),
    "effects": lambda runs, **how: figures.effects(analysis.compare(runs), **how),
    "loss": lambda runs, **how: figures.loss([analysis.loss_dynamics(r) for r in runs], **how),
    "updates": lambda runs, **how: figures.updates([analysis.updates(r) for r in runs], **how),
    "noise": lambda runs, **how: figures.noise([analysis.gradient_noise(r) for r in runs], **how),
    "depth": lambda runs, **how: figures.depth(analysis.depth(runs[0]), **how),
    "numerics": lambda runs, **how: figures.numerics([analysis.numerics(run) for run in runs], **how),
    "horizon": lambda runs, **how: figures.horizon([analysis.reach(r, LAYER) for r in runs], **how),
    "layers": lambda runs, **how: figures.layers([analysis.reaches(r) for r in runs], **how),
    "what if": lambda runs, **how: figures.what_if(
        [analysis.what_if(r) for r in runs], *(analysis.recommended_thresholds(r) for r in runs[:1]), **how
    ),
    "effective lr": lambda runs, **how: figures.effective_lr([analysis.effective_lr(r) for r in runs], **how),
    "weights in time": lambda runs, **how: figures.weight_contributions(
        [analysis.weight_contributions(r, LAYER) for r in runs], **how
    ),
    "effective_timesteps": lambda runs, **how: figures.effective_timesteps(
        [analysis.weight_contributions(r, LAYER) for r in runs], **how
    ),
    "cell path": lambda runs, **how: figures.cell_path([analysis.cell_path(r, LAYER) for r in runs], **how),
    "time constants": lambda runs, **how: figures.time_constants(
        [analysis.time_constants(r, LAYER) for r in runs], **how
    ),
    "counterfactual": lambda runs, **how: figures.counterfactual([analysis.counterfactual(r) for r in runs], **how),
    "events": lambda runs, **how: figures.events([analysis.events(r) for r in runs], **how),
    "omega": lambda runs, **how: figures.omega([analysis.omega(r, LAYER) for r in runs], **how),
    "timeline": lambda runs, **how: figures.timeline([diagnose(r) for r in runs], **how),
    "direction": lambda runs, **how: figures.direction([analysis.direction_change(r) for r in runs], **how),
    "stability": lambda runs, **how: figures.stability([analysis.edge_of_stability(r) for r in runs], **how),
    "truncation": lambda runs, **how: figures.truncation(
        [analysis.truncation(r, LAYER) for r in runs], [analysis.profile(r, (0, 9), LAYER) for r in runs], **how
    ),
    "dead units": lambda runs, **how: figures.dead_units([analysis.dead_units(r, LAYER) for r in runs], **how),
    "gate units": lambda runs, **how: figures.gate_units([analysis.gate_units(r, LAYER) for r in runs], **how),
}


PLAIN = net(0.9, timesteps=5, clip="norm:1.0", arm="clip on")

# the rest: of several runs, of a snapshot, or of the results of others
DAMAGED: dict[str, Callable[[Run], go.Figure]] = {
    "bands": lambda run: figures.bands(analysis.bands([run, PLAIN])),
    "credit": lambda run: figures.credit(analysis.credit_matrix(run, 8, damages.LAYER)),
    "heat_ratio": lambda run: figures.heat_ratio(analysis.heat_ratio([run, run], schema.GRAD_H, damages.LAYER)),
    "lyapunov_history": lambda run: figures.lyapunov_history(analysis.lyapunov_history(run, damages.LAYER)),
    "multiples": lambda run: figures.multiples(analysis.experiment([run, PLAIN], GOAL)),
    "parallel": lambda run: figures.parallel(analysis.experiment([run, PLAIN], GOAL)),
    "spectrum": lambda run: figures.spectrum(analysis.weight_spectra(run, 8)),
    "spectrum_history": lambda run: figures.spectrum_history(analysis.spectrum_history(run)),
    "success": lambda run: figures.success(analysis.experiment([run, PLAIN], GOAL)),
    "unit_heat": lambda run: figures.unit_heat(analysis.unit_heat(run, 8, damages.LAYER)),
    "unit_heat of a gate": lambda run: figures.unit_heat(analysis.unit_heat(run, 8, damages.LAYER, "activation_f")),
}
GOAL = analysis.goals([PLAIN])[0]
NO_FIGURE_OF_A_RUN = {"lyapunov", "pickable"}  # of a trace (test_snapshots), and around another figure


def test_no_figure_is_forgotten() -> None:
    offered = {name: getattr(figures, name) for name in figures.__all__}
    drawing = {
        name
        for name, each in offered.items()
        if inspect.isfunction(each) and get_type_hints(each).get("return") is go.Figure
    }
    called = {name for each in (*FIGURES.values(), *DAMAGED.values()) for name in each.__code__.co_names}
    called |= {
        name
        for each in FIGURES.values()
        for code in each.__code__.co_consts
        if inspect.iscode(code)
        for name in code.co_names
    }
    assert drawing - called == NO_FIGURE_OF_A_RUN


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FIGURES, *DAMAGED])
def test_a_damaged_run_is_drawn_all_the_same(name: str) -> None:
    for case, run in damaged_where_read():
        try:
            figure = DAMAGED[name](run) if name in DAMAGED else drawn_alone(name, run)
            json.loads(figure.to_json())
            assert len(figure.data) or figure.layout.annotations[0].text
        except Exception as error:
            error.add_note(f"case: {case}")
            raise


def drawn_alone(name: str, run: Run) -> go.Figure:
    """Of the layer that the damaged runs have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "LAYER", damages.LAYER)
        return FIGURES[name]([run])


def texts(figure: go.Figure) -> str:
    return figure.to_json()


@pytest.mark.parametrize("case", awkward())
@pytest.mark.parametrize("name", FIGURES)
def test_it_renders_beside_a_plain_run(name: str, case: str) -> None:
    figure = FIGURES[name]([awkward()[case], PLAIN], theme="dark")
    json.loads(figure.to_json())
    assert figure.layout.title.text
    assert figure.layout.height >= 60
    assert figure.layout.template.layout.paper_bgcolor == "rgba(0,0,0,0)"


@pytest.mark.parametrize("name", FIGURES)
def test_of_an_empty_run_it_says_why(name: str) -> None:
    figure = FIGURES[name]([awkward()["empty"]], title=False)
    assert len(figure.data) == 0
    assert figure.layout.title.text is None
    assert len(figure.layout.annotations[0].text) > 10
    assert " ".join(figure.layout.annotations[0].text.split("<br>")) == safe(figures.why_empty(figure) or "")


@pytest.mark.parametrize("name", ["heatmap", "profile", "curves", "norms", "gates", "gate profile", "reach", "effects"])
def test_of_no_run_it_says_so(name: str) -> None:
    (note,) = FIGURES[name]([]).layout.annotations
    assert "There is no run to" in note.text


@pytest.mark.parametrize("name", FIGURES)
def test_what_users_write_is_shown_as_text(name: str) -> None:
    figure = FIGURES[name]([awkward()["markup"], net(0.9, timesteps=5, clip="norm:1.0", arm="<b>on</b>")])
    figure.layout.meta = None  # why it is empty, as the run says it: read by the dashboard, and never drawn
    for raw in ("<img", "<b>on", "$x$", "%{x}</", "alert(1)> $"):
        assert raw not in texts(figure).replace("\\u003c", "<").replace("\\u003e", ">")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("words", ["NaN", "inf"])
def test_nan_and_inf_are_named_each_with_a_look_of_its_own(words: str, theme: Theme) -> None:
    run, palette = awkward()[f"all {words}"], PALETTES[theme]
    for name in ("heatmap", "profile", "curves", "norms"):
        found = FIGURES[name]([run], theme=theme).data
        (marks,) = {(trace.marker.symbol, trace.marker.color) for trace in found if trace.name == words}
        assert marks[1] == {"NaN": palette.nan, "inf": palette.inf}[words]
        assert not [trace for trace in found if trace.name in {"NaN", "inf"} - {words}]


def test_exact_zeros_are_named_on_a_log_axis() -> None:
    for name in ("heatmap", "profile", "norms"):
        assert any(trace.name == "exactly zero" for trace in FIGURES[name]([awkward()["all zero"]]).data)
    assert not any(trace.name == "exactly zero" for trace in FIGURES["curves"]([awkward()["all zero"]]).data)


@pytest.mark.parametrize("name", FIGURES)
def test_traces_are_small_and_not_webgl(name: str) -> None:
    runs = [net(0.9, steps=30, timesteps=50), net(0.8, steps=30, timesteps=50, clip="norm:1", arm="clip on")]
    for trace in FIGURES[name](runs).data:
        assert trace.type in ("scatter", "heatmap")
        if trace.type == "heatmap":
            assert np.asarray(trace.z).dtype == np.float32
        else:
            assert len(trace.x) <= 2000
