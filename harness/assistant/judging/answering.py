"""The process that runs the answer: it imports it, and does with its objects what the tests ask."""

import asyncio
import builtins
import importlib
import inspect
import os
import socket
import sys
import threading
import traceback
import types
from typing import Any

from harness.assistant.judging.wire import PLAIN, Broken, Wire

PREFERRED = (bool, int, float, complex, str, bytes, tuple, frozenset)


class Theirs:
    """An object of the tests: calls, iteration and its methods go there."""

    def __init__(self, answerer: "Answerer", number: int) -> None:
        self._answerer, self._number = answerer, number

    def __getattr__(self, name: str) -> Any:
        return self._answerer.ask("get", self, name)

    def __call__(self, *words: Any, **named: Any) -> Any:
        return self._answerer.ask("call", self, words, named)


def _forwarded(name: str) -> Any:
    def method(self: Theirs, *words: Any) -> Any:
        return self._answerer.ask("operate", self, name, words)

    return method


for _name in ("iter", "next", "len", "getitem", "setitem", "contains", "enter", "exit", "str", "repr", "bool", "lt"):
    setattr(Theirs, f"__{_name}__", _forwarded(f"__{_name}__"))


class TheirError(Exception):
    """An exception of the tests that passes through the answer."""


class Answerer(Wire):
    def __init__(self, end: socket.socket) -> None:
        super().__init__(end)
        self.objects: dict[int, Any] = {}
        self.numbers: dict[int, int] = {}
        self.theirs: dict[int, Theirs] = {}
        self.described: dict[int, dict[str, Any]] = {}
        self.lock = threading.RLock()

    def export(self, value: Any) -> list[Any]:
        if isinstance(value, Theirs):
            return ["yours", value._number]
        if isinstance(value, types.ModuleType) and value.__name__ in sys.stdlib_module_names:
            return ["module", value.__name__]
        if isinstance(value, type) and (getattr(builtins, value.__name__, None) is value or _standard_error(value)):
            return ["named", [value.__module__, value.__qualname__]]
        number = self.numbers.setdefault(id(value), len(self.numbers))
        self.objects[number] = value  # kept for ever, so that a number stays the same object's
        if isinstance(value, type):
            if number not in self.described:
                self.described[number] = self._describe(value)
            return ["class", number, self.described[number]]
        if isinstance(value, types.ModuleType):
            return ["own module", number]
        if inspect.iscoroutine(value):
            return ["coroutine", number]
        if callable(value) and hasattr(value, "__name__"):
            return ["function", number, {"name": str(value.__name__), "doc": str(value.__doc__ or "")}]
        base = next((base for base in PREFERRED if isinstance(value, base)), None)
        plain = None if base is None else self.encode(_based(base, value), [])
        return ["object", number, self.export(type(value)), plain]

    def _describe(self, kind: type) -> dict[str, Any]:
        own = [base for base in kind.__bases__ if base.__module__ not in sys.stdlib_module_names]
        raised = next((base.__name__ for base in kind.__mro__ if _raised(base)), None)
        special = {
            name for base in kind.__mro__[:-1] for name, value in vars(base).items()
            if name.startswith("__") and callable(value)
        }  # fmt: skip
        return {
            "name": kind.__name__, "module": kind.__module__, "bases": [self.export(base) for base in own],
            "raised": raised, "plain": next((base.__name__ for base in PREFERRED if issubclass(kind, base)), None),
            "special": sorted(special), "doc": str(kind.__doc__ or ""), "iterates": hasattr(type(kind), "__iter__"),
            "hashable": kind.__hash__ is not None,
        }  # fmt: skip

    def resolve(self, payload: list[Any]) -> Any:
        name, rest = payload[0], payload[1]
        if name == "yours":
            return self.objects[rest]
        if name == "module":
            return importlib.import_module(rest)
        if name == "named":
            return getattr(importlib.import_module(rest[0]), rest[1])
        if rest not in self.theirs:
            self.theirs[rest] = Theirs(self, rest)
        return self.theirs[rest]

    # What the answer asks of the tests

    def ask(self, act: str, *words: Any) -> Any:
        with self.lock:
            self.send(["ask", act, self.encode(list(words), [])])
            while (message := self.receive())[0] == "ask":
                self.serve(message)
        value = self.decode(message[1], [])
        if message[0] == "raised":
            raise _their_exception(value)
        return value

    # What the tests ask of the answer

    def serve(self, message: list[Any]) -> None:
        known: list[Any] = []
        _, act, words, state = message
        self._take(state)
        try:
            words = self.decode(words, known)
            before = [self.encode(one, known, again=True) for one in known]
            reply = ["done", self.encode(getattr(self, f"_{act}")(*words), known, 1, again=True)]
        except Broken:
            raise
        except BaseException as error:
            before = locals().get("before", [])
            reply = ["raised", self._tell(error)]
        changes = {}
        for number, text in enumerate(before):
            now = self.encode(known[number], known, again=True)
            if now != text:
                changes[number] = now
        self.send([*reply, changes])

    def _take(self, state: Any) -> None:
        if state:
            sys.argv[:], environment, folder = state
            os.environ.clear()
            os.environ.update(environment)
            os.chdir(folder)

    def _import(self, name: str) -> Any:
        module = importlib.import_module(name)
        public = getattr(module, "__all__", None) or [each for each in vars(module) if not each.startswith("_")]
        return [module, [each for each in public if isinstance(each, str)], str(module.__doc__ or "")]

    def _get(self, thing: Any, name: str) -> Any:
        return getattr(thing, name)

    def _set(self, thing: Any, name: str, value: Any) -> None:
        setattr(thing, name, value)

    def _del(self, thing: Any, name: str) -> None:
        delattr(thing, name)

    def _call(self, thing: Any, words: Any, named: Any) -> Any:
        return thing(*words, **named)

    def _operate(self, thing: Any, name: str, words: Any) -> Any:
        return getattr(type(thing), name)(thing, *words)

    def _names(self, thing: Any) -> list[str]:
        return [str(name) for name in dir(thing)]

    def _value(self, thing: Any) -> Any:
        base: Any
        for base in (list, dict, set, bytearray):
            if isinstance(thing, base):
                return base(thing)
        return NotImplemented

    def _await(self, thing: Any) -> Any:
        return asyncio.run(thing)

    def _tell(self, error: BaseException) -> Any:
        if isinstance(error, TheirError):
            return ["yours", error.args[1]]
        kind = type(error)
        text = "".join(traceback.format_exception(error)[-12:])
        number = self.export(error)[1]
        try:
            named = {name: value for name, value in vars(error).items() if type(value) in PLAIN}
            words = self.encode([[each for each in error.args if type(each) in PLAIN], named], [])
            said = str(error)
        except Exception:
            said, words = "", ["list", [["list", []], ["dict", []]]]
        return ["error", number, self.export(kind), words, said, text]


