"""Pictures of a report: results of analyses, drawn as the dashboard draws them, or the sentence why there are none."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from graddiag.analysis import captions as captions_of
from graddiag.report.content import Part
from graddiag.report.plots import Picture, Place


@dataclass(frozen=True)
class Drawing:
    """A picture to be: its name, its title, the results that it shows, and what draws them.

    optional: made from something that is recorded on demand alone; where it was not, nothing is said. words: the
    caption, where those of the results are about another picture; each sentence once.
    """

    name: str
    title: str
    results: Sequence[Any]
    draw: Callable[..., Any]
    optional: bool = False
    words: Sequence[str] = ()


def one_each(
    name: str, title: str, results: Sequence[Any], draw: Callable[..., Any], *words: str, **shared: Any
) -> list[Drawing]:
    """An optional drawing for each result, of figures that show one alone; ``words`` behind the caption of each,
    ``shared``: what all are drawn with, a colour scale for example."""

    def alone(held: Sequence[Any], **how: Any) -> Any:
        return draw(held[0], **shared, **how)

    return [
        Drawing(f"{name}-{n}", f"{title}: {each.source.label}", [each], alone, True, (each.caption, *words))
        for n, each in enumerate(results, start=1)
    ]


def part_of(heading: str, drawings: Iterable[Drawing], place: Callable[[str], Place]) -> Part:
    """Pictures of the results that hold something; for the others the sentence that says what is missing."""
    pictures: list[Picture] = []
    missing: list[str] = []
    for drawing in drawings:
        held = [result for result in drawing.results if result.missing is None]
        if held:
            captions = drawing.words or _captions(held)
            draw = partial(drawing.draw, held, title=False)
            pictures.append(Picture(place(drawing.name), drawing.title, tuple(dict.fromkeys(captions)), draw))
        elif not drawing.optional:
            missing.extend(f"{drawing.title}: {result.missing}" for result in drawing.results[:1])
    return Part(heading, tuple(missing), pictures=tuple(pictures))


def _captions(held: Sequence[Any]) -> Sequence[str]:
    """Of several results what they tell together."""
    return captions_of(held) if len(held) > 1 else [held[0].caption]
