"""The manual as a site: it is built without a warning, holds every public name, and needs no network."""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from graddiag.views import VIEWS
from tests.needs import needs

pytestmark = pytest.mark.libraries

ROOT = Path(__file__).parent.parent
LOADED = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "use": "href",
}
# what a style sheet or a script of Material loads where a page asks for it; none of these pages does
FONTS = re.compile(r"""url\(\s*["']?(https?:)?//""")
PACKAGES = ("alerts", "analysis", "analysis.spectrum", "clipping", "errors", "figures", "lab", "nn", "schema", "")


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def loaded(self) -> Iterator[str]:
        for tag, attributes in self.tags:
            address = attributes.get(LOADED.get(tag, ""))
            if address is not None:
                yield address

    @property
    def ids(self) -> set[str]:
        return {attributes["id"] or "" for _, attributes in self.tags if "id" in attributes}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    needs("mkdocs", "docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    settings = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Tags]:
    """Each page by its path."""
    return {str(path.relative_to(site)): Tags(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


@pytest.mark.slow
def test_every_page_of_the_manual_is_there(site: Path) -> None:
    wanted = [path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")]
    assert [path for path in wanted if not (site / path).exists()] == []


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[str, Tags]) -> None:
    elsewhere = {(name, each) for name, page in pages.items() for each in page.loaded() if urlsplit(each).netloc}
    assert elsewhere == set()
    assert [path for path in site.rglob("*.css") if FONTS.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package or "graddiag")
def test_the_reference_has_every_public_name(package: str, pages: dict[str, Tags]) -> None:
    full = f"graddiag.{package}".rstrip(".")
    reference = set().union(*(page.ids for name, page in pages.items() if name.startswith("reference/")))
    names = _public(importlib.import_module(full))
    assert names
    assert [name for name in names if f"{full}.{name}" not in reference] == []


@pytest.mark.slow
def test_equations_are_mathml(pages: dict[str, Tags]) -> None:
    tags = [tag for tag, _ in pages["concepts.html"].tags]
    assert tags.count("math") > 20
    assert "mfrac" in tags


@pytest.mark.slow
def test_no_equation_is_left_as_tex(site: Path) -> None:
    left = [path.name for path in site.rglob("*.html") if 'class="arithmatex"' in path.read_text(encoding="utf-8")]
    assert left == []


def test_a_page_says_how_to_read_each_picture() -> None:
    text = (ROOT / "docs" / "howto" / "pictures.md").read_text(encoding="utf-8")
    assert [view.title for view in VIEWS if f"| {view.title} |" not in text] == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_opened_as_files_fit_and_load_what_is_there(
    site: Path, chromium: Browser, width: int, scheme: str
) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for name in ("index", "concepts", "analyses", "howto/pictures", "reference/graddiag", "reference/schema"):
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
    page.close()
    assert [url for url in asked if urlsplit(url).scheme not in {"file", "data", "blob"}] == []


@pytest.mark.browser
def test_the_search_works_from_a_file(site: Path, chromium: Browser) -> None:
    page: Page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.goto((site / "index.html").as_uri())
    page.get_by_role("textbox", name="Search").fill("recommended_thresholds")
    expect(page.locator(".md-search-result__item").first).to_be_visible()
    page.close()


def _public(module: ModuleType) -> list[str]:
    """What a module offers, other than modules; without an ``__all__``, what is defined in it or in its files."""
    if hasattr(module, "__all__"):
        names = [name for name in module.__all__ if not name.startswith("__")]
        return [name for name in names if not isinstance(getattr(module, name), ModuleType)]
    found = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    of = {name: getattr(value, "__module__", module.__name__) for name, value in found.items()}
    return [name for name, home in of.items() if home.startswith(module.__name__) and not _is_module(found[name])]


def _is_module(value: object) -> bool:
    return isinstance(value, ModuleType)
