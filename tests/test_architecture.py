"""CONTRIBUTING.md and docs/architecture.md against the repository: files that exist, layers of the import contract."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md"]
NAMED = re.compile(r"`((?:graddiag|dashboards|docs|tests|scripts|benchmarks)/[^`\s]*|\.?[\w-]+\.(?:md|toml|txt|yaml))`")
LINK = re.compile(r"\]\((?!http)([^)#]+)[^)]*\)")


def named() -> list[object]:
    found = {(page.name, path) for page in PAGES for path in NAMED.findall(page.read_text(encoding="utf-8"))}
    return [pytest.param(path, id=f"{page}-{path}") for page, path in sorted(found)]


@pytest.mark.parametrize("path", named())
def test_files_that_are_named_exist(path: str) -> None:
    """Of a file called NEW the folder."""
    place = ROOT / path
    assert (place.parent if place.stem == "NEW" else place).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_both_pages_name_files_and_their_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(NAMED.findall(text)) > 10
    assert [target for target in LINK.findall(text) if not (page.parent / target).exists()] == []


@pytest.mark.parametrize(
    ("drawing", "container"), [(0, "graddiag"), (1, "graddiag.analysis"), (2, "graddiag.analysis.diagnosis")]
)
def test_the_drawings_have_the_layers_of_the_contracts(drawing: int, container: str) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = [each for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "layers"]
    (layers,) = (each["layers"] for each in contracts if each["containers"] == [container])
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[1 + 2 * drawing]
    drawn = [re.match(r"\w+(?: \| \w+)*", line) for line in text.splitlines()]
    assert [found[0] for found in drawn if found and found[0] != "dashboards"] == layers
