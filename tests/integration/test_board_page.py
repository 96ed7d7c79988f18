"""The public board: written from a store on a static host, and opened in a real browser on desk and phone."""

import contextlib
import functools
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from test_report_page import HARM, browser, opened, serious  # noqa: F401 - the two in the middle are fixtures

from harness.catalogue import entries
from harness.stores import index, transfer
from harness.stores.folder import FolderStore

ROOT = Path(__file__).resolve().parents[2]
BOOK = entries.load()
pytestmark = pytest.mark.slow


@contextlib.contextmanager
def static_host(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing is said of a request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that `./inv report --board --from http://…` writes of a store with ordinary and hostile records."""
    from samples import a_record

    folder = tmp_path_factory.mktemp("board")
    results, store = folder / "results", FolderStore(folder / "store")
    paddle = {"package": "paddlepaddle", "wheel": None, "wheel_sha256": None}
    places = [("cpu", "3.0.0"), ("cuda", "3.0.0"), ("cuda", "3.3.1"), ("ascend", "3.3.1"), ("kunlun", "3.2.2")]
    for part in ("4", "8-1", "8-2", "9"):
        for kind, version in places:
            own = {"revision": "5f" * 20, "file": "main.py", "clean": True}
            a_record(results, part, kind, f"Model of {kind}", paddle={**paddle, "version": version}, program=own)
    a_record(results, "4", "cpu", f"{HARM} {'x' * 300}")
    a_record(results, "4", "cpu", "\u202eاختبار", program={"revision": HARM, "file": "main.py", "clean": True})
    sent = transfer.upload(results, store)
    index.update(results, store, sent.moved)
    page = folder / "index.html"
    with static_host(folder / "store") as address:
        command = [ROOT / "inv", "report", "--board", "--from", address, "--out", page]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "22 results, 0 signed" in done.stdout
    assert f"--from {address} --task 4" in page.read_text()
    return page


def test_it_has_a_row_for_each_part_and_a_column_for_each_kind_and_version(board: Path, opened: Any) -> None:  # noqa: F811
    page = opened(board)
    heads = [" ".join(text.split()) for text in page.locator(".matrix thead th").all_inner_texts()]
    written = [f"{BOOK.hardware[kind].title} Paddle {version}" for kind, version in (("cpu", "3.0.0"), ("cpu", "?"))]
    assert heads[:2] == ["Part", "Task"] and heads[2:4] == written and len(heads) == 2 + 6
    page.click("#part-4 summary >> nth=0")
    assert "./inv reproduce" in page.inner_text("#part-4 pre >> nth=0")


def test_strangers_texts_do_nothing(board: Path, opened: Any) -> None:  # noqa: F811
    page = opened(board)
    assert page.title() == "PaddleHomework: the board · 榜" and page.locator("script, img").count() == 0
    assert "onerror" in page.inner_text("#part-4")  # it stands there as text


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_phone_and_desk(board: Path, opened: Any, width: int) -> None:  # noqa: F811
    page = opened(board, viewport={"width": width, "height": 844})
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious(page) == []
