"""A document as one HTML file that needs no network: plotly.js, style and script are in it, once.

plotly.js is most of the file, so it and the figures are compressed, and the page's script unpacks both. The policy of
the page lets plotly.js run by the hash of its text.
"""

import gzip
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from graddiag.report.content import Document
from graddiag.report.plots import figures_json
from graddiag.report.request import OnProgress
from graddiag.store import replace_text

_TEMPLATES: Final = Environment(
    loader=PackageLoader("graddiag.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

INTERACTIVE: Final = ("report.js",)
NO_PAGES: Final[Mapping[str, int]] = MappingProxyType({})


def render(document: Document) -> str:
    """``document`` as HTML. Whatever came from a user is text in it; only the two scripts named here can run."""
    return page("report", document, figures_json(document.pictures), packs=True)


def write_html(document: Document, target: Path, on_progress: OnProgress) -> None:
    """Writes ``document`` to ``target``.

    Raises:
        OSError: it cannot be written.
    """
    replace_text(target, render(document))


def page(
    name: str,
    document: object,
    figures: str,
    *,
    scripts: Sequence[str] = INTERACTIVE,
    packs: bool = False,
    unfolded: bool = False,
    pages: Mapping[str, int] = NO_PAGES,
) -> str:
    """The page of the template ``name``.html.j2, with its ``scripts`` as one and plotly.js in it, and its ``figures``
    as JSON.

    packs: whether plotly.js and the figures are compressed, for a script that unpacks them.
    unfolded: whether everything is open that a reader could open. pages: on which page of paper each id is.
    """
    plotly_js, script = get_plotlyjs(), "".join(map(_source, scripts))
    return _TEMPLATES.get_template(f"{name}.html.j2").render(
        document=document,
        figures=Markup(packed_text(figures) if packs else figures),
        plotly_js=Markup(packed_plotly() if packs else plotly_js),
        script=Markup(script),
        policy=_policy(plotly_js, script),
        unfolded=unfolded,
        pages=pages,
    )


def footer(document: Document) -> str:
    """The footer of each printed page, as HTML: the title, and the number of the page."""
    return _TEMPLATES.get_template("footer.html.j2").render(document=document)


def packed_text(text: str) -> str:
    """``text`` compressed, in base64; equal texts give equal ones."""
    return b64encode(gzip.compress(text.encode(), mtime=0)).decode()


@cache
def packed_plotly() -> str:
    """plotly.js compressed, in base64: two fifths of its size."""
    return packed_text(get_plotlyjs())


def script_hash(script: str) -> str:
    """The hash by which a browser knows ``script``, as content security policies and integrity attributes have it."""
    return f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}"


def _source(name: str) -> str:
    loader = _TEMPLATES.loader
    assert loader is not None
    return loader.get_source(_TEMPLATES, name)[0]


def _policy(*scripts: str) -> str:
    """A content security policy: nothing is fetched, and no script runs but ``scripts``, known by their hashes."""
    hashes = " ".join(f"'{script_hash(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
