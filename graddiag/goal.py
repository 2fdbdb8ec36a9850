"""What a training is judged by: a scalar that is logged, which way is better, and what guessing reaches."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from graddiag.errors import SettingError

_BETTER: Final = ("lower", "higher")
_NUMBER: Final = r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
# 0.25, 1/24, ln 4, 10 ln 8/30
_LOSS: Final = re.compile(rf"(?=[\d.l])(?:{_NUMBER})?\s*(?:ln {_NUMBER})?(?:\s*/\s*{_NUMBER})?")


def with_goal(
    config: Mapping[str, Any] | None,
    *,
    goal: str | None = None,
    better: str | None = None,
    chance: float | None = None,
    chance_loss: float | str | None = None,
) -> dict[str, Any]:
    """The configuration with what was said of the goal under the same keys.

    Raises:
        SettingError: a value that cannot be meant, ``better`` or ``chance`` without a goal, or another value than the
            configuration has.
    """
    given = {"goal": goal, "better": better, "chance": chance, "chance_loss": chance_loss}
    found = dict(config or {})
    for name, value in given.items():
        if value is None:
            continue
        if found.get(name) is not None and found[name] != value:
            raise SettingError(
                f"watch({name}={value!r}): config has {name}={found[name]!r}. Give it once, or the same value twice."
            )
        found[name] = value
    _check_goal(goal, found.get("goal"), better, chance)
    _check_loss(chance_loss)
    return found


def _check_goal(given: Any, goal: Any, better: Any, chance: Any) -> None:
    if given is not None and (not isinstance(given, str) or not given.strip()):
        raise SettingError(
            f"watch(goal={given!r}): expected the name of a scalar that you log, e.g. goal='val_loss' with "
            "recorder.log(val_loss=...)."
        )
    if better is not None and better not in _BETTER:
        raise SettingError(f"watch(better={better!r}): expected 'lower' (a loss) or 'higher' (an accuracy).")
    if chance is not None and not _is_finite(chance):
        raise SettingError(f"watch(chance={chance!r}): expected a finite number, the value that guessing reaches.")
    without = "better" if better is not None else "chance" if chance is not None else None
    if without is not None and goal is None:
        raise SettingError(
            f"watch({without}=...): it belongs to a goal; add goal='NAME', the scalar that you log. For the loss "
            "itself give chance_loss=, or goal='loss'."
        )


def _check_loss(chance_loss: Any) -> None:
    if chance_loss is None or _is_finite(chance_loss):
        return
    if (
        isinstance(chance_loss, str)
        and _LOSS.fullmatch(chance_loss.strip())
        and re.match(r"[\d.]|ln", chance_loss.strip(), re.I)
    ):
        return
    raise SettingError(
        f"watch(chance_loss={chance_loss!r}): expected the loss of guessing as a number (1.386) or as text like "
        "'ln 4', '1/24' or '10 ln 8/30'."
    )


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
