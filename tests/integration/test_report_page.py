"""The report in a real browser, headless: opened, filtered, searched, by mouse and keyboard, on desk and phone."""

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "unit" / "harness"))
from samples import a_catalogue, a_kind, a_part, a_record, before_run, outcome  # noqa: E402

from harness.catalogue.entries import Metric  # noqa: E402
from harness.evidence import attachments, traces  # noqa: E402
from harness.evidence.records import LOG, Draft  # noqa: E402
from harness.points import matrix  # noqa: E402
from harness.publish import report  # noqa: E402
from harness.publish.packs import archive  # noqa: E402

pytestmark = pytest.mark.slow
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
METRICS = {
    "error": Metric(name="error", at_most=0.1, when={}, help="against the series"),
    "tokens_per_second": Metric(name="tokens_per_second", unit="1/s", when={}, reproduces=None),
}
PARTS = [a_part("4", metrics=METRICS), a_part("8-1", title="A network", title_zh="网络", metrics=METRICS)]
BOOK = a_catalogue(*PARTS)
HARM = "</script><script>document.title = 'harmed'</script><img src=x onerror=\"document.title='harmed'\">"
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    """Opens a page; at the test's end nothing may have been said on the console, nor anything asked of a network."""
    said: list[str] = []
    contexts = contextlib.ExitStack()

    def open_page(path: Path, url: str = "", **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.callback(context.close)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(("file:", "data:", "blob:")) else said.append(asked.url),
        )
        page.goto(url or path.as_uri())
        return page

    with contexts:
        yield open_page
    assert said == []


def picture(width: int = 64) -> bytes:
    from io import BytesIO

    import matplotlib.image

    file = BytesIO()
    matplotlib.image.imsave(file, np.random.default_rng(0).random((width, width, 3)), format="png")
    return file.getvalue()


def a_run(
    results: Path, part: int = 0, kind: str = "cpu", log: str = "", speed: float = 1000.0, png: bytes = b""
) -> Path:
    """A sealed run like a real one: metrics, a log of 200 lines, a loss curve, a field, a picture."""
    with Draft(results, before_run(PARTS[part].name, kind, f"Model of {kind}")) as draft:
        metrics = {"error": 0.01, "tokens_per_second": speed}
        (draft.folder / "metrics.json").write_text(json.dumps(metrics))
        (draft.folder / "device.json").write_text(json.dumps({"device": kind, "places": {f"Place({kind}:0)": 3}}))
        lines = [f"step {number:5}  loss {8 / (number + 1):.5f}" for number in range(200)]
        (draft.folder / LOG).write_text("\n".join([*lines, log]))
        (draft.folder / "screen.png").write_bytes(png)
        grid = np.linspace(-1, 1, 64)
        np.savez(draft.folder / traces.FILE, loss=8 / np.arange(1.0, 151), field=np.outer(np.cos(grid), np.cos(grid)))
        return draft.seal(**outcome(draft.folder, PARTS[part], a_kind(kind), draft.record)).folder


def written(results: Path) -> Path:
    path = results.parent / "report.html"
    path.write_text(report.page(matrix.build(BOOK, results), BOOK, results))
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of five runs: part 4 twice on a CPU, part 8-1 on three kinds."""
    results = tmp_path_factory.mktemp("report") / "results"
    a_run(results, log="the first", png=picture())
    a_run(results, log=HARM, png=picture())
    for kind, speed in (("cpu", 1000.0), ("cuda", 50000.0), ("sim", 500.0)):
        a_run(results, part=1, kind=kind, speed=speed, png=picture())
    return written(results)


def serious(page: Any) -> list[str]:
    """What axe-core finds that hinders people."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found if each["impact"] in ("serious", "critical")]


