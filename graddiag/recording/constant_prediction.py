"""The loss of a constant prediction, step by step, from what ``OutputMeter`` found: read on the host.

The letters are those of ``graddiag.recording.outputs``.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from graddiag import schema
from graddiag.recording.outputs import FITS
from graddiag.tracing.device_transfer import Tree

_VARIES: Final = 0.2  # what sums must differ by, as a share of the largest, to be points of a line
_POINTS: Final = 6  # recorded steps that must lie on one line, three at the least
_SCALE: Final = 1e-4  # a squared error whose c is that of a mean or a sum, within this share
_SCALE_ROUGH: Final = 1e-2  # the same of half precision, or of rows that were thinned


class Constants:
    """Reads what ``OutputMeter.take`` found, on the host, step by step."""

    def __init__(self) -> None:
        self._linear, self._model = _SquaredError(), _SquaredError()

    def state(self) -> dict[str, Any]:
        """What has been read so far, for ``restore`` in another process."""
        return self._linear.state() | {"model": self._model.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._linear.restore(state)
        if "model" in state:
            self._model.restore(state["model"])

    def read(self, found: Tree, loss: float | None) -> dict[str, float]:
        """The columns ``explained`` and ``constant_loss`` of a step, as far as they are known."""
        heads = [each for each in found.get("heads", ()) if each["rows"] > 0] if found else []
        fits = [fit for fit in (_fit(each) for each in heads) if fit is not None]
        if not fits:
            return self._squared(heads, loss)
        # several heads: each by its share of the loss
        left, constant = (sum(fit[2] * fit[at] for fit in fits) for at in (0, 1))
        return _columns(left, constant, 1.0, loss)

    def _squared(self, heads: list[Tree], loss: float | None) -> dict[str, float]:
        """Of the linear layer that ran last, or where that one's is no squared error of the model's own output."""
        for model, of in ((False, self._linear), (True, self._model)):
            head = next((each for each in heads if bool(each["model"]) == model), None)
            columns = of.read(head, loss) if head is not None else {}
            if columns:
                return columns
        return {}


class _SquaredError:
    """The constant prediction of a squared error of one head, from its sums and the loss that was logged."""

    def __init__(self) -> None:
        self._rows = 0.0
        self._targets: Any = 0.0
        self._line = _SquareScale()

    def state(self) -> dict[str, Any]:
        return {"rows": self._rows, "targets": self._targets, "line": self._line.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._rows, self._targets = state["rows"], state["targets"]
        self._line.restore(state["line"])

    def read(self, found: Tree, loss: float | None) -> dict[str, float]:
        sums, rows, stride = found["square"], float(found["rows"]), found["stride"]
        if loss is None or not math.isfinite(loss):
            return {}
        squares, rough = float(sums["delta delta"].sum()) * stride, bool(found["half"]) or stride > 1
        c = self._line.scale(squares, loss, rows * stride, float(found["width"]), rough=rough)
        unit: float | None = None
        if c is None and found["calls"] > 1 and not rough:
            c, unit = _of_the_last(found, loss)
        if c is None or sums["z"].shape != getattr(self._targets, "shape", sums["z"].shape):
            return {}
        y = sums["z"] - sums["delta"] / (2 * c)
        yy = float((sums["zz"] - sums["z delta"] / c + sums["delta delta"] / (4 * c * c)).sum())
        self._rows, self._targets = self._rows + rows, self._targets + y
        mean = self._targets / self._rows
        constant = yy - float((2 * mean * y).sum()) + rows * float((mean * mean).sum())
        left = float(sums["delta delta"].sum()) / (4 * c * c)
        if not constant > 0:
            return {}
        if unit is not None:  # the loss of one part of the step, which is not that of all of it
            return _columns(left, constant, unit, None) | {schema.CONSTANT_LOSS: unit * constant}
        return _columns(left, constant, c * stride, loss)


def _fit(head: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Loss and loss of a constant prediction over the rows kept of a head, and c for all of its rows; None where its
    loss is neither cross-entropy."""
    for kind in ("softmax", "weighted", "sigmoid"):
        of = head.get(kind)
        if of and of["fits"] and of["constant"] > 0:
            return float(of["loss"]), float(of["constant"]), float(of["c"]) * head["stride"]
    return None


