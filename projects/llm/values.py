"""Numbers out of a file that somebody else wrote: of the type and range that they must have, or refused by name."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import ModelError

MOST = 2**31 - 1
NONE = object()


def _said(says: Mapping[str, Any], name: str, default: Any) -> Any:
    value = says.get(name)
    if value is None:
        if default is NONE:
            raise ModelError(f"the model's configuration has no {name!r}: copy the model again")
        return default
    return value


def integer(says: Mapping[str, Any], name: str, default: Any = NONE, least: int = 1) -> int:
    """A whole number of at least `least`. Raises ModelError."""
    value = _said(says, name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
        raise ModelError(
            f"the model's {name!r} is {shown(value)}, not a whole number from {least}: copy the model again"
        )
    return value


def number(says: Mapping[str, Any], name: str, default: Any = NONE, more_than: float = -math.inf) -> float:
    """A finite number above `more_than`. Raises ModelError."""
    value = _said(says, name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not more_than < value < 1e30:
        above = "" if more_than == -math.inf else f" above {more_than:g}"
        raise ModelError(f"the model's {name!r} is {shown(value)}, not a number{above}: copy the model again")
    return float(value)


def fraction(says: Mapping[str, Any], name: str, default: Any = NONE, more_than: float = -math.inf) -> float:
    """The same, where 1.0 is one and 1 is none, as transformers reads it. Raises ModelError."""
    if type(_said(says, name, default)) is int:
        raise ModelError(f"the model's {name!r} is {says[name]}, not a number with a point: copy the model again")
    return number(says, name, default, more_than)


def flag(says: Mapping[str, Any], name: str, default: bool) -> bool:
    """True or false. Raises ModelError."""
    value = _said(says, name, default)
    if not isinstance(value, bool):
        raise ModelError(f"the model's {name!r} is {shown(value)}, neither true nor false: copy the model again")
    return value


def numbers_of(says: Mapping[str, Any], name: str, count: int, more_than: float = 0) -> list[float]:
    """So many finite numbers above `more_than`. Raises ModelError."""
    values = says.get(name)
    if not isinstance(values, (list, tuple)) or len(values) != count:
        size = len(values) if isinstance(values, (list, tuple)) else shown(values)
        raise ModelError(f"the model's {name!r} has {size} numbers, not {count}: copy the model again")
    return [number({name: value}, name, more_than=more_than) for value in values]


def shown(value: Any) -> str:
    """The value as a message has it: long ones cut."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises ModelError if it is missing or none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(found, ensure_ascii=False).encode()  # half a character, as "\\ud800", is no text
    except FileNotFoundError:
        raise ModelError(f"there is no {path}: name a whole folder in Hugging Face's layout") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): name a file that can be") from None
    except (ValueError, RecursionError):
        raise ModelError(f"{path} is damaged, it is not JSON: fetch the file again") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path} is damaged, it holds no JSON object: fetch the file again")
    return found
