"""Mend, before PaConvert sees it, what it would convert wrongly or not at all, by the rules of rules/.

A rule names something of PyTorch and the function of `mended/` with PyTorch's meaning that takes its place. So a mark
that PaConvert sets is never lifted: what a rule replaced is not there any more when it converts.
"""

import ast
import re
import shutil
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
PACKAGE = "mended"
PREFIX = "_mended_"  # a bare name, which PaConvert leaves alone; afterwards "mended."
DOT = "_DOT_"
KEPT = "_kept_"


@dataclass(frozen=True)
class Rules:
    """By PyTorch's name: what of `mended` replaces it. Methods become functions, whatever they are called on."""

    names: dict[str, str]
    methods: dict[str, str]
    attributes: dict[str, str]
    kept: set[str]  # methods and attributes that `mended` gives to Paddle's own classes: PaConvert is to leave them
    refused: dict[str, str]  # why
    after: list[dict[str, str]]  # patterns over what PaConvert wrote
    third: dict[str, str]  # packages for PyTorch, and a hint


def rules(paddle: Collection[str]) -> Rules:
    """The rules for a Paddle by the names that it has: an entry with `unless` falls away where it has that one."""
    found = Rules({}, {}, {}, set(), {}, [], {})
    for path in sorted((HERE / "rules").glob("*.yaml")):
        for topic in yaml.safe_load(path.read_text(encoding="utf-8")):
            if topic.get("unless") in paddle:
                continue
            found.names.update(_replacements(topic, "names"))
            found.methods.update(_replacements(topic, "methods"))
            found.attributes.update(_replacements(topic, "attributes"))
            found.kept.update(topic.get("kept", []))
            found.refused.update(topic.get("refused", {}))
            found.third.update(topic.get("third", {}))
            found.after.extend(topic.get("after", []))
    return found


def _replacements(topic: dict[str, Any], kind: str) -> dict[str, str]:
    given = topic.get(kind, {})
    return given if isinstance(given, dict) else {name: name.rpartition(".")[2] for name in given}


@dataclass(frozen=True)
class Open:
    """Something that is not converted: the person's line, what stands there, and a hint."""

    line: int
    text: str
    hint: str


class Names(ast.NodeVisitor):
    """What of PyTorch the names of a file mean: `nn` → torch.nn."""

    def __init__(self, tree: ast.AST) -> None:
        self.known: dict[str, str] = {}
        self.visit(tree)

    def visit_Import(self, node: ast.Import) -> None:
        for each in node.names:
            if each.asname:
                self.known[each.asname] = each.name
            else:
                top = each.name.partition(".")[0]
                self.known[top] = top

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module and not node.level:
            for each in node.names:
                self.known[each.asname or each.name] = f"{node.module}.{each.name}"

    def full(self, node: ast.AST) -> str | None:
        """The full name of an expression such as `nn.functional.relu`, None if it is not one of an import."""
        if isinstance(node, ast.Name):
            return self.known.get(node.id)
        if isinstance(node, ast.Attribute) and (before := self.full(node.value)):
            return _canonical(f"{before}.{node.attr}")
        return None


def _canonical(name: str) -> str:
    name = re.sub(r"^torch\.nn\.modules\.\w+\.(?=[A-Z])", "torch.nn.", name)
    name = re.sub(r"^torch\.optim\.\w+\.(?=[A-Z])", lambda m: m[0] if "lr_scheduler" in m[0] else "torch.optim.", name)
    return re.sub(r"^torch\.utils\.data\.(dataset|dataloader|sampler)\.", "torch.utils.data.", name)


