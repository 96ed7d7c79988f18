"""Images that run elsewhere: what `./inv build --push` adds, so that a pod needs no index and no engine to ask.

The harness's own environment lies beside the stack, and `image.json` is what the engine knows of the image that both
stand on. `HOMEWORK_INSIDE`, which such an image sets, is the folder of all three.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.environments import images
from harness.environments.client import Client
from harness.environments.images import Image

VARIABLE = "HOMEWORK_INSIDE"
DOCKERFILE = Path("docker") / "pushed.dockerfile"
HARNESS = Path("docker") / "locks" / "harness.txt"
FILE = "image.json"


def folder() -> Path | None:
    """Where the image that this process runs in has its stack; None outside of such an image."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def read(folder: Path) -> Mapping[str, Any]:
    """What the engine knew of the image: its Id, and its labels under Config."""
    found: Mapping[str, Any] = json.loads((folder / FILE).read_text())
    return found


def build(image: Image, client: Client, name: str) -> None:
    """Build `name` on an image that is there, with the harness's environment in it.

    Raises:
        BuildError: a step failed; its end is shown, and the log kept.
    """
    context = images.stage(image)
    for path in (DOCKERFILE, HARNESS):
        shutil.copy2(image.root / path, context / path)
    found = client.inspect(image.name)
    assert found, f"{image.name} is gone since it was built"
    known = {"Id": found["Id"], "Config": {"Labels": found["Config"]["Labels"]}}
    (context / FILE).write_text(json.dumps(known, sort_keys=True))
    given = {"IMAGE": image.name}
    words = images.build_words(client, context, str(DOCKERFILE), given, known["Config"]["Labels"], image.offline)
    try:
        log = images.sibling(context, ".log")
        images.run([*words, "--tag", name, str(context)], log, f"Adding the harness to {name}")
    finally:
        shutil.rmtree(images.secrets_folder(context), ignore_errors=True)
