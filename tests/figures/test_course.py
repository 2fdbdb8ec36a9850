"""Loss and gradient norm at a glance: the numbers of the traces are those of the run."""

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import training_course
from graddiag.figures import course, why_empty
from graddiag.run import Run
from tests.analysis.runs import NAN, awkward, manifest, steps_frame

LOSS, NORM = [3.0, 2.0, 1.5, 1.0], [1.0, 4.0, 0.5, 0.25]


def run(**fields: object) -> Run:
    return Run.from_frames(manifest(**fields), steps=steps_frame(NORM, **{schema.LOSS: LOSS}))


def test_the_loss_is_above_the_norm_over_the_same_steps() -> None:
    figure = course(training_course(run(clip="norm:2.0", arm="clip on", config={"chance_loss": "ln 4"})))
    loss, norm = (trace for trace in figure.data if trace.mode == "lines")
    assert list(loss.y) == LOSS
    assert list(norm.y) == NORM
    assert list(loss.x) == list(norm.x) == [0, 1, 2, 3]
    assert (loss.yaxis, norm.yaxis) == ("y", "y2")
    assert figure.layout.yaxis2.type == "log"
    told = {note.text: note.y for note in figure.layout.annotations}
    assert told == {"chance": pytest.approx(np.log(4)), "threshold 2": pytest.approx(np.log10(2))}
    assert figure.layout.xaxis2.title.text == "step"


def test_what_has_no_loss_or_no_norm_has_one_panel() -> None:
    norms = course(training_course(Run.from_frames(manifest(), steps=steps_frame(NORM))))
    losses = course(training_course(Run.from_frames(manifest(), steps=steps_frame([None] * 4, loss=LOSS))))
    assert [figure.layout.yaxis.title.text for figure in (norms, losses)] == ["gradient norm", "loss"]
    assert all("yaxis2" not in figure.layout for figure in (norms, losses))
    nothing = course(training_course(Run.from_frames(manifest())))
    assert why_empty(nothing) == "No loss and no gradient norm was recorded."


def test_nan_is_marked_in_both_panels() -> None:
    steps = steps_frame([1.0, NAN, 2.0], **{schema.LOSS: [1.0, NAN, 0.5]})
    figure = course(training_course(Run.from_frames(manifest(), steps=steps)))
    marked = [trace for trace in figure.data if trace.mode == "markers"]
    assert [list(trace.x) for trace in marked] == [[1], [1]]
    assert {trace.yaxis for trace in marked} == {"y", "y2"}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", awkward())
def test_every_awkward_run(name: str, theme: str) -> None:
    found = training_course(awkward()[name])
    figure = course([found, found], theme=theme)  # type: ignore[arg-type]
    assert figure.data or why_empty(figure)
    assert found.caption
    assert len(found.to_frame()) == len(found.norms.steps)