@dataclass
class Mender(ast.NodeTransformer):
    """Applies the rules to one file; `used` counts them, `open` has what they refuse."""

    rules: Rules
    names: Names
    used: Counter[str] = field(default_factory=Counter)
    open: list[Open] = field(default_factory=list)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        called = node.func
        full = self.names.full(called)
        if isinstance(called, ast.Name) and called.id in ("getattr", "vars", "hasattr"):
            self._dynamic(node)
        if full is not None and full.startswith("torch.") and (out := _without(node, "out")):
            self.used["out="] += 1
            return ast.copy_location(ast.Call(_name("into"), [self.visit(node), self.visit(out)], []), node)
        if full in self.rules.names and full != "torch.where" and not node.args and (x := _without(node, "input")):
            node.args = [x]  # always the first, whatever it is called here
        if not isinstance(called, ast.Attribute) or full is not None or _is_super(called.value):
            return self.generic_visit(node)
        if isinstance(called.value, ast.Name) and called.value.id == "self":  # a method or layer of the person's own
            called.attr = KEPT + called.attr
            return self.generic_visit(node)
        if f".{called.attr}" in self.rules.refused:
            self._refuse(node, self.rules.refused[f".{called.attr}"])
        if called.attr not in self.rules.methods:
            return self.generic_visit(node)
        self.used[f".{called.attr}()"] += 1
        arguments = [self.visit(called.value), *map(self.visit, node.args)]
        keywords = [ast.keyword(each.arg, self.visit(each.value)) for each in node.keywords]
        return ast.copy_location(ast.Call(_name(self.rules.methods[called.attr]), arguments, keywords), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        full = self.names.full(node)
        if full is not None:
            return self._reference(node, full)
        if node.attr in self.rules.kept and not _is_super(node.value):
            node.attr = KEPT + node.attr
        elif isinstance(node.ctx, ast.Load) and node.attr in self.rules.attributes:
            self.used[f".{node.attr}"] += 1
            return ast.copy_location(
                ast.Call(_name(self.rules.attributes[node.attr]), [self.visit(node.value)], []), node
            )
        return self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """`x.shape[0]` is the same in a list."""
        if (
            isinstance(node.value, ast.Attribute)
            and node.value.attr == "shape"
            and not isinstance(node.slice, ast.Slice)
        ):
            node.value.value = self.visit(node.value.value)
            node.slice = self.visit(node.slice)
            return node
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """So is `rows, columns = x.shape`. Settings of PyTorch's backends fall away: they are about speed."""
        if (self.names.full(node.targets[0]) or "").startswith("torch.backends."):
            return ast.copy_location(ast.Pass(), node)
        if (
            isinstance(node.targets[0], ast.Tuple)
            and isinstance(node.value, ast.Attribute)
            and node.value.attr == "shape"
        ):
            node.targets = [self.visit(each) for each in node.targets]
            node.value.value = self.visit(node.value.value)
            return node
        return self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """Paddle makes a new object of a type each time: `is` becomes ==."""
        full = self.names.full(node.comparators[0]) or self.names.full(node.left) or ""
        if full in self.rules.names and full.startswith("torch.") and full.count(".") == 1:
            swapped = {ast.Is: ast.Eq, ast.IsNot: ast.NotEq}
            node.ops = [swapped.get(type(each), type(each))() for each in node.ops]
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._reference(node, self.names.known.get(node.id))

    def _reference(self, node: Any, full: str | None) -> ast.AST:
        if full is None:
            return self.generic_visit(node)
        if isinstance(node.ctx, ast.Load):
            full = _canonical(full)
            if full in self.rules.names:
                self.used[full] += 1
                return ast.copy_location(_name(self.rules.names[full]), node)
            if isinstance(node, ast.Attribute) and full.rpartition(".")[0] in self.rules.names:
                node.value = self.visit(node.value)  # a method of a class that is replaced
            elif hint := self._refusal(full):
                self._refuse(node, hint)
        elif full.startswith("torch."):
            self._refuse(node, "something of PyTorch is replaced here: write the function that you mean")
        return node

    def _refusal(self, full: str) -> str:
        """Why a name, or what it lies in, is not converted."""
        parts = full.split(".")
        if parts[0] == "torchvision" and not any(name.startswith(f"{full}.") for name in self.rules.names):
            return next(
                (hint for name, hint in self.rules.third.items() if full.startswith(name)), "there is none of it"
            )
        return next(
            (
                self.rules.refused[name]
                for end in range(2, len(parts) + 1)
                if (name := ".".join(parts[:end])) in self.rules.refused
            ),
            "",
        )

    def _dynamic(self, node: ast.Call) -> None:
        for each in node.args[:1]:
            full = self.names.full(each) or ""
            if full == "torch" or full.startswith("torch."):
                self._refuse(node, "a name of PyTorch that is made while the program runs: write it out")

    def _refuse(self, node: ast.expr, hint: str) -> None:
        self.open.append(Open(node.lineno, ast.unparse(node), hint))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        everything = any(each.name == "*" for each in node.names)
        if everything and not node.level and (node.module or "").partition(".")[0] == "torch":
            self.open.append(Open(node.lineno, ast.unparse(node), "name what is imported in place of *"))
        return node

    def visit_Import(self, node: ast.Import) -> ast.AST:
        return node


def _is_super(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def _without(node: ast.Call, keyword: str) -> ast.expr | None:
    """The value of a keyword, which is taken out of the call; None where there is none, or None is given."""
    given = next((each for each in node.keywords if each.arg == keyword), None)
    if given is None:
        return None
    node.keywords.remove(given)
    return None if isinstance(given.value, ast.Constant) and given.value.value is None else given.value


def _name(name: str) -> ast.Name:
    return ast.Name(PREFIX + name.replace(".", DOT), ast.Load())


def name_helpers(text: str) -> str:
    """The text with `mended.` in place of the bare names, and kept methods under their own."""
    text = re.sub(rf"\b{PREFIX}(\w+)", lambda match: f"{PACKAGE}.{match[1].replace(DOT, '.')}", text)
    return text.replace(f".{KEPT}", ".")


def give_helpers(folder: Path) -> None:
    """The package that mended files import."""
    shutil.copytree(HERE / PACKAGE, folder / PACKAGE, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
