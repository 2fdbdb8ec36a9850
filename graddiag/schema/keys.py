"""The key of a trace: where in the model, and in which of its calls, a layer was observed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, get_args

from graddiag.errors import SettingError
from graddiag.schema import names

# the key columns of one layer, in the order of the fields of TraceKey
TRACE_KEYS: Final = (names.MODULE, names.LAYER, names.DIRECTION, names.CALL)


@dataclass(frozen=True)
class TraceKey:
    """One recurrent layer in one direction, at one call of its module within a step.

    Attributes:
        module: qualified name of the recurrent module; '' is the model itself.
        layer: layer of the module, counted from 0.
        direction: forward or reverse.
        call: which call of the module within the step, counted from 0.
    """

    module: str
    layer: int
    direction: names.Direction
    call: int = 0

    def __iter__(self) -> Iterator[str | int]:
        """Module, layer, direction and call, to unpack."""
        return iter((self.module, self.layer, self.direction, self.call))

    @property
    def label(self) -> str:
        """In words: ``encoder.lstm, layer 0, forward``."""
        call = f", call {self.call}" if self.call else ""
        return f"{self.module or '(model)'}, layer {self.layer}, {self.direction}{call}"

    @property
    def short(self) -> str:
        """For a caption; forward and the only call are left out: ``encoder.lstm layer 0``."""
        direction = "" if self.direction == "forward" else f", {self.direction}"
        call = f", call {self.call}" if self.call else ""
        return f"{self.module or '(model)'} layer {self.layer}{direction}{call}"

    @property
    def key(self) -> str:
        """In one word, for a link; ``from_key`` reads it."""
        return "/".join(map(str, self))

    @property
    def where(self) -> dict[str, str | int]:
        """The key columns of this layer's rows with their values, for ``Run.read``."""
        return dict(zip(TRACE_KEYS, self, strict=True))

    @property
    def reverse(self) -> bool:
        return self.direction == "reverse"

    @classmethod
    def from_key(cls, key: str) -> "TraceKey":
        """The trace key of a text module/layer/direction/call.

        Raises:
            SettingError: the text is none.
        """
        parts = key.rsplit("/", 3)
        directions: tuple[names.Direction, ...] = get_args(names.Direction)
        direction = next((each for each in directions if parts[2:3] == [each]), None)
        if direction is None or len(parts) != 4 or not (parts[1].isdecimal() and parts[3].isdecimal()):
            raise SettingError(
                f"layer {key!r}: this is not a layer; write module/layer/direction/call, e.g. lstm/0/forward/0."
            )
        return cls(parts[0], int(parts[1]), direction, int(parts[3]))
