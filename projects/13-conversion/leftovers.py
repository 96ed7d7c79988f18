"""What is open after a conversion: marks of PaConvert, and PyTorch that is left where PaConvert does not look."""

import ast
import re
from collections.abc import Iterator

from mending import Open, Rules
from places import MARK

PYTORCH = ("torch", "torchvision", "torchaudio", "torchtext")


def in_source(tree: ast.Module, rules: Rules) -> list[Open]:
    """Packages made for PyTorch, modules of PyTorch that are only known while it runs, and names in strings."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [Open(node.lineno, ast.unparse(node), hint) for e in node.names if (hint := _third(e.name, rules))]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            full = [f"{node.module}.{each.name}" for each in node.names]
            if hints := [hint for name in full if name not in rules.names and (hint := _third(name, rules))]:
                found.append(Open(node.lineno, ast.unparse(node), hints[0]))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if called in ("import_module", "__import__", "exec", "eval") and "torch" in ast.unparse(node):
                found.append(Open(node.lineno, ast.unparse(node), "PyTorch in a string: write it out"))
    found += [Open(line, text, "the name of something of PyTorch in a string") for line, text in _strings(tree)]
    return list({each.line: each for each in reversed(found)}.values())[::-1]


def _third(name: str, rules: Rules) -> str:
    if name in ("torch", "torchvision") or name.startswith(("torch.", "torchvision.")):
        return ""  # by name, where it is used
    for known, hint in rules.third.items():
        if name == known or name.startswith(f"{known}."):
            return hint
    return "a package for PyTorch" if re.search(r"(^|[._])(py)?torch\w*", name) else ""


def _strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and re.fullmatch(r"torch(\.\w+)+", text):
            yield node.lineno, repr(text)


def in_result(text: str, lines: list[int]) -> list[Open]:
    """Marked lines, and imports and names of torch that nothing marked."""
    found = []
    for number, row in enumerate(text.splitlines()):
        line = lines[number] if number < len(lines) else 0
        if row.startswith(MARK):
            found.append(Open(line, row.removeprefix(MARK).strip(), "PaConvert does not know it"))
        elif re.match(r"\s*(import|from)\s+torch\b", row):
            found.append(Open(line, row.strip(), "still PyTorch"))
    try:
        tree = ast.parse(re.sub(rf"(?m)^{MARK}", "", text))
    except SyntaxError as error:
        if found:
            return found
        line = lines[min((error.lineno or 1), len(lines)) - 1]
        return [*found, Open(line, (error.text or "").strip(), "PaConvert made of it what is no Python")]
    marked = {number for number, row in enumerate(text.splitlines(), 1) if row.startswith(MARK)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in PYTORCH and node.lineno not in marked:
            found.append(Open(lines[node.lineno - 1], text.splitlines()[node.lineno - 1].strip(), "still PyTorch"))
    return found
