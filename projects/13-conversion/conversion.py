"""A PyTorch project made into a Paddle project: mended by the rules, converted by PaConvert, its comments put back."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import leftovers
import mending
import places
import sources
import stars
from mending import Open

GENERATED = ("paddle_utils.py", mending.PACKAGE)
LINES = "lines.json"  # beside the result: for each file, where its lines stood


@dataclass
class Conversion:
    """What came of a project: PaConvert's own count, the rules used, and by file what is open and where lines stood."""

    converted: int = 0
    left: int = 0
    used: Counter[str] = field(default_factory=Counter)
    mended: dict[str, int] = field(default_factory=dict)
    open: dict[str, list[Open]] = field(default_factory=dict)
    lines: dict[str, list[int]] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)  # the person's own
    heads: dict[str, str] = field(default_factory=dict)  # docstrings and imports from the future, as they stood

    @property
    def opened(self) -> list[str]:
        """What is open, as "file:line: text (hint)", in the person's lines."""
        return [
            f"{name}:{each.line}: {each.text}" + (f"   ({each.hint})" if each.hint else "")
            for name, some in sorted(self.open.items())
            for each in some
        ]


def convert(source: Path, target: Path, log: Path) -> Conversion:
    """Convert the project in `source` into `target`. Raises RuntimeError if PaConvert itself fails."""
    import paddle

    rules = mending.rules(dir(paddle))
    found = Conversion()
    with tempfile.TemporaryDirectory() as temporary:
        taken = Path(temporary) / "taken"
        sources.take(source, taken)
        kept: dict[str, dict[int, places.Comments]] = {}
        own = {part for path in sources.files(taken) for part in _importable(path.relative_to(taken))}
        for path in sources.files(taken):
            name = str(path.relative_to(taken))
            try:
                if path.suffix == ".ipynb":
                    raise sources.Unreadable("it is no notebook of version 4")
                kept[name] = _prepare(path, name, rules, own, found)
            except sources.Unreadable as error:
                found.open[name] = [Open(0, str(error), "")]
                path.unlink()
        shutil.rmtree(target, ignore_errors=True)
        _paconvert(taken, target, log, found)
    _finish(target, kept, rules, found)
    return found


def _importable(path: Path) -> list[str]:
    """What a file of the project may be imported as, at the top: its folders' names and its own."""
    return [*path.parts[:-1], path.stem]


def _prepare(
    path: Path, name: str, rules: mending.Rules, own: set[str], found: Conversion
) -> dict[int, places.Comments]:
    text = sources.read(path)
    tree = sources.parse(text)
    stars.spread(tree, path, path.parents[len(Path(name).parts) - 1])
    found.names[name] = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    head = _head(tree)
    first = head[-1].end_lineno or 0 if head else 0
    kept = places.comments(text, tree, first)
    mender = mending.Mender(rules, mending.Names(tree), name, own)
    tree = mender.visit(tree)
    found.heads[name] = "\n".join(text.splitlines()[:first])
    del tree.body[: len(head)]
    found.open[name] = mender.open
    found.used += mender.used
    found.mended[name] = sum(mender.used.values())
    path.write_text(ast.unparse(places.mark(tree)) + "\n", encoding="utf-8")
    return kept


def _head(tree: ast.Module) -> list[ast.stmt]:
    """What has to stay first: the docstring, and imports from the future."""
    found = []
    for number, node in enumerate(tree.body):
        docstring = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not docstring and not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            break
        found.append(node)
    return found


def _paconvert(taken: Path, target: Path, log: Path, found: Conversion) -> None:
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "paconvert.main", "-i", str(taken), "-o", str(target), "--log_dir", str(log)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 or not log.is_file():
        raise RuntimeError(f"{done.stdout[-500:]}{done.stderr[-1500:]}")
    text = log.read_text(encoding="utf-8").replace(f"{taken}/", "").replace(f"{target}/", "")
    log.write_text(text, encoding="utf-8")
    found.converted, found.left = len(re.findall(r"\[Success\]", text)), len(re.findall(r"\[Not Support\]", text))


def _finish(target: Path, kept: dict[str, dict[int, places.Comments]], rules: mending.Rules, found: Conversion) -> None:
    """Put lines and comments back, name the helpers, and see what is open."""
    helped = False
    for path in sorted(target.rglob("*.py")):
        name = str(path.relative_to(target))
        text = path.read_text(encoding="utf-8")
        for rule in rules.after:
            text = re.sub(rule["pattern"], rule["replacement"], text)
        if name not in kept:
            path.write_text(text, encoding="utf-8")
            continue
        text = mending.name_helpers(text)
        text, found.lines[name] = places.restore(text, kept[name])
        text, early = leftovers.computed_early(text, found.names[name])
        marks = leftovers.in_result(text, found.lines[name], early)
        text, found.lines[name] = leftovers.stopped(text, found.lines[name], name)
        uses = f"{mending.PACKAGE}." in text or "import paddle\n" in text
        helped |= uses
        text, found.lines[name] = _top(
            text, found.lines[name], found.heads[name], len(Path(name).parts) - 1 if uses else None
        )
        found.open[name] = sorted({*found.open[name], *marks}, key=lambda each: each.line)
        path.write_text(text, encoding="utf-8")
    if helped:
        mending.give_helpers(target)
    target.mkdir(parents=True, exist_ok=True)  # also where none of its files could be read
    (target / LINES).write_text(json.dumps(found.lines), encoding="utf-8")


def failure(error: BaseException, folder: Path, lines: dict[str, list[int]]) -> str:
    """What ended converted code in this process, as "file:line: what", by the person's line."""
    place = "before its code"
    for each in traceback.extract_tb(error.__traceback__):
        if (
            Path(each.filename).is_relative_to(folder)
            and (name := str(Path(each.filename).relative_to(folder))) in lines
        ):
            place = f"{name}:{lines[name][(each.lineno or 1) - 1]}"
    reason = (str(error).strip().splitlines() or [""])[-1]
    if "tensor_version" in reason:
        reason = "Paddle keeps a tensor for the gradient that is written into in place: write x = x + … for x += …"
    return f"{place}: {type(error).__name__}: {reason}"


def _top(text: str, lines: list[int], head: str, depth: int | None) -> tuple[str, list[int]]:
    """The head of the file, then `import mended`; a file in a folder of the project first finds it."""
    added = [] if depth is None else ["import mended"]
    if depth:
        place = f"sys.path.append(str(pathlib.Path(__file__).resolve().parents[{depth}]))"
        added = ["import pathlib", "import sys", place, *added]
    rows = head.splitlines()
    kept, places_kept, blank = [*rows, *added], [*range(1, len(rows) + 1), *[0] * len(added)], 0
    for row, line in zip(text.splitlines(), lines, strict=False):
        blank = 0 if row.strip() else blank + 1
        if blank <= 2:
            kept.append(row)
            places_kept.append(line)
    return "\n".join(kept).strip("\n") + "\n", places_kept