class _SquareScale:
    """The c of a squared error c sum (z - y)^2: known at once where it is that of a mean or a sum, else once three
    recorded steps agree on a line loss = sum delta^2 / (4 c) + b, as a scaled or shifted loss gives. Up to six steps of
    as many rows must lie on it, which differ: other losses make a curve, or are scattered."""

    def __init__(self) -> None:
        self._before: list[tuple[float, float, float]] = []
        self._known: dict[float, tuple[float, float, float]] = {}

    def state(self) -> dict[str, Any]:
        return {"before": [*self._before], "known": dict(self._known)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._before, self._known = list(map(tuple, state["before"])), dict(state["known"])

    def scale(self, squares: float, loss: float, rows: float, width: float, *, rough: bool) -> float | None:
        c = squares / (4 * loss) if loss > 0 else math.nan
        if _usual(c, rows, width, _SCALE_ROUGH if rough else _SCALE):
            return c
        self._before = [*self._before, (squares, loss, rows)][-4 * _POINTS :]
        own = [each[:2] for each in self._before if each[2] == rows][-_POINTS:]
        self._known[rows] = self._still(rows, squares, loss) or _line_of(own) or (0.0, 0.0, 0.0)
        slope = self._known[rows][0]
        return 1 / (4 * slope) if slope > 0 else None

    def _still(self, rows: float, squares: float, loss: float) -> tuple[float, float, float] | None:
        """The line of an earlier step, where this one lies on it too."""
        slope, offset, spread = known = self._known.get(rows, (0.0, 0.0, 0.0))
        off = abs(loss - offset - slope * squares)
        return known if slope > 0 and off <= FITS * max(slope * squares, spread) else None


def _line_of(points: list[tuple[float, float]]) -> tuple[float, float, float] | None:
    """Slope and offset of the line through the outermost of the points (sum delta^2, loss), and the part of the loss
    that it explains; None where there are fewer than three, they hardly differ, or one lies off it."""
    low, high = min(points), max(points)
    spread = high[0] - low[0]
    if len(points) < 3 or not spread > _VARIES * high[0]:
        return None
    slope = (high[1] - low[1]) / spread
    off = max(abs(loss - low[1] - slope * (squares - low[0])) for squares, loss in points)
    if not slope > 0 or off > FITS * slope * spread:
        return None
    return slope, low[1] - slope * low[0], slope * spread


def _of_the_last(found: Tree, loss: float) -> tuple[float, float] | tuple[None, None]:
    """Of gradients that were accumulated, where the loss of the last part is what was logged: the c of all parts, which
    divide their loss by their number or do not, and the share of the sum of squares that the logged loss is; None where
    it is no usual squared error. Each part is a call of the layer."""
    rows, squares = float(found["last"]["rows"]), float(found["last"]["delta delta"])
    parts, width = found["calls"], float(found["width"])
    if not rows or not loss > 0:
        return None, None
    for own in _usual_scales(rows, width):
        for share in (1 / parts, 1.0):
            left = squares / (4 * share * share * own)  # the loss of the last part, if its c is ``own``
            for told in {1.0, share}:
                if abs(told * left / loss - 1) < _SCALE:
                    return share * own, told * own * rows / float(found["rows"])
    return None, None


def _usual_scales(rows: float, width: float) -> tuple[float, ...]:
    """c of a squared error that is a mean or a sum, or half of one."""
    return tuple(each for one in (1 / (rows * width), 1 / rows, 1.0) for each in (one, one / 2))


def _usual(c: float, rows: float, width: float, within: float) -> bool:
    """Whether c is one of ``_usual_scales``."""
    return c > 0 and math.isfinite(c) and any(abs(c / each - 1) < within for each in _usual_scales(rows, width))


def _columns(left: float, constant: float, c: float, loss: float | None) -> dict[str, float]:
    found = {schema.EXPLAINED: 1 - left / constant}
    if loss is not None and math.isfinite(loss) and abs(c * left - loss) <= 0.02 * abs(loss) + 1e-12:
        found[schema.CONSTANT_LOSS] = c * constant
    return found if math.isfinite(found[schema.EXPLAINED]) else {}
