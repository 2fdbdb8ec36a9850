"""What the preset distance measures, and what it says of it: a row a training, sentences, tables and charts."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd

from graddiag import analysis
from graddiag.analysis import number
from graddiag.analysis.words import plural
from graddiag.figures.chart import Axis, Chart, Curve
from graddiag.run import Run

LEARNED: Final = 0.95  # right answers over the last steps, from which on a gap counts as learned
LAST: Final = 100

# columns of ``outcomes``
START: Final = "horizon at the first step"
END: Final = "horizon at the last step"
LEFT: Final = "left over the gap"


def outcomes(runs: Sequence[Run]) -> pd.DataFrame:
    """A row a run: task, network, gap, seed, accuracy over the last 100 steps, whether that is learned, steps, chance.

    The horizons, in timesteps, are those of the first and the last recorded step: inf where the gradient does not fade,
    NaN where no gain was measured. ``left over the gap`` is exp(-gap / horizon) of the first, 1 where it does not fade.
    """
    return pd.DataFrame([_outcome(run) for run in runs])


def _outcome(run: Run) -> dict[str, object]:
    reach = analysis.reach(run, analysis.selections(run)[0])
    config, horizons = run.manifest.config, reach.horizon_by_step
    gap, accuracy = int(config["distance"]), 1 - float(run.steps["error"].tail(LAST).mean())
    start = float(horizons[0]) if len(horizons) else np.nan
    return {
        "task": run.manifest.task,
        "network": str(run.manifest.arm),
        "gap": gap,
        "seed": run.manifest.seed,
        "accuracy": accuracy,
        "learned": accuracy >= LEARNED,
        "steps": len(run.steps),
        "chance": 1 - float(config["chance_error"]),
        START: start,
        END: float(horizons[-1]) if len(horizons) else np.nan,
        LEFT: float(np.exp(-gap / start)),
    }


def reached(rows: pd.DataFrame) -> tuple[int | None, int | None]:
    """The gap up to which every gap is learned by most of its seeds, and the first that is not; None: there is none."""
    most = rows.groupby("gap")["learned"].mean() > 0.5
    missed = most.index[~most]
    stop = None if missed.empty else int(missed.min())
    held = most.index if stop is None else most.index[most.index < stop]
    return (None if held.empty else int(held.max())), stop


def first_horizon(rows: pd.DataFrame) -> float:
    """The horizon at the first step over the longest gap, where its measurement is the longest: the mean over seeds of
    the rate at which the gradient fades, turned back into timesteps."""
    rate = (1 / rows[rows["gap"] == rows["gap"].max()][START]).mean()
    return float(1 / rate) if rate > 0 else float("nan" if np.isnan(rate) else "inf")


def farthest(rows: pd.DataFrame, task: str) -> str:
    """How far each network learned a task."""
    return f"{task.capitalize()}: {'; '.join(_far(name, own) for name, own in _networks(rows))}."


def _far(network: str, rows: pd.DataFrame) -> str:
    up_to, stop = reached(rows)
    if stop is None:
        return f"{network} learns every gap up to {up_to}, the longest tried"
    there = rows[rows["gap"] == stop]["learned"]
    seeds = f"({there.sum()} of {plural(len(there), 'seed')} learns it)" if there.any() else "(no seed learns it)"
    if up_to is None:
        return f"{network} learns not even a gap of {stop} {seeds}"
    return f"{network} learns gaps up to {up_to} and stops at {stop} {seeds}"


def limits(rows: pd.DataFrame, task: str) -> str:
    """The horizons at the first step, and how many of them the learned gaps are."""
    told = []
    for network, own in _networks(rows):
        timesteps, (up_to, stop) = first_horizon(own), reached(own)
        if not np.isfinite(timesteps):
            told.append(f"{network} {'not measured' if np.isnan(timesteps) else 'without end'}")
            continue
        ends = (("learned", up_to), ("not learned", stop))
        gaps = [f"a gap of {number(gap / timesteps)} horizons is {ended}" for ended, gap in ends if gap]
        told.append(f"{network} {number(timesteps)} timesteps ({', '.join(gaps)})")
    return f"The horizon of {task} at the first step: {'; '.join(told)}."


def predicted_order(by_task: Mapping[str, pd.DataFrame]) -> str:
    """Of pairs of networks: whether the one with the longer horizon at the first step also learned the longer gap."""
    agree, against, alike = 0, 0, 0
    for rows in by_task.values():
        for (_, one), (_, other) in combinations(_networks(rows), 2):
            ahead = np.sign(first_horizon(one) - first_horizon(other))
            went = np.sign((reached(one)[0] or 0) - (reached(other)[0] or 0))
            agree, against = agree + (ahead * went > 0), against + (ahead * went < 0)
            alike += not (ahead * went > 0 or ahead * went < 0)
    pairs = agree + against + alike
    if not pairs:
        return "With one kind of network there is no order to predict."
    return (
        f"Of {plural(pairs, 'pair')} of networks on a task, the one whose gradient reached farther at the first step "
        f"learned over the longer gap in {agree}, over the shorter one in {against}; {alike} came equally far."
    )


def predicted_pairs(found: pd.DataFrame) -> str:
    """How often, of two trainings of different networks on a task, one learned and one not, the first had more of its
    gradient left at the start; ties count as half."""
    wins, pairs = 0.0, 0
    for _, rows in found.dropna(subset=LEFT).groupby("task", sort=False):
        for (_, one), (_, other) in combinations(_networks(rows), 2):
            for learned, missed in ((one, other), (other, one)):
                left = learned[learned["learned"]][LEFT].to_numpy()[:, None]
                less = missed[~missed["learned"]][LEFT].to_numpy()[None, :]
                wins, pairs = (
                    wins + float((left > less).sum() + 0.5 * (left == less).sum()),
                    pairs + left.size * less.size,
                )
    if not pairs:
        return "No two trainings can show whether the horizon predicts success: none failed where another one learned."
    return (
        f"Of two trainings of different networks, one that learned its gap and one that did not, the first had more "
        f"of its gradient left over the gap at the first step in {wins / pairs:.0%} of {plural(pairs, 'pair')}; by "
        "chance that is half."
    )


def training(found: pd.DataFrame) -> str:
    """What training made of the horizon, where the gap was learned and where it was not."""
    told = []
    for learned, words in ((True, "learned"), (False, "not learned")):
        rows = found[(found["learned"] == learned)].dropna(subset=[START, END])
        if len(rows):
            grown = int((rows[END] > rows[START]).sum())
            covers = int((rows[END] >= rows["gap"]).sum())
            told.append(f"where the gap was {words} in {grown} of {len(rows)}, and covers the gap in {covers}")
    return (
        f"From the first to the last step the horizon grew {'; '.join(told)}." if told else "No horizon was measured."
    )


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a network and gap: seeds that learned it, and means over seeds; horizons by their median."""
    grouped = rows.groupby(["network", "gap"], sort=False)
    seeds = [f"{int(own['learned'].sum())} of {len(own)}" for _, own in grouped]
    means, middle = grouped[["accuracy", "steps"]].mean(), grouped[[START, LEFT, END]].median()
    found = pd.concat([means, middle], axis=1)
    found.insert(0, "learned", seeds)
    order = {network: place for place, network in enumerate(dict.fromkeys(rows["network"]))}
    found = found.reset_index()
    return found.sort_values(
        ["network", "gap"], key=lambda column: column.map(order) if column.name == "network" else column
    )


