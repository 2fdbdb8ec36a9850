"""What clipping did in the runs, in words."""

from collections.abc import Sequence

from graddiag import analysis
from ui.results import OpenRun, of
from ui.text import muted


def roles(runs: Sequence[OpenRun]) -> None:
    """The role of the policy of each run, and whether clipping kept the direction."""
    for run in runs:
        clip, direction = of(run, analysis.clip_statistics), of(run, analysis.direction_change)
        if clip.role is not None:
            kept = (
                f" Direction: {direction.caption_parts.found['']}."
                if clip.clipped_steps and not len(direction.steps)
                else ""
            )
            muted(f"{clip.source.label}: {clip.role_sentence}{kept}")
