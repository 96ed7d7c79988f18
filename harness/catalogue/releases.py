"""The versions of Paddle, as docker/paddle.yaml lists them; any other 3.x is unlisted, and goes by the nearest one.

A cell's version is the one that was asked for, or its kind's own, or the homework's.
"""

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.catalogue import datafiles
from harness.catalogue.entries import Hardware
from harness.checkout import ROOT
from harness.errors import UsageError

if TYPE_CHECKING:
    from packaging.version import Version

FILE = "docker/paddle.yaml"
UNTAGGED = "0.0.0"  # what Paddle's build calls sources without a tag, as a nightly one's
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
        """Whether it is a version of the list as its index has it; own wheels of such a number are anyone's."""
        return self.version == self.near and not self.wheels

    def lock(self, stack: str) -> str:
        """The lock of a stack by its path in the checkout."""
        return f"docker/locks/{stack}.txt" if self.near == self.homework else f"docker/locks/{self.near}/{stack}.txt"

    def of(self, stack: str) -> str:
        """A stack's name for folders and images: the homework's is plain."""
        own = "-own" * bool(self.wheels)
        version = f"-{self.version.replace('+', '-')}" * (self.version != self.homework or bool(own))
        return f"{stack}{version}{own}"

    def __str__(self) -> str:
        whose = "own wheel" if self.wheels else "unlisted"
        return self.version if self.listed else f"{self.version} ({whose}, on the lock of {self.near})"


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
        from packaging.version import Version

        asked = parsed(text)
        known = {Version(version): each for version, each in self.listed.items()}
        if asked in known and not wheels:
            return known[asked]
        untagged = asked is not None and asked.base_version == UNTAGGED
        if asked is None or asked.epoch or not (asked.major == 3 or untagged):
            why = f"Listed: {', '.join(self.listed)}, or all; any other 3.x runs as unlisted."
            shown = text or repr(text)
            raise UsageError(f"--paddle {shown}: no version of Paddle 3.", why, "Write one, as --paddle 3.3.1")
        # Untagged sources are newer than all that has a number.
        near = known[max(known) if untagged else min(known, key=lambda each: _distance(each, asked))]
        return Release(
            version=str(asked),
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


def parsed(text: str) -> "Version | None":
    """A version as Python's packages have them, which sorts; None where it is none."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text)
    except InvalidVersion:
        return None


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
    named = {parsed(path.name.split("-")[1]) for path in folder.glob("paddlepaddle*-*-*.whl")}
    there = sorted(version for version in named if version)
    wanted = [version for version in there if version == parsed(text)] if text else there
    if len(wanted) != 1:
        why = f"It has: {', '.join(map(str, there))}." if there else "It is a folder with paddlepaddle-….whl files."
        what = f"--wheels {wheels}: no single wheel of Paddle{' ' * bool(text)}{text} there."
        raise UsageError(what, why, "Name that folder, and one version of it by --paddle.")
    return [load().of(str(wanted[0]), str(folder))]
