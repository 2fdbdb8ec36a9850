"""Text that comes from a run, shown as text.

Markdown and Plotly would read names, tags, notes and messages as markup. What a user or a run has written goes
through this file, a table cell or a widget's option, and nowhere else.
"""

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import accumulate, pairwise
from typing import Final, Literal

import streamlit as st

_SIZES: Final = {1: "1.75rem", 3: "1.05rem"}  # of headings, as in config.toml
_MUTED: Final = "opacity:.72;font-size:.875rem;line-height:1.45;overflow-wrap:anywhere"
_ASIDE: Final = "display:block;max-width:18rem;opacity:.72;font-size:.875rem;line-height:1.45"
_TABLE: Final = "width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums"
_RULE: Final = "border-bottom:1px solid rgba(128,128,128,.25)"
# what Markdown may read as markup and takes escaped: some signs anywhere, the others at the start alone
_MARKUP: Final = re.compile(r"(^[!-/:-@\[-`{-~]|[!\"#$&*+.<>@\[-`{-~]|:(?! ))")
_LIST: Final = "margin:0;padding-left:1.2rem;line-height:1.5;overflow-wrap:anywhere"


def as_label(text: str) -> str:
    """``text`` for the label of a button, a link or a status, which Streamlit reads as Markdown."""
    return _MARKUP.sub(r"\\\1", text)


def heading(text: str, level: Literal[1, 3] = 1, width: Literal["stretch", "content"] = "stretch") -> None:
    style = f"padding:0;margin:0;overflow-wrap:anywhere;font-size:{_SIZES[level]};font-weight:600;line-height:1.3"
    st.html(f'<h{level} style="{style}">{escape(text)}</h{level}>', width=width)


def sentence(text: str) -> None:
    st.html(f'<p style="margin:0;overflow-wrap:anywhere">{escape(text)}</p>')


def muted(*lines: str, width: Literal["stretch", "content"] = "stretch") -> None:
    """Quiet lines: captions, the facts of a run."""
    st.html(f'<p style="margin:0;{_MUTED}">{"<br>".join(map(escape, lines))}</p>', width=width)


def keyed(line: str, *, color: str, dash: str) -> None:
    """A quiet line behind a stroke such as a legend has. ``dash`` is plotly's: solid, or lengths in pixels."""
    stroke = f"flex:none;width:30px;height:3px;margin-top:.6rem;{_stroke(color, dash)}"
    words = f'<span style="{_MUTED}">{escape(line)}</span>'
    st.html(f'<p style="margin:0;display:flex;gap:.5rem"><span style="{stroke}"></span>{words}</p>')


def _stroke(color: str, dash: str) -> str:
    if dash == "solid":
        return f"background:{color}"
    ends = list(accumulate((int(part.removesuffix("px")) for part in dash.split(",")), initial=0))
    parts = (f"{color if place % 2 == 0 else 'transparent'} {a}px {b}px" for place, (a, b) in enumerate(pairwise(ends)))
    return f"background:repeating-linear-gradient(90deg,{','.join(parts)})"


def bullets(items: Iterable[str]) -> None:
    st.html(f'<ul style="{_LIST}">{"".join(f"<li>{escape(item)}</li>" for item in items)}</ul>')


def table(heads: Sequence[str], rows: Sequence[Sequence[tuple[str, ...]]], *, words: bool = False) -> None:
    """A table to read. A cell is its text and the quiet lines below it; the first of a row is its head. Cells are
    aligned right, as numbers are, or left with ``words``."""
    side = "left" if words else "right"
    columns = "".join(
        f'<th scope="col" style="{_side(place, side)}">{escape(head)}</th>' for place, head in enumerate(heads)
    )
    lines = "".join(f"<tr>{''.join(_cell(place, side, *cell) for place, cell in enumerate(row))}</tr>" for row in rows)
    st.html(
        f'<div style="overflow-x:auto"><table style="{_TABLE}"><thead><tr style="{_RULE}">{columns}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _cell(place: int, side: str, words: str, *quiet: str) -> str:
    beside = f"{_ASIDE};margin-left:{'auto' if place and side == 'right' else 0}"
    aside = "".join(f'<span style="{beside}">{escape(_unbroken(line))}</span>' for line in quiet if line)
    style = f"{_side(place, side)};{_RULE};font-weight:400;vertical-align:top"
    if place:
        return f'<td style="{style}">{_numbers(words)}{aside}</td>'
    return f'<th scope="row" style="{style}">{escape(words)}{aside}</th>'


def _numbers(words: str) -> str:
    """Numbers in a row may part behind a dot, not within, where 1e-4 has a hyphen; words among them may fold."""
    return "\N{NO-BREAK SPACE}· ".join(_whole(part) for part in words.split(" · "))


def _whole(part: str) -> str:
    return escape(part) if " " in part else f'<span style="white-space:nowrap">{escape(part)}</span>'


def _unbroken(numbers: str) -> str:
    """The ends of a range may not part."""
    return numbers.replace(" to ", "\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}")


def _side(place: int, side: str) -> str:
    return f"padding:.35rem .5rem;text-align:{side if place else 'left'};font-weight:600"


def refusal(title: str, message: str) -> None:
    """A box that says what was asked, what was found, what to do. ``title`` is ours; ``message`` may quote anything."""
    with st.container(border=True):
        st.badge(title, icon=":material/block:", color="red")
        sentence(message)
