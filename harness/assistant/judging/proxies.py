"""The answer's objects as the tests see them: each operation is asked of the process that holds the object.

An answer decides nothing about a value of the tests: compared with one, an object that is not plain is not equal.
"""

import builtins
import contextlib
import os
import socket
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from harness.assistant.judging import names
from harness.assistant.judging.operators import ARITHMETIC, COMPARED, EXACT, FORWARDED, MEASURED, OF_PLAIN
from harness.assistant.judging.wire import PLAIN, Broken, Wire, fill

NUMBER = "_number_of_answer"


class AnswerClass(type):
    """The type of the answer's classes."""

    def __new__(cls, name: str, *_: Any) -> Any:
        raise TypeError(f"{name}: a class of the tests cannot derive from the answer's, which is in another process")

    def __call__(cls, *words: Any, **named: Any) -> Any:
        return tests().ask("call", cls, words, named)

    def __getattr__(cls, name: str) -> Any:
        if name == NUMBER:
            raise AttributeError(name)
        return tests().ask("get", cls, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        tests().ask("set", cls, name, value)

    def __delattr__(cls, name: str) -> None:
        tests().ask("del", cls, name)

    def __getitem__(cls, key: Any) -> Any:
        if vars(cls)["_iterates"]:  # an enumeration
            return tests().ask("operate", cls, "__getitem__", (key,))
        return cls.__class_getitem__(key)

    def __iter__(cls) -> Any:
        return iter(tests().ask("operate", cls, "__iter__", ()))

    def __len__(cls) -> int:
        return sum(1 for _ in cls)

    def __bool__(cls) -> bool:
        return True


class Answer:
    """An object of the answer."""

    def __getattr__(self, name: str) -> Any:
        if name in (NUMBER, "_operated"):
            raise AttributeError(name)
        return tests().ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        tests().ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        tests().ask("del", self, name)

    def __dir__(self) -> list[str]:
        return list(tests().ask("names", self))

    def __eq__(self, other: Any) -> Any:
        if self is other:
            return True
        if isinstance(other, Answer):
            return _alike(self, other)
        value = tests().ask("value", self)
        if value is NotImplemented:
            if other is not None:
                tests().remark(self, other)
            return False
        return value == other

    def __ne__(self, other: Any) -> Any:
        return not self == other

    def __hash__(self) -> int:
        return id(self)


def _alike(one: Answer, other: Answer) -> bool:
    if not (isinstance(one, type(other)) or isinstance(other, type(one))):
        return False
    if tests().ask("operate", one, "__eq__", (lambda: None,)) is True:
        raise tests().give_up(f"an object of {type(one).__name__} says that it equals anything")
    return tests().ask("operate", one, "__eq__", (other,)) is True


def _forward(name: str) -> Any:
    def method(self: Any, *words: Any) -> Any:
        other = words[0] if words else None
        against = bool(words) and not isinstance(other, Answer)
        if name in COMPARED and not isinstance(other, Answer):
            tests().remark(self, other)
            return NotImplemented
        if name in MEASURED and getattr(self, "_operated", False):
            raise tests().give_up(f"{name} of what {type(self).__name__} computed with a value of the tests")
        result = tests().ask("operate", self, name, words)
        if name in EXACT and type(result) is not EXACT[name]:
            raise TypeError(f"{name} of {type(self).__name__} returned {type(result).__name__}")
        if name in ARITHMETIC and against and result is not NotImplemented:
            if not isinstance(result, Answer):
                why = f"{type(self).__name__} made a plain value of a value of the tests ({name})"
                raise tests().give_up(why)
            if result is not self:
                object.__setattr__(result, "_operated", True)
        return result

    method.__name__ = name
    return method


class AnswerModule(types.ModuleType):
    """A module of the answer."""

    def __getattr__(self, name: str) -> Any:
        if name in (NUMBER, "__path__", "__spec__", "__file__", "__loader__", "__wrapped__"):
            raise AttributeError(name)
        return tests().ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__") or NUMBER not in self.__dict__:
            object.__setattr__(self, name, value)
        else:
            tests().ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        tests().ask("del", self, name)


class AnswerFunction:
    """A function or method of the answer."""

    def __init__(self, name: str, doc: str) -> None:
        self.__name__ = self.__qualname__ = name
        self.__doc__ = doc

    def __call__(self, *words: Any, **named: Any) -> Any:
        return tests().ask("call", self, words, named)

    def __getattr__(self, name: str) -> Any:
        if name == NUMBER:
            raise AttributeError(name)
        return tests().ask("get", self, name)

    def __get__(self, thing: Any, owner: Any = None) -> Any:
        return self if thing is None else types.MethodType(self, thing)


class Tests(Wire):
    """The tests' end. `broken` says why nothing that follows can be a pass."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__(end)
        self.lock = threading.RLock()
        self.broken = ""
        self.mine: list[Any] = []
        self.answers: dict[int, Any] = {}
        self.remarks: set[str] = set()
        self.state: Any = None

    def give_up(self, why: str) -> Broken:
        self.broken = self.broken or why
        return Broken(why)

    def remark(self, thing: Any, other: Any) -> None:
        line = f"note: an object of the answer's {type(thing).__name__} was compared with {type(other).__name__}"
        if line not in self.remarks:
            self.remarks.add(line)
            print(f"{line}: it is not equal to it, and is neither less nor more", file=sys.__stdout__)

    # What the tests ask of the answer

    def ask(self, act: str, *words: Any) -> Any:
        if self.broken:
            raise Broken(self.broken)
        try:
            with self.lock:
                return self._ask(act, words)
        except Broken as error:
            raise self.give_up(str(error)) from None
        except (KeyError, IndexError, ValueError, TypeError, AttributeError, RecursionError) as error:
            if getattr(error, "_of_answer", False):
                raise
            raise self.give_up(f"what came is no value: {error!r}") from error

    def _ask(self, act: str, words: Any) -> Any:
        known: list[Any] = []
        self.send(["ask", act, self.encode(list(words), known), self._state()])
        while (message := self.receive())[0] in ("ask", "out"):
            if message[0] == "out":
                print(str(message[2]), end="", file=sys.stderr if message[1] == "stderr" else sys.stdout)
            else:
                self._serve(message)
        kind, payload, changes = message
        value = self._raised(payload) if kind == "raised" else self.decode(payload, known, again=True)
        for number, changed in changes.items():
            fill(known[int(number)], self.decode(changed, known, again=True))
        if kind == "raised":
            value.__dict__["_of_answer"] = True
            raise value
        return value

    def _state(self) -> Any:
        now = [list(sys.argv), dict(os.environ), os.getcwd()]
        before, self.state = self.state, now
        return None if before == now else now

    def _raised(self, payload: list[Any]) -> BaseException:
        if payload[0] == "yours":
            own: BaseException = self._own(payload[1])
            return own
        _, number, kind, words, said, text = payload
        cls = self.resolve(kind)
        if not (isinstance(cls, type) and issubclass(cls, BaseException)) or not isinstance(said, str):
            raise Broken("what came as an exception is none")
        args, named = self.decode(words, [])
        error = _made(cls, args, said)
        error.args = tuple(args)
        error.__dict__.update({} if isinstance(cls, AnswerClass) else named)
        error.__dict__.update({NUMBER: number, "_said": said, "__notes__": [f"in the answer:\n{text}"]})
        self.answers.setdefault(number, error)
        return error

    # What the answer asks of the tests

    def _serve(self, message: list[Any]) -> None:
        _, act, words = message
        try:
            reply = ["done", self.encode(self._act(act, self.decode(words, [])), [])]
        except Broken:
            raise
        except Exception as error:
            self.mine.append(error)
            known = getattr(builtins, type(error).__name__, None) is type(error)
            reply = ["raised", ["list", [type(error).__name__ if known else "", str(error), len(self.mine) - 1]]]
        self.send(reply)

    def _act(self, act: str, words: list[Any]) -> Any:
        if act == "input":
            return str(builtins.input(words[0]))
        thing = words[0]
        if not any(thing is one for one in self.mine):
            raise Broken("the answer asked for what was not given to it")
        if act == "call":
            return thing(*words[1], **words[2])
        if act == "operate" and words[1] in FORWARDED:
            plain = getattr(builtins, words[1].strip("_"), None)  # len, iter, next, str …
            return plain(thing, *words[2]) if plain else getattr(thing, words[1])(*words[2])
        if act == "get" and words[1] in ("__name__", "__qualname__", "__doc__", "__module__"):
            return str(getattr(thing, words[1]))
        if act == "get" and isinstance(words[1], str) and not words[1].startswith("_"):
            value = getattr(thing, words[1])
            if isinstance(value, (*PLAIN, list, dict, set)) or getattr(value, "__self__", None) is thing:
                return value
            if type(thing).__module__ == "unittest.mock" and callable(value):
                return value
        raise AttributeError(f"{words[1]} of an object of the tests is not given to the answer")

    def _own(self, place: Any) -> Any:
        if type(place) is not int or not 0 <= place < len(self.mine):
            raise Broken("the answer names what it was not given")
        return self.mine[place]

    # Values that are not plain

    def export(self, value: Any) -> list[Any]:
        if isinstance(value, AnswerClass):
            return ["yours", vars(value)[NUMBER]]
        if isinstance(type(value), AnswerClass) or isinstance(value, (AnswerModule, AnswerFunction)):
            return ["yours", value.__dict__[NUMBER]]
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__]
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if (
            isinstance(name, str)
            and getattr(sys.modules.get(str(module)), name, None) is value
            and names.standard(module)
        ):
            return ["named", [module, name]]
        for place, one in enumerate(self.mine):
            if one is value:
                return ["mine", place]
        self.mine.append(value)
        return ["mine", len(self.mine) - 1]

    def resolve(self, payload: list[Any]) -> Any:
        name, number = payload[0], payload[1]
        if name == "yours":
            return self._own(number)
        if name == "named":
            return names.named(*number)
        if name == "module":
            return sys.modules[number] if names.standard(number) else AnswerModule(str(number))
        if type(number) is not int:
            raise Broken("what came has no number")
        if number not in self.answers:
            if name == "class":
                self.answers[number] = self._class(number, payload[2])
            elif name == "function":
                self.answers[number] = _numbered(AnswerFunction(payload[2]["name"], payload[2]["doc"]), number)
            elif name == "own module":
                self.answers[number] = _numbered(AnswerModule("module"), number)
            elif name == "coroutine":
                return self._later(number)
            elif name == "object":
                self.answers[number] = self._object(number, self.resolve(payload[2]), payload[3])
            else:
                raise Broken(f"what came is no value: {name!r}")
        return self.answers[number]

    async def _later(self, number: int) -> Any:
        self.answers[number] = _numbered(AnswerFunction("coroutine", ""), number)
        return self.ask("await", self.answers[number])

    def _object(self, number: int, cls: Any, plain: Any) -> Any:
        if not isinstance(cls, AnswerClass):
            raise Broken(f"an object of {cls!r}, which is no class of the answer")
        if issubclass(cls, BaseException):
            return _numbered(cls.__new__(cls), number)
        if not issubclass(cls, Answer):
            base: Any = cls
            return _numbered(base.__new__(cls, self.decode(plain, [])), number)
        return _numbered(object.__new__(cls), number)

    def _class(self, number: int, told: dict[str, Any]) -> Any:
        bases: list[Any] = [each for each in map(self.resolve, told["bases"]) if isinstance(each, AnswerClass)]
        raised, plain = told["raised"], told["plain"]
        if raised and not any(issubclass(base, BaseException) for base in bases):
            bases.append(names.exception(raised))
        elif plain and not raised and not any(issubclass(base, PLAIN) for base in bases):
            bases.append({base.__name__: base for base in PLAIN if base is not bool}[plain])
        elif not bases:
            bases.append(Answer)
        if not all(issubclass(base, Answer) for base in bases):
            bases = [base for base in bases if base is not Answer]
        inner: dict[str, Any] = {NUMBER: number, "_iterates": bool(told["iterates"]), "__doc__": str(told["doc"])}
        inner["__module__"] = str(told["module"])
        special = FORWARDED if all(issubclass(base, Answer) for base in bases) else OF_PLAIN
        inner.update({name: _forward(name) for name in told["special"] if name in special})
        if raised:
            inner.update(__str__=lambda self: self.__dict__.get("_said", ""), __getattr__=Answer.__getattr__)
        elif special is OF_PLAIN:
            inner["__getattr__"] = Answer.__getattr__
        elif not told["hashable"]:
            inner["__hash__"] = None
        name = str(told["name"])
        return type.__new__(AnswerClass, name, tuple(dict.fromkeys(bases)), inner)


def _made(cls: Any, args: list[Any], said: str) -> BaseException:
    """An exception of that class; not every one is made of its arguments."""
    makers: list[Callable[[], Any]] = [lambda: cls.__new__(cls, *args), lambda: Exception(said)]
    for make in makers if isinstance(cls, AnswerClass) else [lambda: cls(*args), *makers]:
        with contextlib.suppress(TypeError):
            error: BaseException = make()
            return error
    raise Broken(f"no exception of {cls.__name__} can be made")


def _numbered(thing: Any, number: int) -> Any:
    thing.__dict__[NUMBER] = number
    return thing


_tests: list[Tests] = []


def tests() -> Tests:
    return _tests[0]


def connect(ours: Tests) -> None:
    _tests[:] = [ours]
