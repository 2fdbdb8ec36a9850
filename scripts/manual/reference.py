"""The reference: a page for each public module, made from what the module offers. No name is written down twice.

A page has a line ``::: graddiag.watch`` for each name, where mkdocstrings puts signature and docstring. Names are read
from the sources: no library of an integration has to be installed.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from scripts.manual import names

TITLES: Final[Mapping[str, str]] = {
    "graddiag": "graddiag",
    "graddiag.nn": "graddiag.nn",
    "graddiag.clipping": "graddiag.clipping",
    "graddiag.analysis.flow": "analysis: the gradient through time and depth",
    "graddiag.analysis.timesteps": "analysis: signals by step and timestep",
    "graddiag.analysis.gates": "analysis: gates and units",
    "graddiag.analysis.clipping": "analysis: clipping",
    "graddiag.analysis.optimization": "analysis: loss, norms, updates, noise, numerics",
    "graddiag.analysis.diagnosis": "analysis: the diagnosis",
    "graddiag.analysis.comparison": "analysis: comparison of runs",
    "graddiag.analysis": "analysis: selections, values, words",
    "graddiag.analysis.spectrum": "analysis.spectrum: traces and checkpoints",
    "graddiag.figures": "graddiag.figures",
    "graddiag.alerts": "graddiag.alerts",
    "graddiag.integrations.lightning": "integrations.lightning",
    "graddiag.integrations.transformers": "integrations.transformers",
    "graddiag.integrations.tables": "integrations.tables",
    "graddiag.integrations.tensorboard": "integrations.tensorboard",
    "graddiag.integrations.mlflow": "integrations.mlflow",
    "graddiag.integrations.wandb": "integrations.wandb",
    "graddiag.integrations.figures": "integrations.figures",
    "graddiag.lab": "graddiag.lab",
    "graddiag.schema": "graddiag.schema",
    "graddiag.errors": "graddiag.errors",
}
_ANALYSIS: Final = "graddiag.analysis"


@dataclass(frozen=True)
class PublicName:
    """``name`` is the full public name, ``home`` where it is defined, ``text`` the value of a constant of the schema.

    again: another module offers the same; what refers to it leads there.
    """

    name: str
    home: str
    is_function: bool
    text: str | None = None
    again: bool = False

    @property
    def markdown(self) -> str:
        """The line that mkdocstrings replaces by heading, signature and docstring, after an anchor."""
        options = f"    options:\n      heading: {self.name}\n      toc_label: {self.name.rpartition('.')[2]}"
        options += "\n      skip_local_inventory: true" if self.again else ""
        anchor = "" if self.name == self.home else f'<a id="{self.name}"></a>\n\n'
        return f"{anchor}::: {self.home}\n{options}"

    @property
    def row(self) -> str:
        short = self.name.removeprefix("graddiag.")
        return f'| <a id="{self.name}"></a>`{short}` | `"{self.text}"` |'


@dataclass(frozen=True)
class ReferencePage:
    """One page, with its names in the order in which it has them."""

    module: str
    title: str
    names: tuple[PublicName, ...]

    @property
    def path(self) -> str:
        """Of the Markdown file, in the manual's folder."""
        return f"reference/{self.module.removeprefix('graddiag.')}.md"

    @property
    def markdown(self) -> str:
        words = [each.row for each in self.names if each.text is not None]
        table = ["## Names\n\n| name | value |\n|---|---|\n" + "\n".join(words)] if words else []
        introduction = ast.get_docstring(names.source_of(self.module)) or ""
        entries = [each.markdown for each in self.names if each.text is None]
        return "\n\n".join([f"# {self.title}", introduction, *entries, *table]) + "\n"


@cache
def pages() -> tuple[ReferencePage, ...]:
    """Every page, in the order of the navigation."""
    return tuple(ReferencePage(module, title, tuple(_names(module))) for module, title in TITLES.items())


@cache
def addresses() -> Mapping[str, str]:
    """The page (``reference/analysis.flow.md#graddiag.analysis.reach``) of each public name, and of each module."""
    found = {page.module: page.path for page in pages()}
    return found | {each.name: f"{page.path}#{each.name}" for page in pages() for each in page.names}


def _names(module: str) -> Iterator[PublicName]:
    """Of the analyses a page has those of one package, functions before what they return, by the file of each."""
    owner = _ANALYSIS if module.startswith(f"{_ANALYSIS}.") and module != f"{_ANALYSIS}.spectrum" else module
    found = [_public_name(owner, name) for name in names.public_names(owner)]
    if owner == _ANALYSIS:
        found = [each for each in found if _group(each.home) == module]
        found.sort(key=lambda each: (each.home.rpartition(".")[0], not each.is_function, each.name))
    yield from found


def _public_name(module: str, name: str) -> PublicName:
    found = names.definition(module, name)
    again = module == "graddiag" and found.home.startswith(tuple(f"{each}." for each in TITLES if each != module))
    text = found.text if module == "graddiag.schema" else None
    return PublicName(f"{module}.{name}", found.home, found.is_function, text, again)


def _group(home: str) -> str:
    """The page of what ``home`` defines: that of its package, or of the analyses for what is in none."""
    package = ".".join(home.split(".")[:3])
    return package if package in TITLES else _ANALYSIS
