"""Which runs are in the pictures of a page, kept in the address: hidden ones are left out, pinned ones come first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import streamlit as st

from ui.text import muted

HIDDEN: Final = "hide"
PINNED: Final = "pin"

T = TypeVar("T")


@dataclass(frozen=True)
class ShownRuns:
    """The links of the runs that are hidden and of those that are pinned; one that is both is shown."""

    hidden: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()

    def hides(self, link: str) -> bool:
        return link in self.hidden and link not in self.pinned

    def first(self, runs: Sequence[T], link: Callable[[T], str]) -> list[T]:
        """All of the runs, the pinned ones first."""
        return sorted(runs, key=lambda run: link(run) not in self.pinned)

    def of(self, runs: Sequence[T], link: Callable[[T], str]) -> list[T]:
        """The runs to picture, the pinned ones first; all of them where each is hidden."""
        ordered = self.first(runs, link)
        return [run for run in ordered if not self.hides(link(run))] or ordered


def choose_shown(links: Sequence[str], about: str) -> ShownRuns:
    """Two pickers behind a button. ``about``: what hidden runs are left out of."""
    with st.popover("Hide or pin runs", icon=":material/visibility:"):
        hidden = st.multiselect(
            "Hidden runs", links, key=HIDDEN, bind="query-params", placeholder="None", help=f"Left out of {about}."
        )
        pinned = st.multiselect(
            "Pinned runs", links, key=PINNED, bind="query-params", placeholder="None",
            help="They come first, and are shown whatever is hidden or filtered.",
        )  # fmt: skip
    return ShownRuns(tuple(hidden), tuple(pinned))


def say_what_is_hidden(links: Sequence[str], shown: ShownRuns) -> None:
    """A sentence where any of the runs is hidden."""
    if away := [link for link in links if shown.hides(link)]:
        everything = len(away) == len(links)
        muted("All runs are hidden, so all are shown." if everything else f"Hidden: {', '.join(away)}.")


def pinned_runs() -> list[str]:
    """The runs that the address pins, on a page whose table has them."""
    return st.query_params.get_all(PINNED)


def pins_of(links: Sequence[str]) -> dict[str, str | list[str]]:
    """What the address of a page of these runs has, so that those that are pinned here are pinned there."""
    kept = [link for link in pinned_runs() if link in links]
    return {PINNED: kept} if kept else {}


def pin(links: Sequence[str], *, pinned: bool) -> None:
    """Pins the runs, or takes their pins off."""
    others = [link for link in pinned_runs() if link not in links]
    st.query_params[PINNED] = [*others, *(links if pinned else ())]
