"""The versions of Paddle, as docker/paddle.yaml lists them; any other 3.x is unlisted, and goes by the nearest one.

A cell's version is the one that was asked for, or its kind's own, or the homework's.
"""

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.catalogue import datafiles
from harness.catalogue.entries import Hardware
from harness.checkout import ROOT
from harness.errors import UsageError

FILE = "docker/paddle.yaml"
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PLATFORM = f"{ {'Darwin': 'macos'}.get(platform.system(), platform.system().lower()) }-{platform.machine().lower()}"


@dataclass(frozen=True, kw_only=True)
class Release:
    """A version of Paddle.

    `near` is the listed one whose locks it goes by: itself, unless it is unlisted. `wheels` is a folder of own wheels,
    asked before any index.
    """

    version: str
    near: str
    homework: str
    python: tuple[str, ...]
    platforms: tuple[str, ...]
    commit: str | None = None
    wheels: str = ""

    @property
    def listed(self) -> bool:
        return self.version == self.near

    def lock(self, stack: str) -> str:
        """The lock of a stack by its path in the checkout."""
        return f"docker/locks/{stack}.txt" if self.near == self.homework else f"docker/locks/{self.near}/{stack}.txt"

    def of(self, stack: str) -> str:
        """A stack's name for folders and images: the homework's is plain."""
        return stack if self.version == self.homework else f"{stack}-{self.version.replace('+', '-')}"

    def __str__(self) -> str:
        return self.version if self.listed else f"{self.version} (unlisted, on the lock of {self.near})"


@dataclass(frozen=True)
class Releases:
    """The listed versions, the oldest first, and which of them earn points."""

    homework: str
    counts: str
    listed: Mapping[str, Release]

    def of(self, text: str, wheels: str = "") -> Release:
        """A version by its number.

        Raises:
            UsageError: it is no version of Paddle 3.
        """
        from packaging.version import InvalidVersion, Version

        if text in self.listed and not wheels:
            return self.listed[text]
        try:
            asked = Version(text)
        except InvalidVersion:
            asked = None
        if asked is None or asked.major != 3:
            known = f"Listed: {', '.join(self.listed)}, or all; any other 3.x runs as unlisted."
            raise UsageError(f"--paddle {text}: no version of Paddle 3.", known, "Write one, as --paddle 3.3.1")
        near = min(self.listed.values(), key=lambda each: _distance(Version(each.version), asked))
        version = str(asked) if wheels or text not in self.listed else text
        return Release(
            version=version,
            near=near.version,
            homework=self.homework,
            python=near.python,
            platforms=near.platforms if not wheels else (PLATFORM,),
            wheels=wheels,
        )

    def select(self, text: str, wheels: str = "") -> list[Release]:
        """The versions that `text` names, with commas, or all listed ones.

        Raises:
            UsageError: one is no version of Paddle 3.
        """
        names = [name.strip() for name in text.split(",")]
        found = [
            each for name in names for each in (self.listed.values() if name == "all" else [self.of(name, wheels)])
        ]
        return list({each.version: each for each in found}.values())

    def own(self, kind: Hardware | None) -> Release:
        """The version that a kind's data names, else the homework's."""
        return self.of((kind.data.get("paddle", {}).get("version") if kind else None) or self.homework)

    def default(self, kind: Hardware | None, python: str = HERE) -> Release:
        """The version where none is asked for: the kind's own; where that has no locks for this Python, the oldest
        listed one that has."""
        own = self.own(kind)
        fitting = [each for each in self.listed.values() if python in each.python]
        return own if python in own.python or not fitting else fitting[0]


def _distance(listed: Any, asked: Any) -> tuple[int, bool]:
    """How far a listed version is, by minor version before patch; of two that are as far, the newer is nearer."""
    return abs((listed.minor - asked.minor) * 1000 + listed.micro - asked.micro), listed < asked


@lru_cache(8)
def load(root: Path = ROOT) -> Releases:
    """Read docker/paddle.yaml.

    Raises:
        DataFileError: it has a mistake; file, line and the mend are named.
    """
    data = datafiles.documents(root)[FILE]
    listed = {
        version: Release(
            version=version,
            near=version,
            homework=data["homework"],
            python=tuple(each["python"]),
            platforms=tuple(each["platforms"]),
            commit=each["commit"],
        )
        for version, each in data["versions"].items()
    }
    return Releases(data["homework"], data["counts"], listed)


def asked(text: str, wheels: str = "") -> "list[Release | None]":
    """The versions that --paddle and --wheels name; None, each kind's default, where there is neither.

    Raises:
        UsageError: one is no version of Paddle 3, or the folder has no wheel of it.
    """
    if not wheels:
        return list(load().select(text)) if text else [None]
    folder = Path(wheels).expanduser().absolute()
    there = sorted({path.name.split("-")[1] for path in folder.glob("paddlepaddle*-*-*.whl")})
    if not there or (text and text not in there) or (not text and len(there) > 1):
        why = f"It has: {', '.join(there)}." if there else "It is a folder with paddlepaddle-….whl files."
        what = f"--wheels {wheels}: no single wheel of Paddle{' ' * bool(text)}{text} there."
        raise UsageError(what, why, "Name that folder, and one version of it by --paddle.")
    return [load().of(text or there[0], str(folder))]
