"""The caption of a figure: each thing that is shown is named once, with what it comes to in each of the runs drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from graddiag.analysis.values import Source

MOST_RUNS: Final = 6  # runs in one sentence


@dataclass(frozen=True)
class Caption:
    """A caption in parts. of: what it describes, with its layer and steps; found: what it comes to in one run, by the
    words around each number, which is at their ``{}`` or behind them; note: whole sentences that hold whichever run
    it is."""

    of: str
    found: Mapping[str, str]
    note: str = ""

    def caption(self, source: Source) -> str:
        """The caption of a figure of one run: ``Loss (clip off, seed 0): 4.64 to 1.92; lowest 1.92 at step 299.``"""
        return _sentence([source.label], [self])


class CaptionedResult(Protocol):
    """A result about one run whose caption can be joined with those of other runs."""

    @property
    def source(self) -> Source: ...

    @property
    def missing(self) -> str | None: ...

    @property
    def caption(self) -> str: ...

    @property
    def caption_parts(self) -> Caption: ...


def captions(results: Sequence[CaptionedResult]) -> tuple[str, ...]:
    """The captions of a figure: of one run its own; of several a sentence for each thing that is described, with its
    value in each run; then what is missing, each reason once."""
    if len(results) == 1:
        return (results[0].caption,)
    known = [each for each in results if each.missing is None]
    reasons = dict.fromkeys(each.missing for each in results if each.missing is not None)
    return (*joint_captions([each.source for each in known], [each.caption_parts for each in known]), *reasons)


def joint_captions(sources: Sequence[Source], told: Sequence[Caption]) -> tuple[str, ...]:
    """The captions of the runs ``sources``, in the same order: a sentence for each ``of``."""
    names = labels_of(sources)
    sentences = []
    for of in dict.fromkeys(each.of for each in told):
        own = [(name, each) for name, each in zip(names, told, strict=True) if each.of == of]
        sentences.append(_sentence([name for name, _ in own], [each for _, each in own]))
    return tuple(sentences)


def labels_of(sources: Sequence[Source]) -> list[str]:
    """The shortest label that tells each run from the others: its arm; arm and seed, as of a single run; or with its
    name."""
    runs = len(set(sources))
    if len({source.arm_label for source in sources}) == runs > 1:
        return [source.arm_label for source in sources]
    alike = len({source.label for source in sources}) < runs
    names = names_of(sources)
    return [f"{source.label}, {name}" if alike else source.label for source, name in zip(sources, names, strict=True)]


def names_of(sources: Sequence[Source]) -> list[str]:
    """The name of each run; with that of its experiment where they are of several."""
    several = len({source.experiment for source in sources}) > 1
    return [source.path if several else source.run for source in sources]


def _sentence(names: Sequence[str], told: Sequence[Caption]) -> str:
    """What is told of ``names``, in the same order, in one sentence; behind it the notes, each once."""
    few = told[:MOST_RUNS]
    parts = dict.fromkeys(part for each in few for part in each.found)
    values = [_part(part, names, few) for part in parts]
    notes = dict.fromkeys(each.note for each in told if each.note)
    return " ".join([f"{told[0].of} ({_whose(names)}): {'; '.join(values)}.", *notes])


def _whose(names: Sequence[str]) -> str:
    more = f"; {len(names) - MOST_RUNS} more are left out" if len(names) > MOST_RUNS else ""
    return " / ".join(names[:MOST_RUNS]) + more


def _part(words: str, names: Sequence[str], told: Sequence[Caption]) -> str:
    """One thing that is told of, and of which runs, where it is not known of all."""
    known = [(name, each.found[words]) for name, each in zip(names, told, strict=False) if words in each.found]
    whose = "" if len(known) == len(told) else f" ({', '.join(name for name, _ in known)})"
    return f"{_placed(words, _values([value for _, value in known]))}{whose}"


def _placed(words: str, value: str) -> str:
    return words.replace("{}", value) if "{}" in words else f"{words} {value}".strip()


def _values(values: Sequence[str]) -> str:
    """A value for each run; what all of them have once."""
    return values[0] if len(set(values)) == 1 else " / ".join(values)
