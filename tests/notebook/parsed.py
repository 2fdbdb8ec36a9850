"""HTML of a card, read back: its elements and its text."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

VOID: Final = {"path", "br"}
KNOWN: Final = {
    *("div", "span", "strong", "code", "details", "summary", "svg", "title", "path"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


@dataclass
class Parsed(HTMLParser):
    """The elements of a piece of HTML, each with its attributes, and all its text in order."""

    elements: list[str] = field(default_factory=list)
    attributes: set[str] = field(default_factory=set)
    text: str = ""
    unclosed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.unclosed.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(html: str) -> Parsed:
    """``html``, which has known elements alone, each closed, and no attribute that runs a script."""
    found = Parsed()
    found.feed(html)
    assert found.unclosed == []
    assert set(found.elements) <= KNOWN
    assert not {name for name in found.attributes if name.startswith("on") or name in {"href", "src"}}
    return found
