"""Text that a user wrote, through a Markdown parser and back: it is the same text, and nothing but text."""

import re
from html import unescape

import pytest
from markdown_it import MarkdownIt
from markupsafe import Markup

from graddiag.report.escape import escaped, fenced, one_line

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](http://example.com/x.png)",
    "[x]: javascript:alert(1)",
    "`code` and ``more`` and ``` a fence",
    "**bold** __bold__ *it* _it_ ~~gone~~",
    "a | b | c",
    "back\\slash \\| \\` \\<b>",
    "&lt;b&gt; &#60;script&#62; &amp;",
    "# heading",
    "## heading",
    "- item",
    "+ item",
    "* item",
    "1. item",
    "12) item",
    "---",
    "===",
    "> quote",
    "    code",
    "line\nbreak\r\n\r\n# heading",
    "https://example.com www.example.com someone@example.com <https://example.com>",
    "$x^2$ $$y$$ :smile: @someone #12",
    "\x1b[31mred\x00\u2028\u0085",
    "1.5 -2 +3 #4",
    "",
    "   ",
]


def text_of(html: str) -> str:
    """What a reader of the HTML sees."""
    return unescape(re.sub(r"<[^>]*>", "", html)).strip()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_paragraph_holds_the_text_and_no_markup(text: str) -> None:
    html = PARSER.render(f"{escaped(text)}\n")
    assert text_of(html) == one_line(text)
    assert set(re.findall(r"<(/?\w+)", html)) <= {"p", "/p"}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_holds_the_text_and_its_table_keeps_its_shape(text: str) -> None:
    html = PARSER.render(f"| {escaped(text)} | b |\n|---|---|\n| {escaped(text)} | d |\n")
    head, _, body = html.partition("<tbody>")
    assert [text_of(cell) for cell in re.findall(r"<th>(.*?)</th>", head, re.S)] == [one_line(text), "b"]
    assert [text_of(cell) for cell in re.findall(r"<td>(.*?)</td>", body, re.S)] == [one_line(text), "d"]
    assert set(re.findall(r"<(\w+)", html)) == {"table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize("text", [text for text in HOSTILE if text.strip()])
def test_an_item_and_a_heading_hold_the_text(text: str) -> None:
    html = PARSER.render(f"- {escaped(text)}\n\n#### {escaped(text)}\n")
    assert re.findall(r"<(\w+)", html) == ["ul", "li", "h4"]
    assert text_of(html.partition("<h4>")[0]) == one_line(text)
    assert text_of(html.partition("<h4>")[2]) == one_line(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_code_holds_the_text_whatever_fences_are_in_it(text: str) -> None:
    html = PARSER.render(f"before\n\n{fenced(text)}\n\nafter\n")
    assert re.findall(r"<(\w+)", html) == ["p", "pre", "code", "p"]


def test_bare_links_are_broken_for_those_that_make_links_of_text() -> None:
    assert escaped("https://a.b") == "https\\://a.b"
    assert escaped("see www.a.b, me@a.b") == "see www\\.a.b, me\\@a.b"


def test_plain_sentences_stay_as_they_are() -> None:
    for text in (
        "Loss falls by 1.84 (95% interval 1.2 to 2.4).",
        "2,500 steps",
        "-1.5",
        "0.25",
        "norm:1.0",
        "2013-05-01",
    ):
        assert escaped(text) == text


def test_what_is_markdown_already_is_left_alone() -> None:
    assert escaped(Markup("**bold**")) == "**bold**"