def over_gap(rows: pd.DataFrame) -> Chart:
    """Accuracy over the gap, a curve a network, and its horizon at the first step as a dashed line."""
    curves = []
    for place, (network, own) in enumerate(_networks(rows)):
        seen = own.groupby("gap")["accuracy"].agg(["mean", "min", "max"])
        x, low, high = seen.index.to_numpy(), seen["min"].to_numpy(), seen["max"].to_numpy()
        curves.append(Curve(network, x, seen["mean"].to_numpy(), mode="lines+markers", low=low, high=high, color=place))
        timesteps = first_horizon(own)
        if np.isfinite(timesteps):
            name = f"{network}: horizon {number(timesteps)}"
            curves.append(Curve(name, [timesteps, timesteps], [0.0, 1.0], color=place, dashed=True))
    chance = ((float(rows["chance"].iloc[0]), "chance"),)
    return Chart(Axis("gap, timesteps", log=True), _RIGHT, tuple(curves), chance)


def over_left(found: pd.DataFrame) -> Chart:
    """Accuracy over what is left of the gradient at the first step, a point a training."""
    curves = [
        Curve(network, own[LEFT].to_numpy(), own["accuracy"].to_numpy(), mode="markers", texts=tuple(_named(own)))
        for network, own in _networks(found)
    ]
    return Chart(Axis("gradient left over the gap at the first step", log=True), _RIGHT, tuple(curves))


def _named(rows: pd.DataFrame) -> Iterator[str]:
    return (
        f"{task}, gap {gap}, seed {seed}"
        for task, gap, seed in zip(rows["task"], rows["gap"], rows["seed"], strict=True)
    )


def _networks(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(name), own) for name, own in rows.groupby("network", sort=False)]


_RIGHT: Final = Axis("share of right answers", limits=(-0.03, 1.03))
