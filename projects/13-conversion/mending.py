"""Mend what PaConvert leaves, by the rules of rules.yaml; what no rule reaches stays marked."""

import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
MARK = ">>>>>>"
HELPERS = "mending_helpers.py"


@dataclass(frozen=True)
class Rule:
    """One rule: where `pattern` matches, `replacement` stands afterwards."""

    name: str
    pattern: str
    replacement: str
    reason: str
    source: str
    marked: bool = False
    needs: str = ""


def rules() -> list[Rule]:
    """The rules of rules.yaml, in order."""
    return [Rule(**entry) for entry in yaml.safe_load((HERE / "rules.yaml").read_text(encoding="utf-8"))]


def mend(text: str, given: list[Rule]) -> tuple[str, Counter[str]]:
    """The mended text, and how often each rule was used."""
    used: Counter[str] = Counter()
    needs: set[str] = set()
    for rule in given:
        if not rule.marked:
            text, count = re.subn(rule.pattern, rule.replacement, text)
            used[rule.name] += count
            needs |= {rule.needs} if count and rule.needs else set()
    lines, mended = text.splitlines(keepends=True), []
    while lines:
        statement = lines.pop(0)
        if statement.startswith(MARK):
            while lines and statement.count("(") > statement.count(")"):
                statement += lines.pop(0)
            reached = False
            for rule in given:
                if rule.marked and (count := len(re.findall(rule.pattern, statement))):
                    statement = re.sub(rule.pattern, rule.replacement, statement)
                    used[rule.name] += count
                    needs.add(rule.needs)
                    reached = True
            if reached and not re.search(r"\btorch\w*\.", statement):
                statement = statement.removeprefix(MARK)
        mended.append(statement)
    text = "".join(mended)
    if needs:
        text = re.sub(
            r"(?m)^import paddle\n",
            f"import paddle\nfrom mending_helpers import {', '.join(sorted(needs))}\n",
            text,
            count=1,
        )
    return text, +used


def mend_folder(folder: Path) -> Counter[str]:
    """Mend every Python file of a converted project in place; returns how often each rule was used."""
    given, used = rules(), Counter[str]()
    for path in sorted(folder.rglob("*.py")):
        text, here = mend(path.read_text(encoding="utf-8"), given)
        path.write_text(text, encoding="utf-8")
        used += here
    if any(used[rule.name] for rule in given if rule.needs):
        shutil.copy(HERE / "helpers.py", folder / HELPERS)
    return used


def open_lines(folder: Path) -> list[str]:
    """What is still open, as "file:line: text"."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith(MARK) or re.match(r"\s*(import|from)\s+torch\w*\b", line):
                found.append(f"{path.relative_to(folder)}:{number}: {line.removeprefix(MARK).strip()}")
    return found
