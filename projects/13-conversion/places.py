"""Where a line of the result stood in the person's file, and the comments there.

PaConvert parses, so that comments are lost and lines move. Before each statement goes a bare name, `_line_12`, which
says where the next statement stood; the comments are kept aside and put back where those names come out again.
"""

import ast
import io
import re
import tokenize
from collections import defaultdict
from dataclasses import dataclass, field

MARKER = re.compile(r"^(?:>>>>>>)?([ \t]*)_line_(\d+)$")
MARK = ">>>>>>"  # of PaConvert, before a line that it does not know


@dataclass
class Comments:
    """The comments of a statement: on lines of their own before it, and behind its first or only line."""

    before: list[str] = field(default_factory=list)
    behind: str = ""


def comments(text: str, tree: ast.Module, skip: int = 0) -> dict[int, Comments]:
    """By the first line of the statement that they belong to; line 0: after the last statement.
    Those of the first `skip` lines are left out."""
    starts = sorted(_start(node) for node in ast.walk(tree) if isinstance(node, ast.stmt))
    found: dict[int, Comments] = defaultdict(Comments)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, column = token.start
        own = not token.line[:column].strip()
        if line <= skip:
            continue
        around = [start for start in starts if (start >= line if own else start <= line)]
        if own:
            found[around[0] if around else 0].before.append(token.string)
        elif not found[around[-1]].behind:
            found[around[-1]].behind = token.string
        else:
            found[around[-1]].behind += "  " + token.string
    return found


def _start(node: ast.stmt) -> int:
    return min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])


def mark(tree: ast.Module) -> ast.Module:
    """Put before each statement the name that says its line. Docstrings stay the first thing of their bodies."""
    for node in list(ast.walk(tree)):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if not isinstance(body, list) or _is_elif(name, body):
                continue
            marked: list[ast.stmt] = []
            for number, each in enumerate(body):
                if number or not _is_docstring(each):
                    marked.append(ast.Expr(ast.Name(f"_line_{_start(each)}", ast.Load())))
                marked.append(each)
            setattr(node, name, marked)
    return ast.fix_missing_locations(tree)


def _is_elif(name: str, body: list[ast.stmt]) -> bool:
    return name == "orelse" and len(body) == 1 and isinstance(body[0], ast.If)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def restore(text: str, kept: dict[int, Comments]) -> tuple[str, list[int]]:
    """The text without those names and with the comments; and for each of its lines the person's line (0: none)."""
    lines: list[str] = []
    places: list[int] = []
    current, behind = 0, ""
    for line in text.splitlines():
        if match := MARKER.match(line):
            indent, current = match.group(1), int(match.group(2))
            found = kept.pop(current, Comments())
            lines += [indent + each for each in found.before]
            places += [current] * len(found.before)
            behind = found.behind
            continue
        if behind and line.strip() and not line.rstrip().endswith(("(", "[", "{", "\\", '"""', "'''", ",")):
            line, behind = f"{line}  {behind}", ""
        lines.append(line)
        places.append(current)
    rest = [each for number in sorted(kept) for each in (*kept[number].before, kept[number].behind) if each]
    lines += rest
    places += [0] * len(rest)
    return "\n".join(lines) + "\n", places
