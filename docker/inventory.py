"""Print what an image holds, as JSON: its Python, the wheels of Paddle with their hashes, and every package."""

import json
import platform
import shutil
import subprocess
from importlib.metadata import distributions
from pathlib import Path


def system_packages() -> list[list[str]]:
    """Debian's packages as name and version; none where the system is another."""
    if not shutil.which("dpkg-query"):
        return []
    command = ["dpkg-query", "--show", "--showformat", "${Package}\\t${Version}\\n"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted(line.split("\t") for line in lines)


wheels = [line.split() for line in Path("/opt/homework/wheels.txt").read_text().splitlines()]
print(
    json.dumps(
        {
            "python": platform.python_version(),
            "wheels": {name.removeprefix("./"): sha256 for sha256, name in wheels},
            "pypi": sorted([each.metadata["Name"], each.version] for each in distributions()),
            "deb": system_packages(),
        }
    )
)
