"""What a model's forward gives: tensors by name, and the one that training looks at. Knows neither torch nor Paddle."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

FIRST = ("logits", "prediction_logits", "output", "out", "sample", "last_hidden_state")  # of a dict or an object


def tensors(result: Any, is_tensor: Callable[[Any], bool], name: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor in tuples, lists, dicts and dataclasses, with its place: "", "/0", "/1/0", "/logits"."""
    if is_tensor(result):
        yield name, result
        return
    for key, value in _parts(result):
        yield from tensors(value, is_tensor, f"{name}/{key}")


def wanted(result: Any, is_tensor: Callable[[Any], bool], is_number: Callable[[Any], bool]) -> Any:
    """The tensor that training looks at: the logits of a dict, or the first of numbers that is no single loss.

    Raises:
        TypeError: there is none.
    """
    found = [(name, value) for name, value in tensors(result, is_tensor) if is_number(value)]
    by_name = {name.rpartition("/")[2]: value for name, value in reversed(found)}
    for name in FIRST:
        if name in by_name:
            return by_name[name]
    for _, value in found:
        if len(value.shape) > 0 and value.shape != [1]:
            return value
    raise TypeError(f"forward gives {type(result).__name__}, in which is no tensor of numbers to train with")


def _parts(result: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(result, Mapping):
        yield from result.items()
    elif isinstance(result, list | tuple):
        yield from enumerate(result)
    elif dataclasses.is_dataclass(result) and not isinstance(result, type):
        yield from ((each.name, getattr(result, each.name)) for each in dataclasses.fields(result))
