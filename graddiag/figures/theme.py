"""How figures look: a palette for light and one for dark, and the colour and dash of an arm, the same everywhere."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from graddiag.analysis import Source
from graddiag.analysis.captioning import names_of
from graddiag.clipping.registry import kind_of

Theme = Literal["light", "dark"]

FONT: Final = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
FONT_SIZE: Final = 12


@dataclass(frozen=True)
class Palette:
    """Colours on a transparent ground. arms: Okabe and Ito's (2008) colours, distinct for most colour-blind readers.
    veil: the ground again, to see through, behind words over lines. diverging: purple and green as in ColorBrewer's
    PRGn, which no arm has, with the ground between them. outside: where there is nothing to measure, near the
    ground."""

    text: str
    muted: str
    grid: str
    hover: str
    veil: str
    arms: tuple[str, ...]
    zero: str
    missing: str
    outside: str
    nan: str
    inf: str
    threshold: str
    diverging: tuple[tuple[float, str], ...]
    scale: str = "Cividis"


PALETTES: Final[dict[Theme, Palette]] = {
    "light": Palette(
        text="#1f2430",
        muted="#5c6370",
        grid="rgba(31,36,48,0.12)",
        hover="#ffffff",
        veil="rgba(255,255,255,0.75)",
        arms=("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#602e00", "#3f8fc0", "#4d4d4d"),
        zero="#64c6f3",
        missing="#d4d7dd",
        outside="#f3f4f6",
        nan="#d7191c",
        inf="#a000e0",
        threshold="#1f2430",
        diverging=((0, "#40104f"), (0.25, "#9a78ad"), (0.5, "#f4f4f2"), (0.75, "#63b06a"), (1, "#00481c")),
    ),
    "dark": Palette(
        text="#e6e9ef",
        muted="#a3abb8",
        grid="rgba(230,233,239,0.14)",
        hover="#1b202b",
        veil="rgba(19,23,30,0.75)",
        arms=("#F0803C", "#56B4E9", "#2CC79B", "#E39DC4", "#F0E442", "#7fa8ff", "#bbbbbb"),
        zero="#8fd3f4",
        missing="#5a6271",
        outside="#1b1f27",
        nan="#ff5a4f",
        inf="#b53dff",
        threshold="#e6e9ef",
        diverging=((0, "#ecd9f5"), (0.25, "#a583ba"), (0.5, "#20252f"), (0.75, "#4ba55c"), (1, "#c9f0cf")),
    ),
}

_DASHES: Final = ("solid", "6px,2px", "2px,2px", "10px,3px,2px,3px", "12px,4px", "4px,4px", "1px,3px")


@dataclass(frozen=True)
class Style:
    """How the lines of an arm are drawn."""

    color: str
    dash: str


def arm_style(source: Source, theme: Theme = "light") -> Style:
    """The style of an arm by itself: without clipping always the first colour and solid, under norm:C the second."""
    return _style(_place(source), theme)


def arm_styles(sources: Sequence[Source], theme: Theme = "light") -> tuple[Style, ...]:
    """A style for each source, one an arm; arms whose own colour is taken by another one get the next free one. An arm
    that is alone has a solid line: there is nothing to tell it apart from."""
    taken: dict[str, int] = {}
    count = len(_DASHES)
    for source in sources:
        if source.arm_label not in taken:
            own = _place(source)
            free = [place % count for place in range(own, own + count) if place % count not in taken.values()]
            taken[source.arm_label] = free[0] if free else own
    styles = [_style(taken[source.arm_label], theme) for source in sources]
    return tuple(styles if len(taken) > 1 else [Style(each.color, _DASHES[0]) for each in styles])


def dash_of(place: int) -> str:
    """The dash of the lines within an arm, by their place."""
    return _DASHES[place % len(_DASHES)]


def labels(sources: Sequence[Source]) -> list[str]:
    """A label for each source; where two would be alike, the runs' names tell them apart, with their experiments where
    these are several."""
    plain, names = [source.label for source in sources], names_of(sources)
    told = zip(plain, names, strict=True)
    return [f"{label} ({name})" if plain.count(label) > 1 else label for label, name in told]


def safe(text: str) -> str:
    """``text`` that a user wrote, so that plotly shows it as it is: no markup, no formula."""
    return html.escape(text, quote=False).replace("$", "&#36;").replace("%{", "%&#123;")


def _place(source: Source) -> int:
    kind = kind_of(source.clip or "none")
    return 1 if kind is None else kind.style


def _style(place: int, theme: Theme) -> Style:
    return Style(PALETTES[theme].arms[place], _DASHES[place])
