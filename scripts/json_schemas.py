"""Writes the JSON schemas of the manual: ``python -m scripts.json_schemas``."""

import json
from pathlib import Path

from graddiag.cli.json_schema import SCHEMAS, schema_of

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"


def text_of(name: str) -> str:
    """The file of a schema."""
    return json.dumps(schema_of(name), indent=2) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in SCHEMAS:
        (FOLDER / f"{name}.schema.json").write_text(text_of(name), encoding="utf-8")
