"""The registry of views: every picture once, in the order in which dashboard, report and exports show them."""

from typing import Final

from graddiag.deprecation import warn_renamed
from graddiag.views import clipping, comparison, gates, health, summary, through_time, training, weights
from graddiag.views.declaration import Plot, View, ViewContext, ViewSection

_RENAMED: Final = {"story": "timeline", "teaching": "effective-timesteps"}

VIEWS: Final[tuple[View, ...]] = (
    *summary.VIEWS,
    *training.VIEWS,
    *through_time.VIEWS,
    *gates.VIEWS,
    *weights.VIEWS,
    *clipping.VIEWS,
    *health.VIEWS,
    *comparison.VIEWS,
)


def view(key: str) -> View:
    """The view ``key``.

    Raises:
        KeyError: there is none.
    """
    if key in _RENAMED:
        warn_renamed(f"the view {key!r}", repr(_RENAMED[key]))
    return {each.key: each for each in VIEWS}[_RENAMED.get(key, key)]


def views_of(section: ViewSection) -> tuple[View, ...]:
    """The views of a section, in their order."""
    return tuple(each for each in VIEWS if each.section == section)


__all__ = ["VIEWS", "Plot", "View", "ViewContext", "ViewSection", "view", "views_of"]
