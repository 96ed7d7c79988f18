"""The documentation: every page in both languages, found and switched in a browser; numbers that come from records."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.checkout import ROOT
from harness.cli import tools
from harness.environments import stacks

SITE = ROOT / ".cache" / "site"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LANGUAGES = {"en": "", "zh": "zh/"}
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def site() -> Path:
    """The site in both languages, built with every warning an error."""
    tools.docs(live=False)
    return SITE


@pytest.fixture(scope="module")
def opened(site: Path) -> Iterator[Open]:
    """Opens a page of the site from its folder; at the end nothing may have been asked of a network."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on PATH")
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with sync_playwright() as playwright, contextlib.ExitStack() as ending:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        ending.callback(browser.close)

        def open_page(path: str, **options: Any) -> Any:
            page = browser.new_context(**options).new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.goto((site / path).as_uri())
            return page

        yield open_page
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def hook(name: str, call: str) -> subprocess.CompletedProcess[str]:
    """What a function of one of docs/hooks answers, in the stack that builds the site."""
    program = f"import runpy; globals().update(runpy.run_path('docs/hooks/{name}.py')); print({call})"
    python = stacks.prepare(stacks.stack("docs")).python
    return subprocess.run([python, "-c", program], cwd=ROOT, capture_output=True, text=True)


def filled(text: str) -> subprocess.CompletedProcess[str]:
    return hook("numbers", f"filled({text!r}, 'article')")


def checked(markdown: str) -> subprocess.CompletedProcess[str]:
    page = "type('Page', (), {'file': type('File', (), {'src_uri': 'a.md'})})"
    return hook("checks", f"on_page_markdown({markdown!r}, {page})")


def test_every_kind_task_and_image_has_its_page(site: Path) -> None:
    for readme in (*ROOT.glob("hardware/*/README.md"), *ROOT.glob("projects/*/README.md")):
        folder = "hardware" if readme.parts[-3] == "hardware" else "tasks"
        assert (site / folder / f"{readme.parent.name}.html").is_file()
    for dockerfile in ROOT.glob("Dockerfile.*"):
        assert (site / "images" / f"{dockerfile.suffix[1:]}.html").is_file()
    commands = (site / "commands.html").read_text()
    assert all(f'id="{command}"' in commands for command in ("run", "matrix", "reproduce", "docs"))


def test_every_page_is_there_in_both_languages(site: Path) -> None:
    english = {page.relative_to(site) for page in site.rglob("*.html") if "zh" not in page.relative_to(site).parts}
    chinese = {page.relative_to(site / "zh") for page in (site / "zh").rglob("*.html")}
    assert english == chinese and len(english) > 60
    alone = ("404.html", "benchmarks.html", "changelog.html", "conversion.html")
    for page in english - {Path(name) for name in alone}:
        text = (site / "zh" / page).read_text()
        article = text[text.index("<article") : text.index("</article>")]
        assert page.parts[0] == "files" or re.search("[\u4e00-\u9fff]", article), page


def test_a_text_without_its_twin_is_refused() -> None:
    found = hook("pages", "twin('hardware/sim/plugin.md', 'zh')")
    assert found.returncode != 0 and "has no Chinese twin. Write hardware/sim/plugin.zh-CN.md." in found.stderr


@pytest.mark.parametrize("word", ["昇腾", "寒武纪", "演练"])
def test_the_search_finds_chinese_words_from_a_folder(opened: Open, word: str) -> None:
    page = opened("zh/index.html")
    page.click("input.md-search__input")
    ready = "!document.querySelector('.md-search-result__meta').textContent.includes('初始化')"
    page.wait_for_function(ready, timeout=120_000)  # the index is megabytes
    page.fill("input.md-search__input", word)
    page.press("input.md-search__input", "End")  # the theme listens for keys
    page.locator(".md-search-result__item").first.wait_for(timeout=120_000)
    found = page.locator(".md-search-result__list").inner_text()
    assert word in found.replace("\u200b", "")  # where a line may break


@pytest.mark.parametrize("path", ["index.html", "hardware/ascend.html", "files/record.html"])
def test_the_switch_of_languages_leads_to_the_same_page(opened: Open, path: str) -> None:
    page = opened(path)
    for there, prefix in (("zh", "zh/"), ("en", "")):
        link = page.locator(f'a.md-select__link[hreflang="{there}"]').first
        page.goto(link.evaluate("link => link.href"))
        assert page.url == (SITE / f"{prefix}{path}").as_uri()
        assert page.locator("html").get_attribute("lang") == there


