"""Which names of the standard library an answer may use where the tests are."""

import builtins
import sys
from typing import Any

from harness.assistant.judging.wire import Broken


def standard(module: Any) -> bool:
    return str(module).partition(".")[0] in sys.stdlib_module_names and module in sys.modules


def named(module: str, name: str) -> type:
    """A type of the standard library: an exception, or one of the language itself."""
    found = getattr(sys.modules.get(module), name, None)
    known = module == "builtins" or (isinstance(found, type) and issubclass(found, Exception))
    if not (isinstance(found, type) and known) or module.partition(".")[0] == "unittest":
        raise Broken(f"{module}.{name} is no type that an answer may name")
    return found


def exception(name: str) -> Any:
    kind = getattr(builtins, str(name), None)
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        raise Broken(f"no exception: {name!r}")
    return Exception if kind in (BaseException, KeyboardInterrupt, GeneratorExit) else kind
