"""Code blocks: what of an answer in Markdown is code, and how it differs from what was there."""

import ast
import builtins
import difflib
import re
import symtable
from collections.abc import Mapping
from dataclasses import dataclass

LANGUAGES = {"", "python", "py", "python3", "py3", "python2"}
NAME = re.compile(r"(?<![\w/.-])([\w-]+\.py)(?![\w.])")
ALONE = re.compile(r"^[\W_]*(?:(?:file(?:name)?|文件名?)\s*[:：]?\W*)?([\w-]+\.py)\W*$", re.I)
THOUGHT = re.compile(r"\A\s*(?:<think>)?.*?</think>|<think>.*?(?:</think>|\Z)", re.S)


@dataclass(frozen=True)
class Block:
    """A block without a name, and what can be said of its text."""

    text: str
    marked: bool  # it says that it is Python

    @property
    def sound(self) -> bool:
        try:
            compile(self.text, "answer", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
        return True

    @property
    def defines(self) -> set[str]:
        return set(re.findall(r"^(?:async def|def|class)\s+(\w+)", self.text, re.M))

    @property
    def lacks(self) -> set[str]:
        """The names that it uses and nobody has given a value."""
        table = symtable.symtable(self.text, "answer", "exec")
        bound = {each.get_name() for each in table.get_symbols() if each.is_assigned() or each.is_imported()}
        tables, used = [table], set()
        for one in tables:
            tables += one.get_children()
            used |= {each.get_name() for each in one.get_symbols() if each.is_referenced() and each.is_global()}
        used |= {each.get_name() for each in table.get_symbols() if each.is_referenced()}
        return used - bound - set(dir(builtins)) - {"__name__", "__file__", "__doc__"}


def files(answer: str, default: str) -> dict[str, str]:
    """The files of an answer by name, which stands on the fence, alone on the line above, or in a first comment.

    Of the blocks without a name the last whole one is `default`: no excerpt, and no example that uses another.
    """
    answer = spoken(answer).replace("\r\n", "\n")
    named, blocks = _blocks(answer)
    if not named and not blocks and (bare := Block(answer.strip("\n") + "\n", marked=False)).sound and _is_code(bare):
        blocks = [bare]
    chosen = _whole(blocks, default.removesuffix(".py"), set(named))
    return {**named, **({default: chosen.text} if chosen and default not in named else {})}


def spoken(answer: str) -> str:
    """An answer without what the model thought aloud before it."""
    return THOUGHT.sub("", answer) if "<think>" in answer or "</think>" in answer else answer


def diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """The unified diff of two sets of files."""
    lines: list[str] = []
    for name in after:
        old, new = before.get(name, "").splitlines(), after[name].splitlines()
        lines += difflib.unified_diff(old, new, f"before/{name}", f"after/{name}", lineterm="")
    return "\n".join(lines)


def _blocks(answer: str) -> tuple[dict[str, str], list[Block]]:
    from markdown_it import MarkdownIt

    named, blocks, above = {}, [], ""
    for token in MarkdownIt("commonmark").parse(answer):
        if token.type == "inline":
            above = token.content.rstrip().rpartition("\n")[2]
        if token.type not in ("fence", "code_block") or not token.map:
            continue
        length = token.map[1] - token.map[0]
        if token.type == "fence" and length != token.content.count("\n") + 2:
            continue  # it was not finished
        language = re.sub(r"^\W+|[{}:]", " ", token.info).strip().partition(" ")[0]
        name = _name(token.info, above, token.content)
        above = ""
        if language.lower() not in LANGUAGES and not NAME.fullmatch(token.info.strip()):
            continue
        if name:
            named[name] = token.content
        else:
            blocks.append(Block(token.content, marked=bool(language)))
    return named, blocks


def _name(info: str, above: str, content: str) -> str:
    comment = re.match(r"#\s*(?:file(?:name)?:?\s*)?([\w-]+\.py)\s*$", content.split("\n", 1)[0], re.I)
    for found in (NAME.search(info), ALONE.match(above), comment):
        if found:
            return found[1]
    return ""


def _is_code(block: Block) -> bool:
    kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef, ast.Import, ast.ImportFrom, ast.Assign)
    body = ast.parse(block.text).body
    calls = [each for each in body if isinstance(each, ast.Expr) and isinstance(each.value, ast.Call)]
    return bool(calls) or any(isinstance(each, kinds) for each in body)


def _whole(blocks: list[Block], module: str, named: set[str]) -> Block | None:
    """The last block that is a file: one that defines what no other one has more of, and stands alone."""
    modules = {module, *(name.removesuffix(".py") for name in named)}
    blocks = [each for each in blocks if each.marked or (each.sound and _is_code(each))]
    own = [each for each in blocks if not (each.sound and _imports(each) & modules)] if len(blocks) > 1 else blocks
    own = [each for each in own if not named or not (each.sound and _imports(each) & modules)]
    defining = [each for each in own if each.defines] or own
    larger = [each for each in defining if not any(each.defines < other.defines for other in defining)]
    alone = [each for each in larger if not each.sound or not each.lacks] or larger
    return alone[-1] if alone else None


def _imports(block: Block) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found
