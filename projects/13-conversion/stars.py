"""`from .blocks import *` of a project's own module also brings what that imports: PyTorch's names, written out."""

import ast
from pathlib import Path

import sources
from mending import Names


def spread(tree: ast.Module, path: Path, folder: Path) -> None:
    """Import by name, behind each such line of the file at `path`, what of PyTorch comes with it."""
    for number, node in reversed(list(enumerate(tree.body))):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            tree.body[number + 1 : number + 1] = [
                ast.copy_location(_imported(alias, full), node) for alias, full in _brought(node, path, folder, ())
            ]


def _brought(node: ast.ImportFrom, path: Path, folder: Path, seen: tuple[Path, ...]) -> list[tuple[str, str]]:
    """Names that the line brings, and what of PyTorch they mean."""
    module = _file(node, path, folder)
    if module is None or module in seen:
        return []
    try:
        tree = sources.parse(sources.read(module))
    except sources.Unreadable:
        return []
    found = [each for each in Names(tree).known.items() if each[1].partition(".")[0] in ("torch", "torchvision")]
    for inner in tree.body:
        if isinstance(inner, ast.ImportFrom) and inner.names[0].name == "*":
            found += _brought(inner, module, folder, (*seen, module))
    named = next((each.value for each in tree.body if isinstance(each, ast.Assign) and _is_all(each)), None)
    if named is not None:
        chosen = {each.value for each in ast.walk(named) if isinstance(each, ast.Constant)}
        return [each for each in found if each[0] in chosen]
    return [(alias, full) for alias, full in found if not alias.startswith("_") and not full.endswith("*")]


def _is_all(node: ast.Assign) -> bool:
    return isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"


def _file(node: ast.ImportFrom, path: Path, folder: Path) -> Path | None:
    parts = (node.module or "").split(".") if node.module else []
    bases = [path.parents[node.level - 1]] if node.level else [path.parent, folder]
    for base in bases:
        place = base.joinpath(*parts)
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


def _imported(alias: str, full: str) -> ast.stmt:
    parent, _, last = full.rpartition(".")
    if not parent:
        return ast.Import([ast.alias(full, None if alias == full else alias)])
    return ast.ImportFrom(parent, [ast.alias(last, None if alias == last else alias)], 0)
