"""What `./inv clean` does: show what the checkout keeps on disk besides its records, and free it."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from harness.checkout import ROOT
from harness.terminal import bold, green

# What is kept, and what it costs to have it again. Records, attachments, stores and settings are never among it.
PLACES: Mapping[str, tuple[str, str]] = {
    "cache": (".cache", "downloads, built images' contexts, the site, caches of Paddle and matplotlib"),
    "stacks": (".stacks", "the environments that programs run in; made again in a minute each"),
    "tools": (".mypy_cache .pytest_cache .ruff_cache .hypothesis", "what the tools of the tests remember"),
    "venv": (".venv", "the harness's own environment; made again in seconds"),
}


def clean(free: str, format: str) -> None:
    """Print the places with their sizes, or free those that are named."""
    named = list(PLACES) if free == "all" else free.split(",") if free else []
    sizes = {name: sum(_size(ROOT / folder) for folder in PLACES[name][0].split()) for name in named or PLACES}
    if format == "json":
        return print(json.dumps(sizes))
    for name, size in sizes.items():
        if named:
            for folder in PLACES[name][0].split():
                shutil.rmtree(ROOT / folder, ignore_errors=True)
            print(green("✓ freed") + f"  {name}: {_spoken(size)}")
        else:
            print(f"  {name:<8} {_spoken(size):>10}  {PLACES[name][1]}")
    if not named:
        print(bold(f"  {'together':<8} {_spoken(sum(sizes.values())):>10}") + "  ./inv clean --free NAME,NAME or all")


def _size(folder: Path) -> int:
    """The bytes of a folder on disk; a file with several names in it counts once."""
    seen: dict[tuple[int, int], int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(place, name))
            except OSError:
                continue
            seen[status.st_dev, status.st_ino] = getattr(status, "st_blocks", status.st_size // 512) * 512
    return sum(seen.values())


def _spoken(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
