"""Run the scripts of a converted project and count which of its functions were really executed."""

import ast
import os
import runpy
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

GENERATED = ("paddle_utils.py", "mending_helpers.py")
Place = tuple[str, int]  # file, first line with decorators: what a code object says of itself


def functions(folder: Path) -> dict[Place, str]:
    """Every function defined in the project's own files, as "file:line name"."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        if path.name in GENERATED:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                found[str(path), line] = f"{path.relative_to(folder)}:{node.lineno} {node.name}"
    return found


def scripts(folder: Path) -> list[Path]:
    """The files that do something when they are run."""
    files = [path for path in sorted(folder.rglob("*.py")) if path.name not in GENERATED]
    return [path for path in files if _does_something(path.read_text(encoding="utf-8"))]


def _does_something(text: str) -> bool:
    """Whether a file asks for its being run as a script, or has a loop or a bare `main()` outside of functions."""
    loops = (ast.For, ast.While, ast.With)
    statements = ast.parse(text).body
    calls = [node.value.func for node in statements if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    return (
        "__main__" in text
        or any(isinstance(node, loops) for node in statements)
        or any(isinstance(called, ast.Name) for called in calls)
    )


def execute(folder: Path, note: Callable[[Any], None], executed: set[Place]) -> int:
    """Run each script from its folder and return how many there were.

    `note` is given what each function of the project had in hand at its end.

    What was executed is added to `executed`, also if a script fails; its exception is raised.
    """
    defined = functions(folder)

    def watch(frame: Any, event: str, _: Any) -> None:
        place = (frame.f_code.co_filename, frame.f_code.co_firstlineno)
        if event == "return" and place in defined:
            executed.add(place)
            for value in list(frame.f_locals.values()):
                note(value)

    before, path, words = Path.cwd(), list(sys.path), sys.argv
    found = scripts(folder)
    for script in found:
        os.chdir(script.parent)
        sys.path[:0] = [str(script.parent), str(folder)]
        sys.argv = [str(script)]
        threading.setprofile(watch)  # data loaders call a data set from a thread
        sys.setprofile(watch)
        try:
            runpy.run_path(str(script), run_name="__main__")
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]
            os.chdir(before)
            sys.path[:], sys.argv = path, words
    return len(found)
