"""What mkdocs does beside its plugins: pages that are no files of docs/, equations, and links to public names."""

import re
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

from scripts.manual import equations, reference, sources

_REFERENCE: Final = "Reference"
_PUBLIC: Final = r"(?:graddiag|analysis|figures|clipping|alerts|schema|lab|nn)(?:\.\w+)+"
_CODE: Final = re.compile(rf"(<a [^>]*>|<h\d[^>]*>)?<code>({_PUBLIC})((?:\(.*?\))?)</code>")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the pages of the reference to the navigation."""
    pages = [{each.title: each.path} for each in reference.pages()]
    for entry in config.nav or []:
        if _REFERENCE in entry:
            entry[_REFERENCE].extend(each for each in pages if each not in entry[_REFERENCE])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are no files of docs/."""
    for page in reference.pages():
        files.append(File.generated(config, page.path, content=page.markdown))
    for path, markdown in sources.generated():
        files.append(File.generated(config, path, content=markdown))
    mark = str(sources.ROOT / "dashboards" / "mark.svg")
    files.append(File.generated(config, "assets/mark.svg", abs_src_path=mark))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    return sources.inside(markdown, page.file.src_uri)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Equations as MathML; a public name in the text as a link to its place in the reference."""
    html = equations.with_mathml(html, page.file.src_uri)
    if page.file.src_uri.startswith("reference/") and page.file.src_uri != "reference/index.md":
        return html
    return _CODE.sub(lambda match: _linked(match, page, files), html)


def _linked(match: re.Match[str], page: Page, files: Files) -> str:
    inside, name, call = match.groups()
    known = reference.addresses()
    address = known.get(name) or known.get(f"graddiag.{name}")
    if inside or address is None:
        return match[0]
    path, _, anchor = address.partition("#")
    target = files.get_file_from_path(path)
    assert target is not None
    url = get_relative_url(target.url, page.url) + (f"#{anchor}" if anchor else "")
    return f'<a href="{url}"><code>{name}{call}</code></a>'
