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
BARE = ("torch.no_grad", "torch.enable_grad", "torch.inference_mode")  # decorators that need no brackets


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
    """Applies the rules to one file; `used` counts them, `open` has what they refuse.

    What is refused becomes a call that ends the program and names the person's line, should it ever be reached.
    """

    rules: Rules
    names: Names
    file: str = ""
    own: Collection[str] = ()  # the project's own top packages, which may have torch in their names
    used: Counter[str] = field(default_factory=Counter)
    open: list[Open] = field(default_factory=list)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        called = node.func
        full = self.names.full(called)
        dynamic = isinstance(called, ast.Name) and called.id in ("getattr", "vars", "hasattr")
        if dynamic and (found := self._dynamic(node)) is not None:
            return found
        if _called(called) in ("import_module", "__import__", "exec", "eval") and "torch" in ast.unparse(node):
            return self._refuse(node, "PyTorch in a string: write it out")
        if full is not None and full.startswith("torch.") and (out := _without(node, "out")):
            self.used["out="] += 1
            return ast.copy_location(ast.Call(_name("into"), [self.visit(node), self.visit(out)], []), node)
        if full in self.rules.names and full != "torch.where" and not node.args and (x := _without(node, "input")):
            node.args = [x]  # always the first, whatever it is called here
        module = full is not None and full.partition(".")[0] not in self.own  # a variable may be named as one's own
        if not isinstance(called, ast.Attribute) or module or _is_super(called.value):
            return self.generic_visit(node)
        if _is_own(called.value):  # a method or layer of the person's own
            called.attr = KEPT + called.attr
            return self.generic_visit(node)
        if f".{called.attr}" in self.rules.refused:
            return self._refuse(node, self.rules.refused[f".{called.attr}"])
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
        if f".{node.attr}" in self.rules.refused and not _is_own(node.value):
            return self._refuse(node, self.rules.refused[f".{node.attr}"])
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
        if node.id == "torch" and isinstance(node.ctx, ast.Load) and node.id not in self.names.known:
            return self._refuse(node, "this file does not import it: import it here")
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
                return self._refuse(node, hint)
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

    def _dynamic(self, node: ast.Call) -> ast.AST | None:
        """A name of PyTorch that is asked for as a text: written out, or looked up among the layers, or refused."""
        full = self.names.full(node.args[0]) if node.args else None
        if full != "torch" and not (full or "").startswith("torch."):
            return None
        asked, name = _called(node.func), node.args[1] if len(node.args) > 1 else None
        if isinstance(name, ast.Constant):
            whole = f"{full}.{name.value}"
            known = any(each == whole or each.startswith(f"{whole}.") for each in self.rules.names)
            if asked == "hasattr" and known:
                return ast.copy_location(ast.Constant(True), node)
            if asked == "hasattr":
                return self._refuse(node, "what PyTorch has is no matter of Paddle: keep the branch that you mean")
            if known or len(node.args) == 2:
                return self.visit(ast.copy_location(ast.Attribute(node.args[0], name.value, ast.Load()), node))
        if full == "torch.nn" and asked == "getattr" and name is not None:
            self.used["getattr(torch.nn, …)"] += 1
            return ast.copy_location(
                ast.Call(_name("layer_of"), [self.visit(each) for each in node.args[1:]], []), node
            )
        choice = f"{ast.unparse(node.args[0])}.…"
        return self._refuse(
            node, f"which name it is shows only when the program runs: choose from a dictionary, {{'…': {choice}}}"
        )

    def _refuse(self, node: ast.expr, hint: str) -> ast.Call:
        text = ast.unparse(node)
        self.open.append(Open(node.lineno, text, hint))
        return ast.copy_location(self._stop(node.lineno, text), node)

    def _stop(self, line: int, text: str) -> ast.Call:
        return ast.Call(_name("not_converted"), [ast.Constant(f"{self.file}:{line}: {text}")], [])

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str) and re.fullmatch(r"torch(\.\w+)+", node.value):
            return self._refuse(node, "the name of something of PyTorch in a string")
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = self._annotation(node.annotation)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = self._annotation(node.annotation) or node.annotation
        node.target = self.visit(node.target)
        node.value = node.value and self.visit(node.value)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """`@torch.no_grad` is called in PyTorch, whether it is written so or not."""
        node.decorator_list = [
            ast.copy_location(ast.Call(each, [], []), each) if self.names.full(each) in BARE else each
            for each in node.decorator_list
        ]
        returns, node.returns = self._annotation(node.returns), None
        self.generic_visit(node)
        node.returns = returns
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def _annotation(self, node: ast.expr | None) -> ast.expr | None:
        """It computes nothing: what of it is not converted is not open, and stays as text."""
        if node is None or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            return node
        text, opened = ast.unparse(node), len(self.open)
        made: ast.expr = self.visit(node)
        if len(self.open) == opened:
            return made
        del self.open[opened:]
        return ast.copy_location(ast.Constant(text), node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        node.values = [self.visit(each) if isinstance(each, ast.FormattedValue) else each for each in node.values]
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.level or not node.module:
            return node
        hint = ""
        if any(each.name == "*" for each in node.names) and node.module.partition(".")[0] == "torch":
            hint = "name what is imported in place of *"
        full = (f"{node.module}.{each.name}" for each in node.names)
        return self._import(node, [hint, *(self._third(name) for name in full if name not in self.rules.names)])

    def visit_Import(self, node: ast.Import) -> ast.AST:
        return self._import(node, [self._third(each.name) for each in node.names])

    def _import(self, node: Any, hints: list[str]) -> ast.AST:
        if hint := next(filter(None, hints), ""):
            return ast.copy_location(ast.Expr(self._refuse(node, hint)), node)
        return node

    def _third(self, name: str) -> str:
        """Why a package for PyTorch is not converted; nothing of other packages, and of torch itself."""
        top = name.partition(".")[0]
        if top in ("torch", "torchvision", *self.own):
            return ""
        known = (hint for each, hint in self.rules.third.items() if name == each or name.startswith(f"{each}."))
        return next(known, "a package for PyTorch" if re.search(r"(^|[._])(py)?torch\w*", name) else "")


def _called(node: ast.AST) -> str:
    """The last name of what is called."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_own(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


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
