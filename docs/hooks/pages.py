"""Pages made from what stands elsewhere: each README, Dockerfile, command and schema becomes one, and the navigation.

mkdocs calls on_config, on_files and on_page_markdown (https://www.mkdocs.org/dev-guide/plugins/#events).
"""

import inspect
import json
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

import jieba
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
HAN = "\u2e80-\uffef“”"  # Chinese characters and their punctuation
WITHIN_SENTENCE = re.compile(f"(?<=[{HAN}])\n(?=[{HAN}])")
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?)\[([^\]]+)\]\(([^)#\s]*)(#[^)\s]*)?\)")


def sources() -> dict[str, str]:
    """Each text that becomes a page: its path from the checkout's root → the page's path in the site."""
    found = {"README.md": "index.md", "README.zh-CN.md": "zh.md", "CONTRIBUTING.md": "contributing.md"}
    found["docker/README.md"] = "images/index.md"
    for folder, pages in (("hardware", "hardware"), ("projects", "tasks")):
        for readme in sorted(ROOT.glob(f"{folder}/*/README.md")):
            found[str(readme.relative_to(ROOT))] = f"{pages}/{readme.parent.name}.md"
    for dockerfile in sorted(ROOT.glob("Dockerfile.*")):
        found[dockerfile.name] = f"images/{dockerfile.suffix[1:]}.md"
    for schema in sorted(ROOT.glob("harness/catalogue/schemas/*.schema.json")):
        found[str(schema.relative_to(ROOT))] = f"files/{schema.name.partition('.')[0]}.md"
    return found


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    jieba.setLogLevel("WARNING")  # it cuts Chinese into words for the search, and tells how long its dictionary took
    pages = list(sources().values())
    written = sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").glob("*.md"))
    articles = [page for page in written if page.startswith("article")]

    def under(folder: str) -> list[str]:
        return [page for page in pages if page.startswith(f"{folder}/")]

    config.nav = [
        {"Start": ["index.md", {"中文": "zh.md"}]},
        {"Article": articles},
        {"Hardware": under("hardware")},
        {"Tasks": under("tasks")},
        {"Images": under("images")},
        {"Reference": [{"Commands": "commands.md"}, *under("files"), "contributing.md"]},
        {"Operation": [page for page in written if page not in articles]},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    pages = sources()
    for source, page in pages.items():
        files.append(File.generated(config, page, content=content(source, page, pages)))
    files.append(File.generated(config, "commands.md", content=command_page()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Without the ends of lines within Chinese sentences, which browsers would show as spaces."""
    parts = FENCED.split(markdown)
    return "".join(part if number % 2 else WITHIN_SENTENCE.sub("", part) for number, part in enumerate(parts))


def content(source: str, page: str, pages: dict[str, str]) -> str:
    text = (ROOT / source).read_text()
    if source.startswith("Dockerfile."):
        return dockerfile(source, text)
    if source.endswith(".json"):
        return schema(json.loads(text))
    return relinked(text, source, page, pages)


def relinked(text: str, source: str, page: str, pages: dict[str, str]) -> str:
    """The text with links that lead to pages; what is in the checkout and no page is named instead of linked."""

    def place(match: re.Match[str]) -> str:
        picture, words, target, anchor = match[1], match[2], match[3], match[4] or ""
        if not target or re.match(r"\w+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        path = f"{path}/README.md" if f"{path}/README.md" in pages else path
        own = path.removeprefix("docs/") if path.startswith("docs/") else pages.get(path)
        if own:
            return f"{picture}[{words}]({posixpath.relpath(own, posixpath.dirname(page) or '.')}{anchor})"
        return f"{words} (`{path}`)" if (ROOT / path).exists() else match[0]  # a dead link stays, and fails the build

    return LINK.sub(place, text)


def dockerfile(name: str, text: str) -> str:
    arguments = dict.fromkeys(re.findall(r"^ARG (\w+)=?(\S*)", text, re.MULTILINE))
    rows = [f"| `{key}` | `{value or '–'}` |" for key, value in arguments]
    table = "\n".join(["| argument | default |", "| --- | --- |", *rows])
    build = f"./inv build --hw {name.partition('.')[2]}"
    how = f"`{build}` builds it; `{build} --dry-run` shows the command."
    return f"# {name}\n\n{how}\n\n{table}\n\n```dockerfile\n{text}```\n"


def schema(data: dict[str, Any]) -> str:
    """A table of the fields of one kind of file."""
    required = set(data.get("required", ()))
    rows = ["| field | type | |", "| --- | --- | --- |"]
    for name, field in data["properties"].items():
        kind = field.get("type", "")
        kind = " or ".join(kind) if isinstance(kind, list) else kind
        text = field.get("description", "").replace("|", "\\|").replace("\n", " ")
        rows.append(f"| `{name}`{'' if name in required else ' (optional)'} | {kind} | {text} |")
    return f"# {data['title']}\n\n{data.get('description', '')}\n\n" + "\n".join(rows) + "\n"


def command_page() -> str:
    """Each command of tasks.py, with its options, as --help has them."""
    sys.path.insert(0, str(ROOT))
    from invoke import Collection

    import tasks
    from harness.cli import commands, pages

    parts = ["# Commands\n\n`./inv COMMAND`; in the activated environment `invoke COMMAND` is the same.\n"]
    for name, task in sorted(Collection.from_module(tasks).tasks.items()):
        summary, _, more = inspect.cleandoc(task.body.__doc__ or "").partition("\n")
        parts.append(f"\n## {name}\n\n{summary} {more.strip()}\n")
        if name in pages.examples():
            parts.append(f"\n```text\n{pages.examples()[name].rstrip()}\n```\n")
        rows = [
            f"| `{'' if option.operand else '--'}{name.upper() if option.operand else name}` | {option.help} |"
            for name, option in commands.options(task).items()
        ]
        if rows:
            parts.append("\n" + "\n".join(["| option | |", "| --- | --- |", *rows]) + "\n")
        more = [option.more() for option in commands.options(task).values() if option.more]
        parts += [f"\n```text\n{text}\n```\n" for text in more]
    return "".join(parts)
