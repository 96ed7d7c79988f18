"""The wire between the tests and the answer: plain values go by value, everything else stays where it is.

A message is a line of JSON. Nothing that comes over it is ever executed.
"""

import collections
import datetime
import decimal
import fractions
import json
import pathlib
import socket
import uuid
from collections.abc import Callable
from typing import Any

DEEPEST, LONGEST = 100, 2**26
SEQUENCES: dict[str, Any] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "list": list,
    "deque": collections.deque,
}
MAPPINGS: dict[str, Any] = {
    "dict": dict, "OrderedDict": collections.OrderedDict, "Counter": collections.Counter,
}  # fmt: skip
MUTABLE = (list, dict, set, bytearray, collections.deque, collections.OrderedDict, collections.Counter)
TEXTS: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "float": (float, float.hex, float.fromhex),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
    "bytearray": (bytearray, bytearray.hex, bytearray.fromhex),
    "Decimal": (decimal.Decimal, str, decimal.Decimal),
    "Fraction": (fractions.Fraction, str, fractions.Fraction),
    "date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "time": (datetime.time, datetime.time.isoformat, datetime.time.fromisoformat),
    "datetime": (datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "timedelta": (
        datetime.timedelta,
        lambda value: f"{value.days} {value.seconds} {value.microseconds}",
        lambda text: datetime.timedelta(*map(int, text.split())),
    ),
    "UUID": (uuid.UUID, str, uuid.UUID),
    "PosixPath": (type(pathlib.Path()), str, pathlib.Path),
    "PurePosixPath": (pathlib.PurePosixPath, str, pathlib.PurePosixPath),
    "int": (int, hex, lambda text: int(text, 16)),
}
BY_TYPE = {kind: (name, write) for name, (kind, write, _) in TEXTS.items()}
PLAIN = (bool, int, float, complex, str, bytes, tuple, frozenset, type(None))


class Broken(BaseException):
    """The other side does not keep to the protocol, or a test asks what cannot be judged: never a pass."""


class Wire:
    """One end. `export` and `resolve` say what goes and comes instead of a value that is not plain."""

    def __init__(self, end: socket.socket) -> None:
        self.file = end.makefile("rwb")

    def export(self, value: Any) -> list[Any]:
        raise NotImplementedError

    def resolve(self, payload: list[Any]) -> Any:
        raise NotImplementedError

    def send(self, message: list[Any]) -> None:
        try:
            self.file.write(json.dumps(message).encode() + b"\n")
            self.file.flush()
        except OSError as error:
            raise Broken(f"the other process has ended: {error}") from error

    def receive(self) -> list[Any]:
        try:
            line = self.file.readline(LONGEST)
            message = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError, RecursionError) as error:
            raise Broken(f"what came is no message: {error}") from error
        if not isinstance(message, list) or not message:
            raise Broken("the process that runs the answer has ended, or said what is no message")
        return message

    def encode(self, value: Any, known: list[Any], depth: int = 0, *, again: bool = False) -> Any:
        """`known` gathers the containers that can change; with `again` one of them goes as its number."""
        if depth > DEEPEST:
            raise ValueError("a value is nested too deeply, or holds itself")
        kind = type(value)
        if value is None or kind in (bool, str):
            return value
        if kind is int and abs(value) < 2**53:
            return value
        if kind in MUTABLE:
            if again and depth:
                for number, one in enumerate(known):
                    if one is value:
                        return ["same", number]
            elif not again:
                known.append(value)
        return self._encode_more(kind, value, known, depth + 1, again)

    def _encode_more(self, kind: type, value: Any, known: list[Any], depth: int, again: bool) -> Any:
        if kind in BY_TYPE:
            name, write = BY_TYPE[kind]
            return [name, write(value)]
        if SEQUENCES.get(kind.__name__) is kind:
            return [kind.__name__, [self.encode(one, known, depth, again=again) for one in value]]
        if MAPPINGS.get(kind.__name__) is kind:
            pairs = [[self.encode(one, known, depth, again=again) for one in pair] for pair in value.items()]
            return [kind.__name__, pairs]
        if kind is collections.defaultdict:
            return self._encode_more(dict, dict(value), known, depth, again)
        if kind is complex:
            return ["complex", [value.real.hex(), value.imag.hex()]]
        if kind in (range, slice):
            parts = [value.start, value.stop, value.step]
            return [kind.__name__, [self.encode(one, known, depth, again=again) for one in parts]]
        if value is Ellipsis or value is NotImplemented:
            return ["single", str(value)]
        return self.export(value)

    def decode(self, payload: Any, known: list[Any], *, again: bool = False) -> Any:
        if payload is None or type(payload) in (bool, int, str):
            return payload
        if not (isinstance(payload, list) and payload and isinstance(payload[0], str)):
            raise Broken("what came is no value")
        name, *rest = payload
        if name in TEXTS:
            kind, _, read = TEXTS[name]
            value = read(rest[0])
            if kind is bytearray and not again:
                known.append(value)
            return value
        if name in SEQUENCES or name in MAPPINGS:
            return self._container(name, rest[0], known, again)
        if name == "complex":
            return complex(*(float.fromhex(part) for part in rest[0]))
        if name in ("range", "slice"):
            return {"range": range, "slice": slice}[name](*(self.decode(part, known, again=again) for part in rest[0]))
        if name == "single":
            return {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented}[rest[0]]
        if name == "same":
            return known[rest[0]]
        return self.resolve(payload)

    def _container(self, name: str, parts: list[Any], known: list[Any], again: bool) -> Any:
        whole = SEQUENCES.get(name) or MAPPINGS[name]
        value = whole()
        if whole in MUTABLE and not again:
            known.append(value)  # before its parts, as they were numbered
        if name in MAPPINGS:
            for key, one in parts:
                place = self.decode(key, known, again=again)
                dict.__setitem__(value, place, self.decode(one, known, again=again))
            return value
        items = [self.decode(part, known, again=again) for part in parts]
        if whole not in MUTABLE:
            return whole(items)
        fill(value, items)
        return value


def fill(container: Any, items: Any) -> None:
    """Give a container that can change the content of another, or of a list."""
    container.clear()
    if isinstance(container, dict):
        for key, value in items.items():
            dict.__setitem__(container, key, value)
    elif isinstance(container, set):
        container.update(items)
    else:
        container.extend(items)
