"""The process that judges: it runs the tests, which know the answer only as objects of another process.

judge.main(tests' path, the answer's folder)          the verdict goes to the pipe whose number SAID names,
                                                      behind the word that stood on standard input
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import socket
import subprocess
import sys
import traceback
import types
import unittest
from pathlib import Path
from typing import Any

from harness.assistant.judging import proxies

WORK = "/pairing"
START = (
    f"import sys; sys.path[:0] = [{WORK!r}]; sys.path.append('/judge')\n"
    "from harness.assistant.judging import answering; sys.path.pop(); answering.main({number})"
)
UNPICKLED = {"collections", "datetime", "decimal", "fractions"}


class Answers(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the modules of the answer from the other process."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return importlib.machinery.ModuleSpec(name, self) if name in self.names else None

    def create_module(self, spec: Any) -> types.ModuleType:
        module, public, doc = proxies.tests().ask("import", spec.name)
        if not isinstance(module, proxies.AnswerModule):
            raise ImportError(f"{spec.name} is no module")
        module.__dict__.update(__name__=spec.name, __all__=[str(name) for name in public], __doc__=str(doc))
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def guard(tests: str, texts: set[str]) -> None:
    """Refuse to execute anything of the answer's in this process."""

    def hook(event: str, words: tuple[Any, ...]) -> None:
        if event == "pickle.find_class" and words[0] not in UNPICKLED:
            refuse(f"to unpickle {words[0]}.{words[1]}")
        elif event == "compile":
            text = words[0].decode("utf-8", "replace") if isinstance(words[0], bytes) else words[0]
            if (isinstance(text, str) and text.strip() in texts) or sys._getframe(1).f_code.co_filename == tests:
                refuse("to compile, eval or exec text")
        elif event == "exec":
            name = getattr(words[0], "co_filename", "")
            if name.startswith(WORK) or (sys._getframe(1).f_code.co_filename == tests and name != tests):
                refuse("to execute a file of the answer or text")

    def refuse(what: str) -> None:
        why = f"the tests ask this process {what}, where the answer could judge itself; import the answer instead"
        raise proxies.tests().give_up(why)

    sys.addaudithook(hook)


def main(tests: str) -> None:
    said, word = int(os.environ.pop("SAID")), sys.stdin.readline().strip()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.set_inheritable(said, False)
    ours, theirs = socket.socketpair()
    files = {path.stem: path.read_text("utf-8", "replace").strip() for path in Path(WORK).glob("*.py")}
    command = [sys.executable, "-u", "-I", "-c", START.format(number=theirs.fileno())]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], cwd=WORK)
    theirs.close()
    proxies.connect(proxies.Tests(ours))
    sys.meta_path.insert(0, Answers(set(files)))
    sys.path[:] = [os.path.dirname(tests), *(place for place in sys.path if place and place != "/judge")]
    sys.argv[:] = [tests]
    result = _run(tests, {text for text in files.values() if text})
    verdict = {"word": word, **result, "broken": proxies.tests().broken}
    os.write(said, json.dumps(verdict).encode()[:4000])
    print("\n" + sentence(verdict), flush=True)
    process.kill()
    os._exit(0 if verdict["passed"] and not verdict["broken"] else 1)


def sentence(verdict: dict[str, Any]) -> str:
    if verdict["broken"]:
        return f"not judged as passed: {verdict['broken']}"
    return f"{verdict['tests']} tests, {'all' if verdict['passed'] else 'not all'} passed"


def _run(path: str, texts: set[str]) -> dict[str, Any]:
    module = types.ModuleType(Path(path).stem)
    module.__file__ = path
    sys.modules[module.__name__] = module
    outcome = unittest.TestResult()
    count = 0
    try:
        code = compile(Path(path).read_text("utf-8"), path, "exec")
        guard(path, texts)
        exec(code, module.__dict__)
        suite = _suite(module)
        count = suite.countTestCases()
        outcome = unittest.TextTestRunner(stream=sys.__stdout__).run(suite)
    except BaseException:
        traceback.print_exc(file=sys.__stdout__)
        return {"tests": count, "passed": False}
    passed = outcome.wasSuccessful() and not outcome.skipped and count > 0 and outcome.testsRun == count
    return {"tests": count, "passed": bool(passed)}


def _suite(module: types.ModuleType) -> unittest.TestSuite:
    own = [each for each in vars(module).items() if not isinstance(each[1], proxies.AnswerClass)]
    cases = [each for _, each in own if isinstance(each, type) and issubclass(each, unittest.TestCase)]
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    functions = [
        unittest.FunctionTestCase(each) for name, each in own
        if name.startswith("test_") and isinstance(each, types.FunctionType)
    ]  # fmt: skip
    return unittest.TestSuite([*map(load, cases), *functions])
