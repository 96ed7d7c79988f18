"""What is open after PaConvert: its marks, and PyTorch that is left. Each ends the program should it be reached."""

import ast
import re

from mending import PACKAGE, Open
from places import MARK

PYTORCH = ("torch", "torchvision", "torchaudio", "torchtext")


AGAIN = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp, ast.BoolOp)
EARLY = "PaConvert computes a part of it before the line, once: give that part a line of its own"


def computed_early(text: str, own: set[str]) -> tuple[str, set[int]]:
    """The text with marks where a variable that PaConvert made, and set before the statement, stands in what is
    computed again, later or not at all: in functions, comprehensions, conditions. And the marked rows.

    `own`: the person's names.
    """
    try:
        tree = ast.parse(re.sub(rf"(?m)^{MARK}", "", text))
    except SyntaxError:
        return text, set()
    made = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and re.fullmatch(r"\w+_\d+", target.id) and target.id not in own
    }
    later = [node for node in ast.walk(tree) if isinstance(node, AGAIN)]
    later += [node.test for node in ast.walk(tree) if isinstance(node, ast.While)]
    places = {
        node.lineno for each in later for node in ast.walk(each) if isinstance(node, ast.Name) and node.id in made
    }
    rows = text.split("\n")
    for number in places:
        rows[number - 1] = MARK + rows[number - 1].removeprefix(MARK)
    return "\n".join(rows), places


def in_result(text: str, lines: list[int], early: set[int]) -> list[Open]:
    """Marked lines, and imports and names of torch that nothing marked."""
    found = []
    for number, row in enumerate(text.splitlines()):
        line = lines[number] if number < len(lines) else 0
        if row.startswith(MARK):
            hint = EARLY if number + 1 in early else "PaConvert does not know it"
            found.append(Open(line, row.removeprefix(MARK).strip(), hint))
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


def stopped(text: str, lines: list[int], name: str) -> tuple[str, list[int]]:
    """The text with a call that ends the program in place of each statement that is open, which stays as a comment;
    and where its lines stand in the person's file `name`. A text that is no Python stays as it is."""
    plain = re.sub(rf"(?m)^{MARK}", "", text)
    try:
        tree = ast.parse(plain)
    except SyntaxError:
        return text, lines
    rows, marked = plain.splitlines(), {number for number, row in enumerate(text.splitlines(), 1) if MARK in row[:6]}
    marked |= {node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in PYTORCH}
    marked |= {number for number, row in enumerate(rows, 1) if re.match(r"\s*(import|from)\s+torch\b", row)}
    innermost: dict[int, ast.stmt] = {}
    for node in ast.walk(tree):  # outer statements come first
        if isinstance(node, ast.stmt):
            innermost.update(dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), node))
    spans = sorted({(innermost[row].lineno, innermost[row].end_lineno or 0) for row in marked if row in innermost})
    outer = [span for span in spans if not any(a <= span[0] and span[1] <= b for a, b in spans if (a, b) != span)]
    for first, last in reversed(outer):
        row = rows[first - 1]
        indent = row[: len(row) - len(row.lstrip())]
        said = f"{name}:{lines[first - 1]}: {' '.join(row.split())}"
        kept = [f"{indent}# {each[len(indent) :]}" for each in rows[first - 1 : last]]
        rows[first - 1 : last] = [f"{indent}{PACKAGE}.not_converted({said!r})", *kept]
        lines = [*lines[: first - 1], lines[first - 1], *lines[first - 1 :]]
    return "\n".join(rows) + "\n", lines
