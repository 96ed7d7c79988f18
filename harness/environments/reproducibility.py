"""Whether an image is made the same twice: its bytes, where the engine can leave the time out, and else its files.

Without buildx, Docker's BuildKit writes the time of the build into every layer; its files can be compared all the same.
"""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.environments import images
from harness.environments.client import Client
from harness.errors import BuildError

EPOCH = "1735689600"  # the time that reproducible images carry: 2025-01-01
SHOWN = 10


@dataclass(frozen=True)
class Made:
    """What a build has left to compare: a hash of all of it, and where there are, the files with a hash each."""

    digest: str
    files: Mapping[str, str]


def check(image: images.Image, client: Client) -> str:
    """Build twice from nothing and compare; returns what was the same, and its hash.

    Raises:
        BuildError: the two differ.
    """
    context = images.stage(image)
    made = []
    try:
        for number in (1, 2):
            place = images.sibling(context, f".{number}")
            try:
                words = command(image, client, context, place)
                images.run(words, images.sibling(context, ".log"), f"Building {image.name}")
                made.append(_made(client, place))
            finally:
                place.unlink(missing_ok=True)
    finally:
        shutil.rmtree(images.secrets_folder(context), ignore_errors=True)
    first, second = made
    if first.digest != second.digest:
        remedy = "Let the step that makes these leave out times, names and chance."
        raise BuildError("Two builds made different images.", _difference(first, second), remedy)
    what = "files, their times aside (only buildx and Podman can leave those out)" if first.files else "bytes"
    return f"the same {what} twice: {first.digest}"


def command(image: images.Image, client: Client, context: Path, place: Path) -> list[str]:
    """The command that builds the image from nothing and leaves at `place` what is compared: an archive of the image,
    its id where that is made from all its bytes, or an archive of its files."""
    words = [*images.command(image, client, context, {})[:-3], "--no-cache"]  # without a name and its labels
    if client.builder == "buildx":
        output = f"type=oci,dest={place},rewrite-timestamp=true"
        words = [word for word in words if word != "--load"]
        return [*words, "--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}", "--output", output, str(context)]
    if client.builder == "podman":
        return [*words, "--timestamp", EPOCH, "--iidfile", str(place), str(context)]
    return [*words, "--output", f"type=tar,dest={place}", str(context)]


def _made(client: Client, place: Path) -> Made:
    if client.builder == "buildkit":
        held = files(place)
        return Made(hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest(), held)
    if client.builder == "podman":
        identity = place.read_text().strip()
        client.read("rmi", identity)
        return Made(identity, {})
    with place.open("rb") as file:
        return Made(_digest(file), {})


def files(archive: Path) -> dict[str, str]:
    """Every file of a tar, with a hash of its kind, mode, owner and content: all but its time."""
    held = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            facts = [member.type.decode(), member.mode, member.uid, member.gid, member.linkname]
            facts.append(_digest(content) if content else "")
            held[member.name] = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return held


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(2**20):
        digest.update(chunk)
    return digest.hexdigest()


def _difference(first: Made, second: Made) -> str:
    names = sorted(first.files.keys() | second.files.keys())
    other = [name for name in names if first.files.get(name) != second.files.get(name)]
    if not other:
        return f"{first.digest} and {second.digest}; diffoscope shows where two archives differ."
    shown = ", ".join(other[:SHOWN]) + (" …" if len(other) > SHOWN else ".")
    return f"They differ in {len(other)} of {len(names)}: {shown}"
