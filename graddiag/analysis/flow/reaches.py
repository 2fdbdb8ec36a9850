"""The reach of every layer and direction of a run, side by side."""

import math
from dataclasses import dataclass

import pandas as pd

from graddiag.analysis.captions import Caption
from graddiag.analysis.flow.reach import Reach, reach
from graddiag.analysis.selection import selections
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Result, Source, source_of
from graddiag.analysis.words import number, plural
from graddiag.run import Run


@dataclass(frozen=True)
class LayerReaches(Result):
    """The reach of each layer and direction of a run; those that could not be measured say why themselves."""

    source: Source
    layers: tuple[Reach, ...]
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        known = [each for each in self.layers if each.horizon is not None]
        least = min(known, key=lambda each: each.horizon or 0.0)
        assert least.horizon is not None
        length = plural(least.length, "timestep")
        of, where = "Where the gradient reaches back least", least.selection.short
        if math.isinf(least.horizon):
            return Caption(of, {"": f"{where}, where it does not fade over the {length}"})
        return Caption(of, {f"{where}, where it falls to 1/e in {{}} of {length}": number(least.horizon)})

    def to_frame(self) -> pd.DataFrame:
        """A row a layer."""
        rows = [
            (each.selection.label, each.exponent, *(each.exponent_interval or (None, None)), each.horizon, each.ratio)
            for each in self.layers
        ]
        return pd.DataFrame(
            rows, columns=["layer", "exponent", "exponent_low", "exponent_high", "horizon", "first_over_last"]
        )


def reaches(run: Run, *, thresholds: Thresholds | None = None) -> LayerReaches:
    """The reach of every layer and direction of a run, in the order of ``selections``."""
    found = tuple(reach(run, each, thresholds=thresholds) for each in selections(run))
    return LayerReaches(source_of(run), found, _none_measured(found))


def _none_measured(found: tuple[Reach, ...]) -> str | None:
    if not found:
        return "No timestep of any recurrent layer was recorded."
    return None if any(each.exponent is not None for each in found) else found[0].missing
