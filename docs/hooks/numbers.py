"""Numbers and figures of an article, out of records: a number that no record has fails the build.

    {{ reference/4 metrics.relative_l2 .1e }}       results/reference/4.json, its field, and Python's format
    {{ benchmarks/allocator numbers.exp_ratio .1f }} docs/benchmarks/allocator.json, which ./inv bench writes
    {{ benchmarks/bounds printed[9,logit_error,room] .1f }}   of what it printed: a table's row and column
    {{ benchmarks/bounds printed[checks] .0f }}      the number before that word
    {{ author }}, {{ date }}, {{ repository }}       fields at the head of the text

    ``` bars benchmarks/allocator ms
    default: numbers.exp_default_ms
    kept: numbers.exp_kept_ms
    ```

In an article, a number with a unit that is not written so fails too.
"""

import html
import io
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"reference": ROOT / "results" / "reference", "benchmarks": ROOT / "docs" / "benchmarks"}
FIELD = re.compile(r"\{\{ (author|date|repository) \}\}")
NUMBER = re.compile(r"\{\{ (\S+) (\S+) (\S+) \}\}")
BARS = re.compile(r"^``` bars (\S+) (.+)\n((?:.+\n)+?)```$", re.MULTILINE)
PRINTED = re.compile(r"printed\[([^\]]+)\]")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
UNITS = r"(?:×(?!\d)|%|x\b|ms\b|s\b|[GM]i?B\b|seconds|minutes|times|tokens|倍|秒|毫秒|分钟|个百分点)"
BARE = re.compile(rf"(?<![\w.-])\d[\d.,]*\s?{UNITS}")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    if not page.file.src_uri.startswith("article"):
        return markdown
    given = {**page.meta, "repository": page.meta.get("repository") or config.repo_url or "ADDRESS"}
    if missing := [each for each in FIELD.findall(markdown) if not given.get(each)]:
        raise PluginError(f"{page.file.src_uri}: its head has no {missing[0]}. Write it between the lines of ---.")
    return filled(FIELD.sub(lambda match: str(given[match[1]]), markdown), page.file.src_uri)


def filled(markdown: str, where: str) -> str:
    """The text with its numbers and figures. Raises PluginError for a number without a record."""
    if bare := BARE.search(CODE.sub("", NUMBER.sub("", markdown))):
        raise PluginError(f"{where}: {bare[0]!r} comes from no record. Write it as {{{{ FILE FIELD FORMAT }}}}.")
    markdown = BARS.sub(lambda match: bars(match[1], match[2], match[3], where), markdown)
    return NUMBER.sub(lambda match: format(number(match[1], match[2], where), match[3]), markdown)


def number(record: str, field: str, where: str) -> float:
    value: Any = read(record, where)
    if match := PRINTED.fullmatch(field):
        return printed(value["printed"], match[1], where)
    for key in field.split("."):
        if not isinstance(value, dict) or key not in value:
            raise PluginError(f"{where}: {record} has no {field}. Name a field of it, or measure it again.")
        value = value[key]
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise PluginError(f"{where}: {field} of {record} is no number.")
    return float(value)


def printed(text: str, words: str, where: str) -> float:
    """Of what a benchmark printed: the number at a row's first cells and a column of its table, or before a word."""
    *row, column = words.split(",")
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    found = [line[lines[0].index(column)] for line in lines if row and column in lines[0] and line[: len(row)] == row]
    found += [] if row else re.findall(rf"([\d.]+) {re.escape(column)}\b", text)
    if len(found) != 1 or not re.fullmatch(r"[\d.e+-]+", found[0]):
        raise PluginError(f"{where}: {words!r} is not once in what was printed. Name a row and a column of it.")
    return float(found[0])


@cache
def read(record: str, where: str) -> Any:
    folder, _, name = record.partition("/")
    path = FOLDERS.get(folder, ROOT) / f"{name}.json"
    if folder not in FOLDERS or not path.is_file():
        raise PluginError(f"{where}: there is no record {record}. ./inv bench or ./inv reference writes it.")
    return json.loads(path.read_text())


def bars(record: str, unit: str, lines: str, where: str) -> str:
    """A bar for each line `label: field`, as a picture inside the page."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": f"{record}{lines}"})
    from matplotlib import pyplot

    named = [line.partition(": ")[::2] for line in lines.strip().splitlines()]
    labels = [label for label, _ in named]
    values = [number(record, field, where) for _, field in named]
    figure, axes = pyplot.subplots(figsize=(7, 0.5 + 0.38 * len(values)))
    drawn = axes.barh(labels, values, color=["#90a4ae" if i % 2 == 0 else "#3949ab" for i in range(len(values))])
    texts = [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in values]
    axes.bar_label(drawn, [f"{text} {unit}" for text in texts], padding=4, color="#78909c")
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.xaxis.set_visible(False)
    axes.tick_params(length=0, colors="#78909c")
    for spine in axes.spines.values():
        spine.set_visible(False)
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    picture = file.getvalue()
    picture = picture[picture.index("<svg") :]
    picture = re.sub(r"<svg [^>]*viewBox", '<svg style="width:100%;height:auto" viewBox', picture, count=1)
    says = html.escape("; ".join(f"{label}: {text} {unit}" for label, text in zip(labels, texts, strict=True)))
    picture = picture.replace("<svg ", f'<svg role="img" aria-label="{says}" ', 1)
    return f'<figure style="width:100%">{"".join(picture.splitlines())}</figure>'
