"""``tables.json``: which part files make up each table of a run. Readers read what it names and nothing else.

It is replaced as a whole, after the parts it names are in place. So a part that was being written when the process
died is never seen, and parts can be exchanged for larger ones under readers.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graddiag import schema
from graddiag.errors import RunFormatError
from graddiag.store.files import INDEX, read_file, replace_text


class PartFile(BaseModel):
    """One closed Parquet file: its path within the run folder, its rows, and the steps they span, both included.

    ``extra`` names the columns that it holds beside the declared ones. ``level`` counts how often its rows were joined.
    """

    model_config = ConfigDict(frozen=True)

    file: str = Field(pattern=r"^[a-z]+/[0-9]+(-[0-9]+)?\.parquet$")
    rows: int = Field(ge=0, lt=2**40)
    first_step: int = Field(ge=-(2**31), lt=2**31)
    last_step: int = Field(ge=-(2**31), lt=2**31)
    extra: tuple[str, ...] = ()
    level: int = Field(default=0, ge=0)


class Index(BaseModel):
    """The parts of every table that has rows, in the order of their rows."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = schema.SCHEMA_VERSION
    tables: dict[str, tuple[PartFile, ...]] = Field(default_factory=dict)

    def parts(self, table: str) -> tuple[PartFile, ...]:
        return self.tables.get(table, ())

    def rows(self, table: str) -> int:
        return sum(part.rows for part in self.parts(table))

    def extra(self, table: str) -> tuple[str, ...]:
        """Columns of ``table`` beside the declared ones, in the order in which they first came."""
        return tuple(dict.fromkeys(name for part in self.parts(table) for name in part.extra))

    def with_parts(self, added: dict[str, PartFile]) -> "Index":
        tables = {**self.tables, **{table: (*self.parts(table), part) for table, part in added.items()}}
        return Index(schema_version=self.schema_version, tables=tables)


def read_index(folder: Path) -> Index:
    """The index of a run folder.

    Raises:
        RunFormatError: it is missing, cut short, or names files outside the folder.
    """
    path = folder / INDEX
    try:
        return Index.model_validate_json(read_file(path))
    except OSError as error:
        raise RunFormatError(
            f"{folder} lacks {INDEX}, which names the parts of its tables ({error.strerror}). "
            "Was the folder copied in part? Copy it again."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise RunFormatError(
            f"{path} is not an index of parts: {first['msg']} at {'.'.join(map(str, first['loc'])) or 'its start'}. "
            "Expected the file graddiag wrote; was it edited, or copied while it was being written?"
        ) from error


def write_index(folder: Path, index: Index) -> None:
    replace_text(folder / INDEX, index.model_dump_json())