def test_a_click_in_the_matrix_opens_the_cell_with_all_that_it_has(small: Path, opened: Open) -> None:
    page = opened(small)
    assert page.locator("#cell-4-cpu .run").inner_text() == ""
    page.click("a[href='#cell-4-cpu']")
    page.wait_for_selector("#cell-4-cpu pre")
    cell = page.locator("#cell-4-cpu")
    headings = ["Checks and metrics", "Plots", "Picture of the log", "Log", "Environment", "Provenance"]
    assert cell.locator("h4").all_inner_texts() == headings
    assert "against the series" in cell.inner_text() and "at most 0.1" in cell.inner_text()
    labels = [chart.get_attribute("aria-label") for chart in cell.locator("svg").all()]
    assert labels == ["loss over 150 steps. loss: from 8 to 0.053333", "field, 64 × 64, from 0.29193 to 0.99975"]
    assert cell.locator("svg .contour").get_attribute("d").startswith("M")
    assert (
        cell.locator("img[alt='screen.png']").evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    )
    assert page.evaluate("document.activeElement.closest('details').id") == "cell-4-cpu"


def test_an_address_opens_its_cell_and_another_run_is_chosen(small: Path, opened: Open) -> None:
    page = opened(small)
    page.goto(f"{small.as_uri()}#cell-4-cpu")
    page.reload()
    page.wait_for_selector("#cell-4-cpu pre")
    assert "the first" not in page.inner_text("#cell-4-cpu pre")
    page.locator("#cell-4-cpu select").select_option(index=1)
    page.locator("#cell-4-cpu pre", has_text="the first").wait_for()


def test_a_hostile_log_is_text(small: Path, opened: Open) -> None:
    page = opened(small)
    page.click("a[href='#cell-4-cpu']")
    page.wait_for_selector("#cell-4-cpu pre")
    assert HARM in page.inner_text("#cell-4-cpu pre")
    assert page.title() == "PaddleHomework: the report"


def test_the_filter_leaves_what_fits_by_words_and_by_state(small: Path, opened: Open) -> None:
    page = opened(small)

    def shown() -> list[str]:
        rows = page.locator(".matrix tbody tr:visible th").all_inner_texts()
        return [*rows, *(part.get_attribute("id") for part in page.locator(".part:visible").all())]

    assert shown() == ["4", "8-1", "part-4", "part-8-1"]
    page.fill("#words", "网络")
    assert shown() == ["8-1", "part-8-1"]
    page.fill("#words", "CUDA")
    assert shown() == ["4", "8-1", "part-8-1"]  # part 4 has a cell there, without a run
    assert page.locator("details.cell:visible").count() == 1
    page.fill("#words", "")
    page.check("input[value=rehearsed]")
    assert shown() == ["8-1", "part-8-1"] and "1 tasks, 1 with runs" in page.inner_text("#found")
    page.fill("#words", "nothing of the kind")
    assert shown() == [] and page.locator("#nothing").is_visible()
    page.uncheck("input[value=rehearsed]")
    page.fill("#words", "")
    assert shown() == ["4", "8-1", "part-4", "part-8-1"]


def test_the_search_in_a_log_goes_from_place_to_place(small: Path, opened: Open) -> None:
    page = opened(small)
    page.click("a[href='#cell-4-cpu']")
    page.fill("#cell-4-cpu .find input", "STEP   19")
    assert page.inner_text("#cell-4-cpu .find output") == "1 of 10"
    page.keyboard.press("Enter")
    assert page.inner_text("#cell-4-cpu .find output") == "2 of 10"
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")
    assert page.inner_text("#cell-4-cpu .find output") == "10 of 10"
    assert page.locator("#cell-4-cpu mark.here").evaluate("mark => mark.getBoundingClientRect().height") > 0
    page.fill("#cell-4-cpu .find input", "no such words")
    assert page.inner_text("#cell-4-cpu .find output") == "not found"


def test_across_hardware_every_kind_stands_beside_the_first(small: Path, opened: Open) -> None:
    page = opened(small)
    page.click("#across-8-1 summary")
    page.wait_for_selector("#across-8-1 svg")
    assert page.locator("#across-8-1 thead th").all_inner_texts() == [
        "Metric",
        "cpu (Model of cpu)",
        "cuda (Model of cuda)",
        "sim (Model of sim)",
    ]
    assert "50000 1/s\n× 50" in page.inner_text("#across-8-1 table")
    assert page.locator("#across-8-1 .curve").count() == 3 and page.locator("#across-8-1 rect.bar").count() == 3


