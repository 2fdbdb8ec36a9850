"""What an arm changes, quantity by quantity, as a table to read: both arms, their difference and its interval."""

from collections.abc import Sequence
from statistics import mode
from typing import Final

from graddiag.analysis import Comparison, Effect, FirstDivergence
from ui.text import heading, muted, table

SEEDS_SHOWN: Final = 5


def show_effects(comparison: Comparison) -> None:
    """One table for each arm that is set against the baseline, and where the runs of each pair part."""
    for arm in comparison.arms[1:]:
        effects = [effect for effect in comparison.effects if effect.arm == arm.arm]
        if len(comparison.arms) > 2:
            heading(arm.arm, level=3)
        shared = _shared_note(effects)
        table(_heads(effects), [_row(effect, "" if effect.note == shared else effect.note) for effect in effects])
        if shared and shared not in comparison.caption:
            muted(f"Each row that says nothing else: {shared}.")
    muted(*map(_first_divergence, comparison.first_divergence))


def _shared_note(effects: Sequence[Effect]) -> str:
    """The note of most of the effects, to be told once; none where some have no note, and would seem to have it."""
    notes = [effect.note for effect in effects]
    return mode(notes) if all(notes) else ""


def _heads(effects: Sequence[Effect]) -> tuple[str, ...]:
    several = max(effect.n for effect in effects) > 1
    difference = "Median difference" if several else "Difference"
    with_interval = f"{difference}, interval" if any(effect.interval for effect in effects) else difference
    seeds = _seeds(effects[0].seeds)
    return ("Quantity", f"{effects[0].baseline_arm}{seeds}", f"{effects[0].arm}{seeds}", with_interval)


def _seeds(seeds: Sequence[int | None]) -> str:
    """Which values of a cell are whose, where there are several and the seed of each run tells it from the others."""
    known = [str(seed) for seed in dict.fromkeys(seeds) if seed is not None]
    if len(seeds) == 1 or len(known) < len(seeds):
        return ""
    more = f" · and {len(known) - SEEDS_SHOWN} more" if len(known) > SEEDS_SHOWN else ""
    return f", seed {' · '.join(known[:SEEDS_SHOWN])}{more}"


def _row(effect: Effect, note: str) -> tuple[tuple[str, ...], ...]:
    """The cells of a row: what stands in each, and the quiet lines below it."""
    return (
        (effect.title, effect.unit),
        (_values(effect, effect.baseline_values),),
        (_values(effect, effect.values),),
        (effect.estimate_text, note),
    )


def _values(effect: Effect, values: Sequence[float | None]) -> str:
    """One a seed; the first few where there are many."""
    shown = " · ".join(effect.text(value) for value in values[:SEEDS_SHOWN])
    return shown if len(values) <= SEEDS_SHOWN else f"{shown} · and {len(values) - SEEDS_SHOWN} more"


def _first_divergence(first_divergence: FirstDivergence) -> str:
    whose = (
        f"Seed {first_divergence.seed}" if first_divergence.seed is not None else " and ".join(first_divergence.runs)
    )
    if first_divergence.first_different_step is None:
        return f"{whose}: bit-identical over all {first_divergence.compared_steps} steps that both have."
    clipped = first_divergence.first_clipped_step
    when = "never clipped" if clipped is None else f"first clipped at step {clipped}"
    return f"{whose}: bit-identical before step {first_divergence.first_different_step}; {when}."
