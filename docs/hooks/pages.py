"""Pages made from what stands elsewhere: each README, Dockerfile, command and schema becomes one, and the navigation.

The site is built once a language (mkdocs.yml, mkdocs.zh.yml), with the same pages at the same paths: a text's Chinese
twin is README.zh-CN.md beside README.md, and NAME.zh.md beside NAME.md.

mkdocs calls on_config, on_files, on_page_markdown and on_post_page (https://www.mkdocs.org/dev-guide/plugins/#events).
"""

import html
import os
import posixpath
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jieba
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "hooks")]

import reference_pages  # noqa: E402

HAN = "\u2e80-\uffef“”"  # Chinese characters and their punctuation
WITHIN_SENTENCE = re.compile(f"^(?!#)(.*[{HAN}])\n(?=[{HAN}])", re.MULTILINE)
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?)\[([^\]]+)\]\(([^)#\s]*)(#[^)\s]*)?\)")
OTHER_LANGUAGE = re.compile(r"^\[(?:中文|English)\]\([^)]*\)\n+", re.MULTILINE)
PIPE = re.compile(r"`([^`\n]*\\\|[^`\n]*)`")
ALTERNATE = re.compile(r'href="[^"]*" hreflang="(\w+)"')
PLACEHOLDER = re.compile(r"^<!-- reference: (\w+) -->$", re.MULTILINE)
LANGUAGES = {"en": "English", "zh": "中文"}
SEARCH = {"en": "Search", "zh": "搜索"}
# Written by a program; for those who change things.
ENGLISH_ALONE = {"docs/benchmarks.md", "docs/changelog.md"}
TITLES = {
    "Start": "入门",
    "Hardware": "硬件",
    "Tasks": "任务",
    "Elsewhere": "别处运行",
    "Images": "镜像",
    "Article": "文章",
    "Reference": "参考",
}


def sources() -> dict[str, str]:
    """Each text that becomes a page: its path from the checkout's root → the page's path in the site."""
    found = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "docker/README.md": "images/index.md"}
    for page in sorted(ROOT.glob("docs/*.md")):
        if not page.stem.endswith(".zh"):
            found[f"docs/{page.name}"] = page.name
    for folder, pages in (("hardware", "hardware"), ("projects", "tasks")):
        for readme in sorted(ROOT.glob(f"{folder}/*/README.md")):
            found[str(readme.relative_to(ROOT))] = f"{pages}/{readme.parent.name}.md"
    return found


def twin(source: str, language: str) -> str:
    """The text's path in a language. Raises PluginError where it is not translated."""
    if language == "en" or source in ENGLISH_ALONE:
        return source
    other = f"{source.removesuffix('.md')}.{'zh' if source.startswith('docs/') else 'zh-CN'}.md"
    if not (ROOT / other).is_file():
        raise PluginError(f"{source} has no Chinese twin. Write {other}.")
    return other


def made(language: str) -> dict[str, Callable[[], str]]:
    """Pages without a text of their own: their path in the site → what makes them."""
    found: dict[str, Callable[[], str]] = {"tasks/index.md": lambda: reference_pages.grid(language)}
    for dockerfile in sorted(ROOT.glob("Dockerfile.*")):
        found[f"images/{dockerfile.suffix[1:]}.md"] = lambda path=dockerfile: reference_pages.dockerfile(path, language)
    for schema in sorted(ROOT.glob("harness/catalogue/schemas/*.schema.json")):
        found[f"files/{schema.name.partition('.')[0]}.md"] = lambda path=schema: reference_pages.schema(path)
    return found


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    jieba.setLogLevel("WARNING")  # it cuts Chinese into words for the search, and tells how long its dictionary took
    if repository := os.environ.get("GITHUB_REPOSITORY"):  # where the site is published from
        config.repo_url = f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}"
    language = config.theme["language"]
    pages = [*sources().values(), *made(language)]

    def under(folder: str) -> list[str]:
        return sorted(page for page in pages if page.startswith(f"{folder}/"))

    elsewhere = ["remote.md", "slurm.md", "kubernetes.md", "board.md", "scaling.md"]
    start = ["index.md", "tutorial.md", "concepts.md", "troubleshooting.md"]
    known = {*start, *elsewhere, "article.md"}
    nav = {
        "Start": start,
        "Hardware": under("hardware"),
        "Tasks": under("tasks"),
        "Elsewhere": elsewhere,
        "Images": under("images"),
        "Article": ["article.md"],
        "Reference": [*(page for page in pages if "/" not in page and page not in known), *under("files")],
    }
    config.extra["alternate"] = [{"name": name, "lang": code, "link": "."} for code, name in LANGUAGES.items()]
    config.nav = [{TITLES[title] if language == "zh" else title: group} for title, group in nav.items()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    language = config.theme["language"]
    pages = sources()
    texts = {page: relinked(text(source, language), source, page, pages) for source, page in pages.items()}
    texts |= {page: make() for page, make in made(language).items()}
    for page, content in texts.items():
        if old := files.get_file_from_path(page):
            files.remove(old)
        files.append(File.generated(config, page, content=content, inclusion=InclusionLevel.INCLUDED))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """As browsers show it best: without the ends of lines within Chinese sentences, which would be spaces."""
    parts = FENCED.split(markdown)
    parts[::2] = [PIPE.sub(piped, WITHIN_SENTENCE.sub(r"\1", part)) for part in parts[::2]]
    return "".join(parts)


def piped(match: re.Match[str]) -> str:
    """Code in a table with a bar in it, whose backslash would be shown."""
    return f"<code>{html.escape(match[1]).replace(chr(92) + '|', '&#124;')}</code>"


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """The switch of languages leads to the same page of the other one; the search has a name for who cannot see it."""
    up = "../" * page.url.count("/")
    there = {"en": f"{up}../{page.url}", "zh": f"{up}zh/{page.url}"}
    there[config.theme["language"]] = f"{up}{page.url}"
    output = output.replace('role="dialog"', f'role="dialog" aria-label="{SEARCH[config.theme["language"]]}"')
    return ALTERNATE.sub(lambda match: f'href="{there[match[1]]}" hreflang="{match[1]}"', output)


def text(source: str, language: str) -> str:
    """A text as the site has it: without the link to its twin, and with what is made from the code put in."""
    words = OTHER_LANGUAGE.sub("", (ROOT / twin(source, language)).read_text(encoding="utf-8"))
    return PLACEHOLDER.sub(lambda match: getattr(reference_pages, match[1])(language), words)


def relinked(words: str, source: str, page: str, pages: dict[str, str]) -> str:
    """The text with links that lead to pages; what is in the checkout and no page is named instead of linked."""

    def place(match: re.Match[str]) -> str:
        picture, label, target, anchor = match[1], match[2], match[3], match[4] or ""
        if not target or re.match(r"\w+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        path = re.sub(r"\.zh(-CN)?\.md$", ".md", path)
        own = pages.get(f"{path}/README.md") or pages.get(path)
        if not own and path.startswith("docs/"):
            own = path.removeprefix("docs/")
        if not own and label == Path(path).stem:  # a program by its name: the page that tells of it
            own = next(filter(None, (pages.get(f"{above}/README.md") for above in Path(path).parents)), None)
        if own:
            return f"{picture}[{label}]({posixpath.relpath(own, posixpath.dirname(page) or '.')}{anchor})"
        return f"{label} (`{path}`)" if (ROOT / path).exists() else match[0]  # a dead link stays, and fails the build

    return LINK.sub(place, words)