def test_the_keyboard_alone_reaches_and_opens_a_cell(small: Path, opened: Open) -> None:
    page = opened(small)
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('href')") == "#cell-4-cpu":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("#cell-4-cpu pre")
    page.keyboard.press("Space")  # on the summary, which has the focus now
    assert not page.locator("#cell-4-cpu").evaluate("details => details.open")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_with_everything_open(small: Path, opened: Open, scheme: str) -> None:
    page = opened(small, color_scheme=scheme)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    page.wait_for_selector("#cell-8-1-sim pre")
    page.wait_for_selector("#across-8-1 svg")
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")  # those made meanwhile
    page.fill("#cell-4-cpu .find input", "step")
    page.check("input[value=earned]")
    assert serious(page) == []


def test_the_theme_is_chosen_over_the_systems(small: Path, opened: Open) -> None:
    page = opened(small, color_scheme="light")
    colours = []
    for _ in range(3):
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.click("#theme")
    assert colours == ["rgb(251, 250, 248)", "rgb(251, 250, 248)", "rgb(20, 23, 28)"]


def test_a_phone_shows_it_without_scrolling_sideways(small: Path, opened: Open) -> None:
    page = opened(small, viewport={"width": 360, "height": 780}, is_mobile=True, has_touch=True)
    page.tap("a[href='#cell-8-1-cpu']")
    page.wait_for_selector("#cell-8-1-cpu pre")
    page.tap("#across-8-1 summary")
    page.wait_for_selector("#across-8-1 svg")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("innerWidth") == 360  # and it was not zoomed out to fit
    points = page.locator(".matrix tbody td.number").first.bounding_box()
    assert points and points["x"] > 0 and points["x"] + points["width"] <= 360, "the points stay in sight"


def test_a_thousand_runs_open_in_two_seconds(tmp_path: Path, opened: Open) -> None:
    results, png = tmp_path / "results", picture(100)
    for number in range(1000):
        a_run(results, part=number % 2, kind=("cpu", "cuda", "sim")[number % 3], log=f"run {number}", png=png)
    path = written(results)
    page = opened(path, url="about:blank")
    metrics = page.context.new_cdp_session(page)
    metrics.send("Performance.enable", {"timeDomain": "threadTicks"})
    started = time.monotonic()
    page.goto(path.as_uri())
    page.click("a[href='#cell-8-1-sim']")
    page.wait_for_selector("#cell-8-1-sim pre")
    wall = time.monotonic() - started
    found = {metric["name"]: metric["value"] for metric in metrics.send("Performance.getMetrics")["metrics"]}
    size = path.stat().st_size / 2**20
    print(f"{size:.1f} MiB: a cell is shown after {wall:.2f} s, {found['TaskDuration']:.2f} s of its own thread")
    assert page.locator("#cell-8-1-sim option").count() == 166 and size < 40
    assert found["TaskDuration"] < 2  # its own time: another's load is no defect of the page


def test_the_cover_of_a_pack_fits_a_phone_and_thousands_of_files(tmp_path: Path, opened: Open) -> None:
    """Long names and values wrap, and three thousand files do not stand in the way of what follows them."""
    names = {f"{'x' * 90}-{number:04}.txt": b"x" for number in range(3000)}
    model = "Accelerator-with-a-name-that-goes-on-and-on-without-any-blank-in-it"
    folder = a_record(tmp_path / "results", model=model, files={**names, "screen.png": picture(900)})
    attachments.write(tmp_path / "results", "4", {"kind": "link", "url": f"https://example.org/{'y' * 200}"}, {})
    archive.make(BOOK, [PARTS[0]], tmp_path / "results", tmp_path / "pack.zip")
    shutil.unpack_archive(tmp_path / "pack.zip", tmp_path / "pack")
    page = opened(tmp_path / "pack" / "index.html", viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.documentElement.scrollHeight") < 6000
    assert page.locator("summary").inner_text().startswith("3,00") and folder.name in page.content()
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert "against the series" in page.locator("table").inner_text()
