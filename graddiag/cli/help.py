"""The help of a command: its options in groups, as wide as the terminal, and nothing of it cut."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

import typer
from typer.core import TyperCommand

from graddiag.cli.terminal import text_width

_INDENT: Final = 2
_COLUMN: Final = 26  # from which the help of an option begins
_DEFAULT_WIDTH: Final = 80
_GROUPS: Final = {"option": "Options", "argument": "Arguments"}


class GroupedHelpCommand(TyperCommand):
    """A command whose help lists its options by ``rich_help_panel``."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        width = text_width(_DEFAULT_WIDTH)
        usage = textwrap.wrap(f"Usage: {ctx.command_path} {' '.join(self.collect_usage_pieces(ctx))}", width)
        about = [line for part in (self.help or "").split("\n\n") for line in ["", *_filled(part, width)]]
        formatter.write("\n".join([*usage, *about, *self._options(ctx, width)]) + "\n")

    def _options(self, ctx: Any, width: int) -> Iterator[str]:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                group = getattr(parameter, "rich_help_panel", None) or _GROUPS[parameter.param_type_name]
                groups.setdefault(group, []).append(record)
        for group, records in groups.items():
            yield from ("", typer.style(group, bold=True))
            for names, about in records:
                yield from entry(names, about, width)


def entry(names: str, about: str, width: int) -> Sequence[str]:
    """The lines of one option: its help beside it, or below it where the option is long."""
    first, *rest = _filled(about, width - _COLUMN) or [""]
    head = " " * _INDENT + names
    if len(head) + 2 > _COLUMN:
        lines, rest = textwrap.wrap(head, width, subsequent_indent=" " * 2 * _INDENT), [first, *rest]
    else:
        lines = [head.ljust(_COLUMN) + first]
    return [*lines, *(" " * _COLUMN + line for line in rest)]


def _filled(text: str, width: int) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)
