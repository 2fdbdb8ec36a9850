"""Pages that are made of other files of the repository: the changelog, examples, notebooks."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
# a file of the repository, outside of docs/, and the page that it becomes
PAGES: Final = {"README.md": "readme.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
_OUTSIDE: Final = re.compile(r"\]\(((?:\.\./)+)([\w./-]+)")


def generated() -> Iterator[tuple[str, str]]:
    """Path in the manual and Markdown of each page that is made of a file elsewhere."""
    for name in PAGES:
        yield PAGES[name], _of_the_root((ROOT / name).read_text(encoding="utf-8"))
    for path in sorted((ROOT / "examples").glob("*.py")):
        yield f"examples/{path.stem}.md", example(path.read_text(encoding="utf-8"), path.name)
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        yield f"notebooks/{path.stem}.md", notebook(path.read_text(encoding="utf-8"), path.name)


def _of_the_root(markdown: str) -> str:
    """A page of the repository's first folder, with links that hold in the manual's."""
    for name, page in PAGES.items():
        markdown = markdown.replace(f"]({name}", f"]({page}")
    return markdown.replace("](docs/", "](")


def example(source: str, name: str) -> str:
    """A script as a page: its docstring, then the code."""
    docstring = ast.get_docstring(ast.parse(source)) or ""
    title, _, text = docstring.partition("\n")
    code = source[source.index('"""', 3) + 3 :].strip()
    return f'# {title.rstrip(".")}\n\n{text.strip()}\n\n```python title="examples/{name}"\n{code}\n```\n'


def notebook(source: str, name: str) -> str:
    """The cells of a notebook as a page; outputs are not part of the file."""
    parts = []
    for number, cell in enumerate(json.loads(source)["cells"]):
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        if number == 0:
            parts.append(f"[Download the notebook]({name})")
    return "\n\n".join(parts) + "\n"


def inside(markdown: str, page: str) -> str:
    """``markdown`` with its links to files outside of docs/ leading to the pages that they become."""

    def page_of(match: re.Match[str]) -> str:
        up, target = match.groups()
        depth = page.count("/")
        if up.count("..") <= depth or target not in PAGES:
            return match[0]
        return f"]({'../' * depth}{PAGES[target]}"

    return _OUTSIDE.sub(page_of, markdown)
