"""The documentation: every kind, task, image and word has its page, and an article's numbers come from records."""

import re
import subprocess
from pathlib import Path

import pytest

from harness.checkout import ROOT
from harness.cli import tools
from harness.environments import stacks

SITE = ROOT / ".cache" / "site"


@pytest.fixture(scope="module")
def site() -> Path:
    """The site, built with every warning an error."""
    tools.run("docs", ("mkdocs", "build", "--strict", "--quiet"))
    return SITE


def filled(text: str) -> subprocess.CompletedProcess[str]:
    """What docs/hooks/numbers.py makes of an article's text."""
    program = f"import runpy; print(runpy.run_path('docs/hooks/numbers.py')['filled']({text!r}, 'article'))"
    python = stacks.prepare(stacks.stack("docs")).python
    return subprocess.run([python, "-c", program], cwd=ROOT, capture_output=True, text=True)


def test_every_kind_task_and_image_has_its_page(site: Path) -> None:
    for readme in (*ROOT.glob("hardware/*/README.md"), *ROOT.glob("projects/*/README.md")):
        folder = "hardware" if readme.parts[-3] == "hardware" else "tasks"
        assert (site / folder / f"{readme.parent.name}.html").is_file()
    for dockerfile in ROOT.glob("Dockerfile.*"):
        assert (site / "images" / f"{dockerfile.suffix[1:]}.html").is_file()
    commands = (site / "commands.html").read_text()
    assert all(f'id="{command}"' in commands for command in ("run", "matrix", "reproduce", "docs"))


def test_pages_ask_no_network_for_anything(site: Path) -> None:
    for page in (site / "index.html", site / "article.html", site / "article.zh.html"):
        text = page.read_text()
        assert 'src="http' not in text and 'rel="stylesheet" href="http' not in text


def test_the_articles_numbers_and_figures_come_from_records(site: Path) -> None:
    for name in ("article.html", "article.zh.html"):
        text = (site / name).read_text()
        assert "{{" not in text and text.count("<figure") == 2


def test_the_architecture_is_drawn_from_the_code(site: Path) -> None:
    for name in ("architecture.html", "architecture.zh.html"):
        text = (site / name).read_text()
        for room in (path.name for path in (ROOT / "harness").iterdir() if (path / "__init__.py").is_file()):
            assert f">{room}</text>" in text and f"<code>{room}/</code>" in text
        assert "<!-- rooms" not in text and text.count("<path d=") > 50


def test_chinese_sentences_have_no_spaces_where_lines_end(site: Path) -> None:
    text = (site / "article.zh.html").read_text()
    assert "每家一个文件，代码里没有一行" in text
    assert not re.search(r"[\u4e00-\u9fff，。]\n[\u4e00-\u9fff]", text)


def test_a_number_of_a_record_is_put_in() -> None:
    assert filled("error {{ reference/4 metrics.relative_l2 .0e }}").stdout.startswith("error 3e-11")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ reference/4 metrics.beauty .1f }}", "reference/4 has no metrics.beauty"),
        ("{{ reference/99 metrics.relative_l2 .1f }}", "there is no record reference/99"),
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
