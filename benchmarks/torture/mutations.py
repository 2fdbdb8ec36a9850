"""Damages of a run folder, each drawn from a seed: the same seed makes the same damage."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TEXTS: Final = ("manifest.json", "tables.json", "annotations.json", "overview.json")
VALUES: Final[tuple[Any, ...]] = (
    *(None, True, "", "x" * 10_000, "\ud800", "\0", "../..", "<b>&\x1b[31m", "nan", "-inf", "0001-01-01T00:00:00Z"),
    *(-1, 0, 2**31, 2**63, 2**64, -(2**63), 10**300, 0.5, float("nan"), float("inf"), 1e308),
    *([], {}, [[]] * 50, {"a": {"b": {"c": 1}}}, ["x"] * 1000),
)
Random = np.random.Generator


def mutate(run: Path, random: Random) -> str:
    """Damages the run in one way; returns in words how."""
    names = list(MUTATIONS)
    name = names[random.integers(len(names))]
    return f"{name}: {MUTATIONS[name](run, random)}"


def _files(run: Path) -> list[Path]:
    return sorted(path for path in run.rglob("*") if path.is_file() and not path.is_symlink())


def _one(paths: list[Path], random: Random) -> Path:
    return paths[random.integers(len(paths))]


def _text(run: Path, random: Random) -> Path:
    return _one([run / name for name in TEXTS if (run / name).is_file()], random)


def _part(run: Path, random: Random) -> Path:
    return _one([path for path in _files(run) if path.suffix == ".parquet"], random)


def flip_bytes(run: Path, random: Random) -> str:
    path = _one(_files(run), random)
    content = bytearray(path.read_bytes())
    for _ in range(int(random.integers(1, 8)) if content else 0):
        content[random.integers(len(content))] ^= 1 << int(random.integers(8))
    path.write_bytes(content)
    return path.name


def cut_short(run: Path, random: Random) -> str:
    path = _one(_files(run), random)
    content = path.read_bytes()
    path.write_bytes(content[: int(random.integers(len(content) + 1))])
    return path.name


def repeat_a_piece(run: Path, random: Random) -> str:
    path = _one(_files(run), random)
    content = path.read_bytes()
    first, last = sorted(random.integers(len(content) + 1, size=2))
    path.write_bytes(content[:last] + content[first:last] * int(random.integers(1, 50)) + content[last:])
    return path.name


def remove_file(run: Path, random: Random) -> str:
    path = _one(_files(run), random)
    path.unlink()
    return str(path.relative_to(run))


def replace_by_another(run: Path, random: Random) -> str:
    path, other = _one(_files(run), random), _one(_files(run), random)
    path.write_bytes(other.read_bytes())
    return f"{path.relative_to(run)} by {other.relative_to(run)}"


def replace_by_folder(run: Path, random: Random) -> str:
    path = _one(_files(run), random)
    path.unlink()
    path.mkdir()
    return str(path.relative_to(run))


def replace_by_link(run: Path, random: Random) -> str:
    path = _one(_files(run), random)
    target = ["/etc/passwd", "/dev/zero", "nowhere", path.name, str(_one(_files(run), random))][random.integers(5)]
    path.unlink()
    path.symlink_to(target)
    return f"{path.relative_to(run)} to {target}"


def replace_by_pipe(run: Path, random: Random) -> str:
    path = _one(_files(run), random)
    path.unlink()
    os.mkfifo(path)
    return str(path.relative_to(run))


def hostile_value(run: Path, random: Random) -> str:
    """One value, at any depth of a JSON file, becomes another of any kind."""
    path = _text(run, random)
    content = json.loads(path.read_bytes())
    places = list(_places(content, ()))
    place = places[random.integers(len(places))]
    value = VALUES[random.integers(len(VALUES))]
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    return f"{path.name} {'.'.join(map(str, place))} = {str(value)[:40]!r}"


def hostile_key(run: Path, random: Random) -> str:
    path = _text(run, random)
    content = json.loads(path.read_bytes())
    key = ["", "x" * 5000, "\0", "<script>", "seed", "config", "__class__"][random.integers(7)]
    content[key] = VALUES[random.integers(len(VALUES))]
    path.write_text(json.dumps(content), encoding="utf-8")
    return f"{path.name} {key[:20]!r}"


def deep_nesting(run: Path, random: Random) -> str:
    path = _text(run, random)
    depth = int(10 ** random.uniform(1, 5))
    path.write_text(["[" * depth, '{"a":' * depth, '{"config":' + "[" * depth + "]" * depth + "}"][random.integers(3)])
    return f"{path.name}, {depth} levels"


def column_values(run: Path, random: Random) -> str:
    """A column of a part gets nulls, extreme numbers, another type, another name, or goes."""
    path = _part(run, random)
    rows = pq.read_table(path)
    place = int(random.integers(rows.num_columns))
    name, column = rows.column_names[place], rows.column(place)
    kind = ("null", "extreme", "type", "name", "drop", "shuffle")[random.integers(6)]
    if kind == "drop":
        rows = rows.remove_column(place)
    elif kind == "name":
        rows = rows.rename_columns([f"{each}?" if each == name else each for each in rows.column_names])
    elif kind == "shuffle":
        rows = rows.take(pa.array(random.permutation(rows.num_rows)))
    else:
        rows = rows.set_column(place, name, _changed(column, kind, random))
    pq.write_table(rows, path)
    return f"{kind} of {name} in {path.relative_to(run)}"


def fewer_or_more_rows(run: Path, random: Random) -> str:
    path = _part(run, random)
    rows = pq.read_table(path)
    found = (
        rows.slice(0, int(random.integers(rows.num_rows + 1))) if random.integers(2) else pa.concat_tables([rows] * 3)
    )
    pq.write_table(found, path)
    return f"{rows.num_rows} to {found.num_rows} in {path.relative_to(run)}"


def _changed(column: pa.ChunkedArray, kind: str, random: Random) -> pa.Array:
    values = column.to_pylist()
    type_ = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if kind == "type":
        return pa.array([None if value is None else str(value) for value in values])
    chosen = random.random(len(values)) < random.random()
    extreme: Any = None
    if kind == "extreme":
        extreme = "\0<b>" if pa.types.is_string(type_) else _extreme(type_, random)
    changed = pa.array([extreme if at else value for at, value in zip(chosen, values, strict=True)], type_)
    return changed.dictionary_encode().cast(column.type) if pa.types.is_dictionary(column.type) else changed


def _extreme(type_: pa.DataType, random: Random) -> float | int:
    if pa.types.is_floating(type_):
        return [float("nan"), float("inf"), float("-inf"), 1e38, -1e38, 1e-45, 0.0, -1.0][random.integers(8)]
    return [-1, 0, 2**31 - 1, -(2**31)][random.integers(4)]


def _places(content: Any, above: tuple[Any, ...]) -> Any:
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inside:
        yield (*above, key)
        yield from _places(value, (*above, key))


MUTATIONS: Final[dict[str, Callable[[Path, Random], str]]] = {
    "bytes flipped": flip_bytes,
    "file cut short": cut_short,
    "piece repeated": repeat_a_piece,
    "file removed": remove_file,
    "file replaced by another": replace_by_another,
    "file replaced by a folder": replace_by_folder,
    "file replaced by a link": replace_by_link,
    "file replaced by a pipe": replace_by_pipe,
    "value of a JSON file": hostile_value,
    "key of a JSON file": hostile_key,
    "deep nesting": deep_nesting,
    "column of a part": column_values,
    "rows of a part": fewer_or_more_rows,
}