@pytest.mark.parametrize("prefix", LANGUAGES.values(), ids=LANGUAGES)
@pytest.mark.parametrize("path", ["index", "hardware/ascend", "article", "commands", "tasks/index"])
def test_nothing_is_cut_off_on_a_phone(opened: Open, path: str, prefix: str) -> None:
    """The page is as wide as the screen; what is wider, a table or code, scrolls in itself."""
    page = opened(f"{prefix}{path}.html", viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    beyond = """() => [...document.querySelectorAll('article *')].filter(each => {
        if (each.getBoundingClientRect().right <= 391) return false
        for (let box = each; box; box = box.parentElement)
            if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(box).overflowX)) return false
        return true
    }).map(each => each.outerHTML.slice(0, 120))"""
    assert page.evaluate(beyond) == []


def test_the_articles_numbers_and_figures_come_from_records(site: Path) -> None:
    for name, labels in (("article.html", "exp, kept"), ("zh/article.html", "exp，保留内存")):
        text = (site / name).read_text()
        assert "{{" not in text and text.count("<figure") == 2 and labels in text


def test_the_article_names_its_author_its_day_and_the_repository(site: Path) -> None:
    for name, author in (("article.html", "The authors of PaddleHomework"), ("zh/article.html", "PaddleHomework 作者")):
        assert re.search(rf"{author} · \d{{4}}-\d\d-\d\d · \S+", (site / name).read_text())


def test_the_architecture_is_drawn_from_the_code(site: Path) -> None:
    for name in ("architecture.html", "zh/architecture.html"):
        text = (site / name).read_text()
        for room in (path.name for path in (ROOT / "harness").iterdir() if (path / "__init__.py").is_file()):
            assert f">{room}</text>" in text and f"<code>{room}/</code>" in text
        assert "<!-- rooms" not in text and text.count("<path d=") > 50


def test_chinese_sentences_have_no_spaces_where_lines_end(site: Path) -> None:
    text = (site / "zh" / "article.html").read_text()
    assert "每家一个文件，代码里没有一行" in text
    assert not re.search(r"[\u4e00-\u9fff，。]\n[\u4e00-\u9fff]", text)


def test_a_number_of_a_record_is_put_in() -> None:
    assert filled("error {{ reference/4 metrics.relative_l2 .0e }}").stdout.startswith("error 3e-11")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ reference/4 metrics.beauty .1f }}", "reference/4 has no metrics.beauty"),
        ("{{ reference/99 metrics.relative_l2 .1f }}", "there is no record reference/99"),
        ("{{ benchmarks/bounds printed[9,beauty,room] .1f }}", "is not once in what was printed"),
        ("it is 3.6× as fast", "'3.6×' comes from no record"),
        ("it takes 12 ms", "'12 ms' comes from no record"),
        ("快了 4 倍", "'4 倍' comes from no record"),
    ],
)
def test_a_number_without_a_record_fails(text: str, why: str) -> None:
    found = filled(text)
    assert found.returncode != 0 and why in found.stderr


def test_code_and_sizes_are_no_measured_numbers() -> None:
    assert filled("a 4096×1024 tensor, `sleep 3 s`").returncode == 0


def test_a_number_that_a_benchmark_printed_is_put_in() -> None:
    assert filled("{{ benchmarks/bounds printed[checks] .0f }} checks").stdout == "1239 checks\n"
    assert filled("{{ benchmarks/bounds printed[9,logit_error,room] .1f }}").stdout == "6.1\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"# {'a word ' * 9}", "is over 60 letters wide"),
        (f"## {'演练' * 16}", "is over 60 letters wide"),
    ],
)
def test_a_heading_that_does_not_fit_a_line_is_refused(text: str, why: str) -> None:
    found = checked(text)
    assert found.returncode != 0 and why in found.stderr


def test_a_long_line_of_code_and_a_links_address_are_no_heading() -> None:
    assert checked(f"```sh\n# {'a word ' * 9}\n```\n\n# [Home](https://{'a' * 60}.org)\n").returncode == 0
