"""Names: what a pack may hold on every system that it is opened on: how many files, how large, called what.

Who makes a pack and who checks one ask the same rule, so that nobody makes one that is refused.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator

FILES = 10_000
BYTES = 2 * 2**30
NAME_BYTES = 200
PLAIN = re.compile(r"[^/\\\x00-\x1f\x7f:*?\"<>|]+")
BARE = re.compile(r"[\w./-]{1,120}")
DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # no files on Windows


def shown(text: str) -> str:
    """A stranger's name for a terminal: at most 120 characters, and in quotes unless it is letters and path signs."""
    return text if BARE.fullmatch(text) else repr(text[:120])


def unfit(name: str) -> str:
    """Why a file of this name does not stay below its folder on every system; empty where it does."""
    steps = name.split("/")
    if len(name.encode("utf-8", "surrogatepass")) > NAME_BYTES:
        return f"longer than {NAME_BYTES} bytes"
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "not UTF-8"
    if any(not PLAIN.fullmatch(step) or step in (".", "..") or step.endswith((".", " ")) for step in steps):
        return r"with a control character, one of \ : * ? \" < > |, or an empty, a dotted or a blank end"
    return ""


def twins(names: Collection[str]) -> Iterator[str]:
    """The names that are another's on a system that does not tell cases or forms of a letter apart."""
    files: set[str] = set()
    folders = {"/".join(steps[:depth]) for steps in map(_steps, names) for depth in range(1, len(steps))}
    for name in names:
        if folded(name) in files or folded(name) in folders:
            yield name
        files.add(folded(name))


def folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _steps(name: str) -> list[str]:
    return folded(name).split("/")


def mistakes(sizes: dict[str, int]) -> Iterator[str]:
    """Why files of these names and bytes are no pack, a line each."""
    if len(sizes) > FILES:
        yield f"{len(sizes)} files: a pack holds at most {FILES}"
    if sum(sizes.values()) > BYTES:
        yield f"{sum(sizes.values()) / 2**30:.1f} GiB: a pack holds at most {BYTES // 2**30}"
    for name in sizes:
        if why := unfit(name):
            yield f"{shown(name)}: a name {why}"
        elif any(DEVICES.fullmatch(step) for step in name.split("/")):
            yield f"{shown(name)}: a device's name on Windows"
    yield from (f"{shown(name)}: twice on systems that do not tell cases apart" for name in twins(sizes))
