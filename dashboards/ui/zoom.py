"""What was chosen above the pictures, in every picture over the training: the range of steps, and the step itself."""

from typing import Any, Final

from graddiag import figures
from ui.charts import captioned
from ui.daylight import theme
from ui.pickers import Choice

AXIS: Final = "step"  # what stands under an axis of steps
MARGIN: Final = 0.5  # steps, so that the first and the last are not on the edge


def over_steps(figure: Any, *captions: str, key: str, choice: Choice | None) -> None:
    """``captioned``, of a figure over the training, as it was chosen."""
    captioned(over_training(figure, choice), *captions, key=key)


def over_training(figure: Any, choice: Choice | None) -> Any:
    """``figure`` with the chosen steps alone on each of its axes of steps, and a line at the chosen step.

    A panel that shares its axis with one below carries no title of its own; it follows that one.
    """
    if choice is None or not figure.data:
        return figure
    axes = {axis.plotly_name.replace("axis", ""): axis for axis in figure.select_xaxes()}
    titled = {name for name, axis in axes.items() if axis.title.text == AXIS}
    for name, axis in axes.items():
        if name in titled or axis.matches in titled:
            if choice.steps:
                axis.range = [choice.steps[0] - MARGIN, choice.steps[1] + MARGIN]
            _mark(figure, name, axis.anchor or "y", choice)
    return figure


def _mark(figure: Any, x: str, y: str, choice: Choice) -> None:
    first, last = choice.steps or (choice.step, choice.step)
    if first <= choice.step <= last:
        figures.mark_step(figure, choice.step, x, y, theme())
