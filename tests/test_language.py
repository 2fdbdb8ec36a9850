"""The terms of the project: what users read uses the terms of the field, and one term for one thing.

Checked are all string literals and public docstrings of the package and the dashboard, the manual, the README,
CONTRIBUTING, the unreleased part of the changelog, and the examples. TERMS has a term for each word to avoid.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = [*sorted((ROOT / "graddiag").rglob("*.py")), *sorted((ROOT / "dashboards").rglob("*.py"))]
PAGES: Final = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*.py")),
]

# A pattern of words to avoid (a space is any white space), and what to write instead.
TERMS: Final = {
    r"\barriv(es?|ed)\b|gradient[^.|]{0,40}\barriving\b": "reaches; comes",
    r"\bis (not )?served\b|\bworst-served\b|\bpasses on (least|most)\b": "reaches",
    r"\bdirect gradients?\b|\binjected gradients?\b|\bgradient[^.]{0,30} injected\b": "immediate gradient",
    r"\bmean ln of\b|\b(row|nats|gain|number|norm|omega|ln) a timestep\b": "growth rate per timestep; per timestep",
    r"\bto a third\b": "memory horizon; falls to 1/e",
    r"timesteps? (that|which) teach|\bwhich timesteps teach|\bweights? in time\b": "per-timestep contribution",
    r"once they have cancelled|left once .{0,20}cancel": "cancellation between timesteps",
    r"\bat their (own )?ends\b|gates? of an RNN": "saturated activations",
    r"\bstart of the weights\b|\bweights' start\b": "weight initialization",
    r"\bby heart\b": "overfit a single batch",
    r"\busual norms?\b|:[\d.]+ say\b": "typical gradient norm; e.g. norm:3.6",
    r"\bsteps far above\b|\bfar above those before\b": "spike",
    r"\bcan(not| not)( yet)? be told\b|\btold (apart )?from 0\b": "not significantly different from 0",
    r"\blooked at\b|\blooks? at all\b": "recorded; measured; shown",
    r"\bstill to be judged\b": "diagnosis pending",
    r"\bnot opened\b": "could not open",
    r"\bput (back|away)\b|\bbox looks\b|\blooks? closer\b|\blook at all of it\b": "restore, dismiss, reset zoom",
    r"\bshows the largest of its\b": "cell aggregation: max",
    r"\brests? on\b": "based on",
    r"\bto and fro\b": "oscillate",
    r"\btold\b|\bforetell|\bforetold\b": "logged, reported, given, distinguished; predicted",
    r"\bwithout being (told|asked)\b": "automatically",
    r"\brooms?\b": "package, module",
    r", say,|\bsay, \d|\bsay\.|\bsay\)": "e.g.",
    r"\bstands?\b(?! in for)": "is; means; follows",
    r"\bgoes on\b|\bwent on\b|\bgo on\b": "continues",
    r"\bcomes? of\b|\bcame of\b": "results from; is caused by",
    r"\bof (its|your|their|one's|our|my) own\b": "custom; separate",
    r"\bbears? witness\b": "shows",
    r"\b(the )?(story|parting|teaching)\b|\bteach(es)? the weight": "timeline; first divergence; contribution",
    r"\bthe gradient is ill\b|\bears\b|\boverheard\b|\bleaflets?\b|\bdaylight\b|\bswells?\b": "the field's term",
}


def _owned_docstrings(tree: ast.AST) -> Iterator[tuple[ast.Constant, bool]]:
    """Every docstring, and whether it belongs to something private."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                name = getattr(node, "name", "")
                yield first.value, name.startswith("_") and not name.endswith("__")


def _former_names(node: ast.AST) -> Iterator[ast.AST]:
    """The strings that declare a former name (graddiag/deprecation.py)."""
    called = getattr(node, "func", None)
    if isinstance(node, ast.Call) and getattr(called, "id", "").startswith("renamed_"):
        yield from (each for argument in node.args for each in ast.walk(argument))
    if isinstance(node, ast.Assign) and [getattr(each, "id", "") for each in node.targets] == ["_RENAMED"]:
        yield from ast.walk(node.value)
    if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "_RENAMED" and node.value is not None:
        yield from ast.walk(node.value)


def _literals(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each string that a user can meet; what is filled into an f-string reads as {}."""
    tree = ast.parse(source)
    private = {id(doc) for doc, hidden in _owned_docstrings(tree) if hidden}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    inside |= {id(name) for node in ast.walk(tree) for name in _former_names(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in private | inside:
            yield node.lineno, node.value


def _text(page: Path) -> str:
    """What is checked of a page: of the changelog, what is not released yet, without the names that it quotes."""
    text = page.read_text(encoding="utf-8")
    return re.split(r"\n## \[\d", re.sub(r"`[^`]*`", "", text))[0] if page.name == "CHANGELOG.md" else text


def _passages(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of all that is read of one file."""
    if path.suffix == ".py" and path.parent.name != "examples":
        yield from _literals(path.read_text(encoding="utf-8"))
    else:
        yield 1, _text(path)


def _uses(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Each use of words to avoid, and what to write instead."""
    for pattern, term in TERMS.items():
        for match in re.finditer(pattern.replace(" ", r"\s+"), text, re.IGNORECASE):
            yield match, term


def _found(path: Path) -> Iterator[str]:
    """Each use in a file, with its place and what to write instead."""
    for line, text in _passages(path):
        for match, term in _uses(text):
            at = line + text[: match.start()].count("\n")
            around = text[max(0, match.start() - 30) : match.end() + 30]
            yield f"{path.relative_to(ROOT)}:{at}: {match[0]!r} ({term}) in {around!r}"


@pytest.mark.parametrize("path", [*SOURCES, *PAGES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_users_read_uses_the_terms_of_the_field(path: Path) -> None:
    assert not list(_found(path))


@pytest.mark.parametrize(
    "words",
    [
        "the gradient that arrives at timestep 0",
        "the layer that passes on least",
        "nats a timestep",
        "which timesteps\nteach the weight",
        "fades to a third",
        "the usual norm",
        "it is told as an event",
        "the steps looked at",
        "a process of its own",
        "the training goes on",
        "give a port, 8502 say.",
        "the value stands beside it",
        "the story of a run",
    ],
)
def test_words_to_avoid_are_found(words: str) -> None:
    assert list(_uses(words))


def test_terms_of_the_field_are_not() -> None:
    text = "A gradient reaches timestep 0; the training continues in a separate process; a step at a timestep."
    assert not list(_uses(text))


def test_private_docstrings_are_not_read_but_their_strings_are() -> None:
    source = 'def _f(x):\n    """Private."""\n    return f"of {x} steps"\n\ndef g():\n    """Public."""\n'
    assert [text for _, text in _literals(source)] == ["of {} steps", "Public."]
