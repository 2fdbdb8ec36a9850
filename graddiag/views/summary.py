"""Views that answer at a glance, above the sections of a run."""

from typing import Final

from graddiag import analysis, figures
from graddiag.figures.course import COURSE_TITLE
from graddiag.views.view import View

VIEWS: Final = (View("course", COURSE_TITLE, "summary", analysis.training_course, figures.course, half=True),)
