#!/usr/bin/env python3
"""Write paddle-wheels.json: for every published wheel of the listed versions of Paddle, its hash and its RECORD's.

    python docker/locks/wheels.py [INDEX]

INDEX is a package index that answers in JSON (PEP 691), such as the one of `pip config get global.index-url`,
which is the default, after PIP_INDEX_URL. The versions are those of docker/paddle.yaml; what is known
stays. No wheel is downloaded: RECORD
is read out of each by a few range requests. Task 1 looks its own RECORD up here
(projects/01-install/installation.py).
"""

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import Request, urlopen

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "projects" / "01-install"))
from installation import record_sha256  # noqa: E402

BLOCK = 1 << 19  # bytes; the last one of a wheel holds its list of files, and most often RECORD


class Remote(io.RawIOBase):
    """A file behind an address, read in blocks by range requests; enough of a file for `zipfile`."""

    def __init__(self, url: str) -> None:
        self.url, self.at = url, 0
        with urlopen(Request(url, method="HEAD"), timeout=60) as answer:
            self.length = int(answer.headers["Content-Length"])
        self.blocks: dict[int, bytes] = {}

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.length}[whence]
        return self.at

    def read(self, size: int = -1) -> bytes:
        end = self.length if size < 0 else min(self.at + size, self.length)
        found = bytearray()
        while self.at < end:
            # Blocks are counted from the end of the file, so that its tail is one of them.
            number = (self.length - 1 - self.at) // BLOCK
            stop = self.length - number * BLOCK
            start = max(stop - BLOCK, 0)
            piece = self._block(number, start, stop)[self.at - start : end - start]
            found += piece
            self.at += len(piece)
        return bytes(found)

    def _block(self, number: int, start: int, stop: int) -> bytes:
        if number not in self.blocks:
            request = Request(self.url, headers={"Range": f"bytes={start}-{stop - 1}"})
            with urlopen(request, timeout=60) as answer:
                if answer.status != 206:
                    sys.exit(f"error: {self.url}\nno answer to range requests: take another index")
                self.blocks[number] = answer.read()
        return self.blocks[number]


def main() -> None:
    index = sys.argv[1] if len(sys.argv) > 1 else configured_index()
    if not index:
        sys.exit(
            "error: no package index\npip has none configured, and no PIP_INDEX_URL is set\n"
            "name one: python docker/locks/wheels.py INDEX"
        )
    versions = listed_versions((HERE.parent / "paddle.yaml").read_text(encoding="utf-8"))
    known = json.loads((HERE / "paddle-wheels.json").read_text(encoding="utf-8"))
    page = index.rstrip("/") + "/paddlepaddle/"
    request = Request(page, headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    wheels = {}
    for file in sorted(files, key=lambda file: file["filename"]):
        name = file["filename"]
        version = name.split("-")[1]
        if name in known and known[name]["sha256"] == file["hashes"]["sha256"]:
            wheels[name] = known[name]
        elif version in versions and name.endswith(".whl"):
            with zipfile.ZipFile(Remote(urljoin(page, file["url"]))) as wheel:
                record = wheel.read(f"paddlepaddle-{version}.dist-info/RECORD").decode()
            found = record_sha256(record.splitlines())
            wheels[name] = {"sha256": file["hashes"]["sha256"], "record_sha256": found}
            print(name, *wheels[name].values())
    if lacking := [version for version in versions if not any(f"-{version}-" in name for name in wheels)]:
        sys.exit(f"error: {page} has no wheel of paddlepaddle {', '.join(lacking)}")
    (HERE / "paddle-wheels.json").write_text(json.dumps(wheels, indent=2) + "\n", encoding="utf-8")


def configured_index() -> str | None:
    """The package index of the environment or of pip's configuration; None if neither names one."""
    if url := os.environ.get("PIP_INDEX_URL"):
        return url
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True
    )
    return asked.stdout.strip() or None


def listed_versions(text: str) -> list[str]:
    """The versions that the text of paddle.yaml lists, read without a YAML parser. Exits if there are none."""
    found = re.findall(r"^  (3\.\d+\.\d+):$", text, re.MULTILINE)
    return found or sys.exit("error: paddle.yaml lists no version")


if __name__ == "__main__":
    main()
