"""The person's project as it is read: encodings, notebooks, and which files are scripts."""

import ast
import contextlib
import io
import json
import re
import shutil
import tokenize
from collections.abc import Iterator
from pathlib import Path

NOT_SCRIPTS = ("setup.py", "conftest.py", "versioneer.py")
ENCODING = re.compile(r"(^[ \t\f]*#.*?coding[:=][ \t]*)[-\w.]+", re.ASCII)  # of PEP 263
SKIPPED = {"__pycache__", ".git", ".venv", "venv", "node_modules", ".ipynb_checkpoints", ".idea"}


class Unreadable(ValueError):
    """A file that is no Python: which, and why."""


def read(path: Path) -> str:
    """The text of a Python file, by its own encoding line, which then says UTF-8, as written anew; with \\n alone."""
    content = path.read_bytes()
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = content.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise Unreadable(f"it is not UTF-8 and names no encoding that fits ({error}); save it as UTF-8") from None
    lines = text.removeprefix("\ufeff").splitlines()
    lines[:2] = [ENCODING.sub(r"\g<1>utf-8", line) for line in lines[:2]]
    return "\n".join(lines) + "\n"


def parse(text: str) -> ast.Module:
    """Its syntax tree. Raises Unreadable with line and reason."""
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise Unreadable(f"line {error.lineno}: {error.msg}: {(error.text or '').strip()}") from None
    except ValueError as error:
        raise Unreadable(str(error)) from None


def files(folder: Path) -> list[Path]:
    """Every Python file and notebook of a project, but those of environments and caches."""
    found = (path for kind in ("*.py", "*.ipynb") for path in folder.rglob(kind))
    return sorted(path for path in found if not SKIPPED & set(path.relative_to(folder).parts))


def readable(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    """Its Python files, relative to `folder`, and what they say; without those that are no Python."""
    for path in files(folder):
        if path.suffix == ".py":
            with contextlib.suppress(Unreadable):
                yield path.relative_to(folder), parse(read(path))


def take(source: Path, target: Path) -> None:
    """Copy the project, notebooks as scripts beside. A symbolic link is followed inside of the project only."""

    def skip(folder: str, names: list[str]) -> set[str]:
        outside = {
            name
            for name in names
            if (path := Path(folder, name)).is_symlink() and not path.resolve().is_relative_to(source)
        }
        return outside | (SKIPPED & set(names))

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=skip, ignore_dangling_symlinks=True)
    for path in files(target):
        if path.suffix == ".ipynb":
            try:
                path.with_suffix(".py").write_text(notebook(path.read_text(encoding="utf-8")), encoding="utf-8")
            except (ValueError, KeyError, TypeError):
                continue
            path.unlink()


def notebook(text: str) -> str:
    """The code cells of a notebook as one script; lines for IPython alone become comments."""
    cells = []
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] != "code":
            continue
        code = "".join(cell["source"])
        if code.startswith("%%") and not code.startswith(("%%time", "%%capture")):
            code = "\n".join(f"# {line}" for line in code.splitlines())
        lines = [f"# {line}" if line.lstrip().startswith(("%", "!", "?")) else line for line in code.splitlines()]
        cells.append("\n".join(lines))
    return "\n\n".join(cells) + "\n"


def is_test(path: Path) -> bool:
    return path.name.startswith("test_") or path.stem.endswith("_test") or "tests" in path.parts


def scripts(folder: Path) -> list[Path]:
    """The files that do something when they are run, relative to `folder`."""
    found = []
    for name, tree in readable(folder):
        if name.name not in NOT_SCRIPTS and not is_test(name) and name.parts[0] != "docs":
            found.append((name, does_something(tree), _guarded(tree)))
    guarded = [name for name, does, guard in found if guard]
    imported = _imported(folder)
    return guarded + [name for name, does, guard in found if does and not guard and name not in imported]


def _guarded(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in tree.body)


def does_something(tree: ast.Module) -> bool:
    """Whether a file has statements of its own beside imports, definitions and names for constants."""
    for node in tree.body:
        if isinstance(node, ast.For | ast.While | ast.With) or _guarded(tree):
            return True
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            return True
        if isinstance(node, ast.Assign | ast.AugAssign) and any(isinstance(e, ast.Call) for e in ast.walk(node.value)):
            return True
    return False


def _imported(folder: Path) -> set[Path]:
    """The project's files that another of them imports."""
    found: set[Path] = set()
    for path, tree in readable(folder):
        here = path.parent
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
                level = 0
            elif isinstance(node, ast.ImportFrom):
                stem = node.module or ""
                names = [stem, *(f"{stem}.{each.name}".strip(".") for each in node.names)]
                level = node.level
            else:
                continue
            bases = [here, Path()] if not level else [Path(*here.parts[: len(here.parts) - level + 1])]
            for base in bases:
                for name in filter(None, names):
                    found |= {
                        (base / Path(*name.split("."))).with_suffix(".py"),
                        base / Path(*name.split(".")) / "__init__.py",
                    }
    return found
