"""HTML of cards: every text is escaped, and colours suit a light and a dark ground alike.

Text takes the colour of the notebook; grounds and lines are half transparent; words in colour have a ground of theirs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from markupsafe import Markup

_CARD: Final = (
    "border-left:.3rem solid {ink};background:rgba(128,128,128,.1);border-radius:.4rem;padding:.5rem .9rem .6rem;"
    "max-width:60rem;line-height:1.45;overflow-wrap:anywhere;font-family:system-ui,sans-serif;font-size:14px;"
    "color:inherit;text-align:left"
)
# white on each has a contrast of 4.5 or more
_INKS: Final = {"good": "#0b6b4f", "bad": "#a3260f", "warning": "#7a4a00", "neutral": "#4a5059"}
STATUS_TONES: Final = {"running": "neutral", "finished": "good", "failed": "bad", "damaged": "bad"}
_BADGE: Final = (
    "background:{ink};color:#fff;border-radius:.3rem;padding:.05rem .4rem;font-weight:600;display:inline-block"
)
_CELL: Final = "padding:.15rem .9rem .15rem 0;text-align:left;vertical-align:top;background:transparent;border:0"
_HEAD: Final = f"{_CELL};font-weight:600;border-bottom:1px solid rgba(128,128,128,.5)"
_LINE: Final = "margin:.3rem 0 0"
_TILES: Final = (
    "display:grid;grid-template-columns:repeat(auto-fit,minmax(7rem,1fr));gap:.5rem;margin:.5rem 0 0;max-width:61rem"
)
_TILE: Final = "border:1px solid rgba(128,128,128,.4);border-radius:.4rem;padding:.3rem .5rem;min-width:0"


def card(title: Markup, *parts: Markup, tone: str = "neutral") -> Markup:
    """A card: its title, and what follows below it; ``tone`` good, bad, warning or neutral colours its edge."""
    head = Markup('<div style="font-size:1.1em;font-weight:700">{}</div>').format(title)
    style = _CARD.format(ink=_INKS[tone])
    return Markup('<div class="graddiag" style="{}">{}{}</div>').format(style, head, joined(parts))


def joined(parts: Iterable[Markup]) -> Markup:
    """Pieces of HTML one after the other."""
    return Markup("").join(parts)


def badge(words: str, tone: str) -> Markup:
    """A word or some on a ground of the colour of ``tone``."""
    return Markup('<span style="{}">{}</span>').format(_BADGE.format(ink=_INKS[tone]), words)


def line(words: str | Markup, *, label: str = "", quiet: bool = False) -> Markup:
    """A paragraph, after a label in bold where there is one; in plain text, what is between backticks is code."""
    before = Markup("<strong>{}:</strong> ").format(label) if label else Markup("")
    style = f"{_LINE};opacity:.8;font-size:.92em" if quiet else _LINE
    return Markup('<div style="{}">{}{}</div>').format(
        style, before, words if isinstance(words, Markup) else _coded(words)
    )


def code(words: str) -> Markup:
    """A command or a path."""
    return Markup('<code style="background:rgba(128,128,128,.2);color:inherit;padding:0 .25rem">{}</code>').format(
        words
    )


def _coded(words: str) -> Markup:
    """Text whose every second piece, between backticks, is code; the last backtick stays where it has no partner."""
    pieces = words.split("`")
    if len(pieces) % 2 == 0:
        pieces[-2:] = ["`".join(pieces[-2:])]
    return joined(code(piece) if place % 2 else Markup("{}").format(piece) for place, piece in enumerate(pieces))


def folded(summary: str, *parts: Markup) -> Markup:
    """Parts that show when the summary is clicked."""
    return Markup('<details style="{}"><summary style="cursor:pointer">{}</summary>{}</details>').format(
        _LINE, summary, joined(parts)
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A table of text; without names of columns it has no head."""
    head = joined(Markup('<th scope="col" style="{}">{}</th>').format(_HEAD, name) for name in columns)
    body = joined(
        Markup('<tr style="background:transparent">{}</tr>').format(
            joined(Markup('<td style="{}">{}</td>').format(_CELL, each) for each in row)
        )
        for row in rows
    )
    head = Markup("<thead><tr>{}</tr></thead>").format(head) if columns else Markup("")
    style = "border-collapse:collapse;margin:.4rem 0 0;font-size:.95em;color:inherit"
    return Markup('<div style="overflow-x:auto"><table style="{}">{}<tbody>{}</tbody></table></div>').format(
        style, head, body
    )


def settings(values: Mapping[str, object]) -> Markup:
    """A table of names and values."""
    return table((), [(name, str(value)) for name, value in values.items()])


def tiles(figures: Iterable[tuple[str, str, str, bool]]) -> Markup:
    """A tile for each number: title, value, detail, and whether it is what went wrong."""
    return Markup('<div style="{}">{}</div>').format(_TILES, joined(_tile(*each) for each in figures))


def _tile(title: str, value: str, detail: str, alarming: bool) -> Markup:
    shown = badge(value, "bad") if alarming else Markup("{}").format(value)
    return Markup(
        '<div style="{}"><div style="font-size:.85em;opacity:.8">{}</div>'
        '<div style="font-size:1.1em;font-weight:600">{}</div>'
        '<div style="font-size:.85em;opacity:.8">{}</div></div>'
    ).format(_TILE, title, shown, detail)
