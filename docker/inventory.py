"""Print what an image holds, as JSON: its Python, Paddle's wheels with their hashes, every package, the vendor's SDKs.

    python inventory.py [SDKS]

SDKS is what hardware.yaml says of them, as JSON: the name of each, its files, and how its version reads there.
"""

import glob
import json
import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path


def system_packages() -> list[list[str]]:
    """Debian's packages as name and version; none where the system is another."""
    if not shutil.which("dpkg-query"):
        return []
    command = ["dpkg-query", "--show", "--showformat", "${Package}\\t${Version}\\n"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted(line.split("\t") for line in lines)


def sdk_version(files: list[str], read: str) -> str | None:
    """The version that one of the files tells; None where none does."""
    for path in (path for pattern in files for path in sorted(glob.glob(pattern))):
        match = re.search(read, Path(path).read_text(errors="replace"), re.MULTILINE) if read else None
        if match:
            return match["version"]
    return None


sdks = json.loads(sys.argv[1]) if len(sys.argv) > 1 else []
wheels = [line.split() for line in Path("/opt/homework/wheels.txt").read_text().splitlines()]
print(
    json.dumps(
        {
            "python": platform.python_version(),
            "wheels": {name.removeprefix("./"): sha256 for sha256, name in wheels},
            "pypi": sorted([each.metadata["Name"], each.version] for each in distributions()),
            "deb": system_packages(),
            "sdks": {each["name"]: sdk_version(each["files"], each.get("read", "")) for each in sdks},
        }
    )
)
