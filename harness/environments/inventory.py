"""What an image holds, asked of the image itself, and as a bill of materials in CycloneDX's form."""

import json
import shlex
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from harness.environments.client import Client
from harness.errors import BuildError

PROGRAM = "/opt/homework/inventory.py"


def read(client: Client, image: str, sdks: Sequence[Mapping[str, Any]] = ()) -> Mapping[str, Any]:
    """Ask the image: its Python, the hashes of Paddle's wheels, every package, the versions of the vendor's SDKs.

    Raises:
        BuildError: it does not answer.
    """
    words = [client.path, "run", "--rm", "--network", "none", "--entrypoint", "python", image, PROGRAM]
    words.append(json.dumps(list(sdks)))
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        why = done.stderr.strip().rpartition("\n")[2] or f"{client.engine} run ended with {done.returncode}."
        raise BuildError(f"{image} was built, but it cannot say what it holds.", why, "Try: " + shlex.join(words))
    held: dict[str, Any] = json.loads(done.stdout)
    return held


def bill(held: Mapping[str, Any], image: str) -> str:
    """The bill of materials. The same packages make the same bytes: its number is made from them, not by chance."""
    components = [_component(kind, name, version) for kind in ("pypi", "deb") for name, version in held[kind]]
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(components))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": image, "bom-ref": image}},
        "components": components,
    }
    return json.dumps(document, indent=1) + "\n"


def _component(kind: str, name: str, version: str) -> dict[str, str]:
    space = "deb/debian" if kind == "deb" else "pypi"
    address = f"pkg:{space}/{name.lower()}@{version}"
    return {"type": "library", "bom-ref": address, "name": name, "version": version, "purl": address}
