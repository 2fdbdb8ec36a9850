"""Equations: TeX between dollars becomes MathML when the site is built, which a browser draws without a script."""

import re
from html import unescape

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

# what pymdownx.arithmatex makes of $...$ and $$...$$
_EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
# a prime is raised by itself: as a superscript it would be too small to be seen
_PRIME = re.compile(r"<msup>(<mi>[^<]*</mi>)<mi>&#x02032;</mi></msup>")


def with_mathml(html: str, page: str) -> str:
    """``html`` with each equation as MathML.

    Raises:
        PluginError: a command of TeX that the converter does not know; it would be shown as it is written.
    """

    def mathml(match: re.Match[str]) -> str:
        tag, bracket, tex = match.groups()
        found = convert(unescape(tex).strip(), display="block" if bracket == "[" else "inline")
        if "\\" in found:
            raise PluginError(f"{page}: the equation {tex.strip()!r} has a command that latex2mathml does not know.")
        found = _PRIME.sub(r'<mrow>\1<mo lspace="0" rspace="0">&#x02032;</mo></mrow>', found)
        return f'<{tag} class="equation">{found}</{tag}>'

    return _EQUATION.sub(mathml, html)