def _based(base: Any, value: Any) -> Any:
    return base.__new__(base, base.__str__(value) if base is str else value)


def _raised(kind: type) -> bool:
    return issubclass(kind, BaseException) and getattr(builtins, kind.__name__, None) is kind


def _standard_error(kind: type) -> bool:
    root = kind.__module__.partition(".")[0]
    return issubclass(kind, Exception) and root in sys.stdlib_module_names and root != "unittest"


def _their_exception(payload: Any) -> BaseException:
    name, text, place = payload
    kind = getattr(builtins, name, None) if name else None
    return kind(text) if kind and issubclass(kind, BaseException) else TheirError(text, place)


class Screen:
    """Standard output and input, which are the tests'."""

    encoding, errors = "utf-8", "strict"

    def __init__(self, answerer: Answerer, name: str) -> None:
        self.answerer, self.name = answerer, name

    def write(self, text: str) -> int:
        self.answerer.send(["out", self.name, str(text)])
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def main(number: int) -> None:
    answerer = Answerer(socket.socket(fileno=number))
    sys.stdout, sys.stderr = Screen(answerer, "stdout"), Screen(answerer, "stderr")
    builtins.input = lambda prompt="", /: answerer.ask("input", str(prompt))
    try:
        while True:
            message = answerer.receive()
            with answerer.lock:
                answerer.serve(message)
    except Broken:
        os._exit(0)  # the tests have ended
