"""Pages of reference, out of code and data: commands, the fields of each kind of file, images, tasks and hardware."""

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WIDE = "---\nhide: [toc]\n---\n\n"  # a table that needs the page's whole width
sys.path.insert(0, str(ROOT))

import yaml  # noqa: E402

from harness.catalogue import entries  # noqa: E402


def dockerfile(path: Path, language: str) -> str:
    words = path.read_text(encoding="utf-8")
    arguments = dict.fromkeys(re.findall(r"^ARG (\w+)=?(\S*)", words, re.MULTILINE))
    rows = [f"| `{key}` | `{value or '–'}` |" for key, value in arguments]
    head = "| 参数 | 默认值 |" if language == "zh" else "| argument | default |"
    build = f"./inv build --hw {path.suffix[1:]}"
    how = f"`{build}` builds it; `{build} --dry-run` shows the command."
    if language == "zh":
        how = f"`{build}` 构建此镜像；`{build} --dry-run` 只显示命令。"
    table = "\n".join([head, "| --- | --- |", *rows])
    return f"# {path.name}\n\n{how}\n\n{table}\n\n```dockerfile\n{words}```\n"


def schema(path: Path) -> str:
    """A table of the fields of one kind of file, nested ones by their path."""
    data = json.loads(path.read_text(encoding="utf-8"))
    rows = ["| field | type | |", "| --- | --- | --- |"]
    seen: set[str] = set()
    for name, field, required in fields(data, data):
        if name in seen:
            continue  # a choice that only narrows what stands above
        seen.add(name)
        kind = field.get("type") or " or ".join(f"`{json.dumps(each)}`" for each in choices(field))
        kind = " or ".join(kind) if isinstance(kind, list) else kind
        words = field.get("description", "").replace("|", "\\|").replace("\n", " ")
        rows.append(f"| `{name}`{'' if required else ' (optional)'} | {kind} | {words} |")
    title, _, more = data["title"].partition(": ")
    words = ". ".join(filter(None, (more, data.get("description"))))
    return f"# {title}\n\n{words}\n\n" + "\n".join(rows) + "\n"


def choices(field: dict[str, Any]) -> list[Any]:
    return [field["const"]] if "const" in field else field.get("enum", [])


def fields(node: dict[str, Any], root: dict[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every field below a node: its path (`a.b`, `a[].b`, `a.*.b`), its schema, and whether it must be there."""
    for name, field in node.get("properties", {}).items():
        field = resolved(field, root)
        yield f"{above}{name}", field, name in node.get("required", ())
        yield from within(field, root, f"{above}{name}")


def within(field: dict[str, Any], root: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    yield from fields(field, root, f"{path}.")
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(inner := field.get(key), dict):
            yield from within(resolved(inner, root), root, f"{path}{mark}")
    for inner in field.get("patternProperties", {}).values():
        yield from within(resolved(inner, root), root, f"{path}.*")
    for several in ("oneOf", "anyOf"):
        for choice in field.get(several, ()):
            yield from within(resolved(choice, root), root, path)


def resolved(field: Any, root: dict[str, Any]) -> dict[str, Any]:
    """The field with its `$ref` into the same file put in; a description beside the reference goes before."""
    if not isinstance(field, dict):
        return {}  # true: anything may stand there
    if "$ref" not in field:
        return field
    found: Any = root
    for key in field["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return {**found, **{key: value for key, value in field.items() if key != "$ref"}}


def commands(_: str) -> str:
    """Each command of tasks.py, with its options, as --help has them, which is English."""
    sys.path.insert(0, str(ROOT))  # mkdocs puts the path back after it has loaded a hook
    from invoke import Collection

    import tasks
    from harness.cli import commands as declared
    from harness.cli import pages

    parts = []
    for name, task in sorted(Collection.from_module(tasks).tasks.items()):
        summary, _, more = inspect.cleandoc(task.body.__doc__ or "").partition("\n")
        parts.append(f"\n## {name}\n\n{summary} {more.strip()}\n")
        if name in pages.examples():
            parts.append(f"\n```text\n{pages.examples()[name].rstrip()}\n```\n")
        options = declared.options(task)
        rows = [
            f"| `{'' if option.operand else '--'}{name.upper() if option.operand else name}` | {option.help} |"
            for name, option in options.items()
        ]
        if rows:
            parts.append("\n" + "\n".join(["| option | |", "| --- | --- |", *rows]) + "\n")
        parts += [f"\n```text\n{option.more()}\n```\n" for option in options.values() if option.more]
    return "".join(parts)


def grid(language: str) -> str:
    """Tasks by kinds of hardware, each linked: where a part earns points, where it is a rehearsal."""
    book = entries.load()
    chinese = language == "zh"
    head = ["任务" if chinese else "task", *(f"[{kind}](../hardware/{kind}.md)" for kind in book.hardware)]
    rows = [head, ["---", *(":-:" for _ in book.hardware)]]
    for part in book.parts.values():
        title = part.title_zh if chinese else part.title
        cells = [cell(part, kind) for kind in book.hardware.values()]
        rows.append([f"[{part.name} {title}]({part.slug}.md)", *cells])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    if chinese:
        words = "● 可以得分　○ 演练：同样的程序，按规则不计分　– 不运行程序，只收本人的证据"
        return f"{WIDE}# 任务与硬件\n\n{words}\n\n{table}\n"
    words = "● points can be earned · ○ rehearsal: the same program, without points by the rule"
    more = "– nothing runs: what a person attaches counts"
    return f"{WIDE}# Tasks and hardware\n\n{words} · {more}\n\n{table}\n"


def cell(part: entries.Part, kind: entries.Hardware) -> str:
    if not part.program:
        return "–"
    earns = kind.category != "simulated" and any(
        not rule.categories or kind.category in rule.categories for rule in part.rules
    )
    return "●" if earns else "○"


def symptoms(language: str) -> str:
    """What failed runs print, why, and what to do: hardware/symptoms.yaml and each kind's own."""
    every, head, tail = "Any hardware", "| seen in the log | cause | remedy |", ""
    if language == "zh":
        every, head, tail = "所有硬件", "| 日志中的现象 | 原因 | 处理 |", "_zh"
    cause, remedy, parts = f"cause{tail}", f"remedy{tail}", []
    for path in [ROOT / "hardware" / "symptoms.yaml", *sorted(ROOT.glob("hardware/*/symptoms.yaml"))]:
        kind = path.parent.name
        title = every if path.parent == ROOT / "hardware" else entries.load().hardware[kind].title
        rows = [
            f"| `{escaped(each['example'])}` | {escaped(each[cause])} | {escaped(each[remedy])} {reports(each)} |"
            for each in yaml.safe_load(path.read_text(encoding="utf-8"))["symptoms"]
        ]
        parts.append("\n".join([f"### {title}\n", head, "| --- | --- | --- |", *rows]))
    return "\n\n".join(parts)


def escaped(words: str) -> str:
    return " ".join(words.replace("|", "\\|").split())


def reports(symptom: dict[str, Any]) -> str:
    return " ".join(f"[{number}]({url})" for number, url in enumerate(symptom.get("sources", ()), 1))
