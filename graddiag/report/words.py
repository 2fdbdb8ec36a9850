"""The sentences that open a report: what was asked, and of which runs."""

from collections.abc import Iterable, Sequence
from typing import Final

from graddiag.run import Run, RunManifest

OFF: Final = "none"
UNKNOWN: Final = "\N{EN DASH}"


def question(runs: Sequence[Run]) -> str:
    """The question that ``runs`` answer together: about one run, about clipping, or about their arms."""
    about = [run.manifest for run in runs]
    models, tasks = _each(m.model or "the model" for m in about), _each(m.task for m in about)
    trained = f"{listed(models)} on {listed(tasks)}" if tasks else listed(models)
    if len(runs) == 1:
        clipping = _clipping(about[0].clip)
        return f"How does the gradient of {trained} flow back through time{clipping}?"
    policies = _each(m.clip for m in about)
    treated = [policy for policy in policies if policy != OFF]
    if OFF in policies and treated:
        return f"Does clipping the gradient ({listed(treated)}) change how {trained} trains, against no clipping?"
    return f"How do these {len(runs)} runs of {trained} differ?"


def scope(runs: Sequence[Run]) -> str:
    """How many runs, arms and seeds, and when they were recorded."""
    about = [run.manifest for run in runs]
    arms, seeds = _each(m.arm for m in about), _each(m.seed for m in about)
    facts = [counted(len(runs), "run")]
    if arms:
        facts.append(f"{counted(len(arms), 'arm')} ({', '.join(arms)})")
    if seeds:
        facts.append(f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(seeds)}")
    return f"{'; '.join(facts)}. {_recorded(about)}"


def title(runs: Sequence[Run]) -> str:
    """The name of the report: the experiment's, the run's, or how many."""
    experiments = _each(run.manifest.experiment for run in runs)
    if len(runs) == 1:
        return " / ".join([*experiments, runs[0].name])
    if len(experiments) == 1 and all(run.manifest.experiment for run in runs):
        return experiments[0]
    return counted(len(runs), "run") if not experiments else counted(len(experiments), "experiment")


def listed(words: Sequence[str]) -> str:
    """``words`` as an English list: a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _clipping(clip: str | None) -> str:
    if clip is None:
        return ""
    return ", with no clipping" if clip == OFF else f", with the gradient clipped ({clip})"


def _recorded(about: Sequence[RunManifest]) -> str:
    days = sorted({f"{manifest.created:%Y-%m-%d}" for manifest in about})
    return f"Recorded on {days[0]}." if len(days) == 1 else f"Recorded from {days[0]} to {days[-1]}."


def _each(values: Iterable[object]) -> list[str]:
    """Each value once, as text, in the order in which they come; None is left out."""
    return list(dict.fromkeys(str(value) for value in values if value is not None))
