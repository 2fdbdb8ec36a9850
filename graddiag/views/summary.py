"""Views that answer at a glance, above the sections of a run."""

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from graddiag import analysis, figures
from graddiag.analysis import Curves, TrainingCourse
from graddiag.figures.course_figure import COURSE_TITLE
from graddiag.figures.line_options import LineOptions
from graddiag.figures.theme import Theme
from graddiag.views.declaration import TIMES, View, line_options, own_captions


def _course(
    courses: Sequence[TrainingCourse], times: Sequence[Curves], *, theme: Theme, title: bool, lines: LineOptions
) -> go.Figure:
    return figures.course(courses, theme=theme, title=title, lines=lines.timed(times))


def _caption(courses: Sequence[TrainingCourse], times: Sequence[Curves]) -> Sequence[str]:
    return own_captions(courses)


VIEWS: Final = (
    View(
        "course", COURSE_TITLE, "summary", analysis.training_course, _course,
        support=(TIMES,), options=line_options, caption=_caption, half=True,
    ),
)  # fmt: skip
