"""uv: how it is called, in the checkout and by pip's settings, and what a person sees of it. It needs no other package.

python -m harness.environments.uv PYTHON       the harness's own environment, which `inv` asks for
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence

from harness.checkout import ROOT
from harness.terminal import Live, forgiving, green, spoken

LAST_LINES = 30


def environment() -> dict[str, str]:
    """The variables that uv runs with: the caller's, and pip's settings, which uv does not read itself."""
    return {**os.environ, **settings(pip_settings(), os.environ)}


def settings(pip: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """pip's settings in uv's variables, but for those that are `given`: there people keep mirrors and certificates."""
    chosen = {"UV_INDEX_STRATEGY": "unsafe-best-match"}  # pip's way; the hashes decide what may be installed
    names = {
        "index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE",
        "client-cert": "SSL_CLIENT_CERT", "trusted-host": "UV_INSECURE_HOST", "timeout": "UV_HTTP_TIMEOUT",
        "retries": "UV_HTTP_RETRIES", "keyring-provider": "UV_KEYRING_PROVIDER", "proxy": "ALL_PROXY",
    }  # fmt: skip
    chosen |= {variable: pip[name] for name, variable in names.items() if pip.get(name)}
    if "default-timeout" in pip:  # as a variable it has this name
        chosen.setdefault("UV_HTTP_TIMEOUT", pip["default-timeout"])
    # pip passes over a folder that is not there; uv would end.
    links = [each for each in pip.get("find-links", "").split() if "://" in each or os.path.exists(each)]
    if links:
        chosen["UV_FIND_LINKS"] = ",".join(links)
    if pip.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        chosen["UV_NO_INDEX"] = "1"
    return {name: value for name, value in chosen.items() if name not in given and name.lower() not in given}


def pip_settings() -> dict[str, str]:
    """pip's own settings, from its files and variables."""
    asked = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(asked, capture_output=True, text=True, cwd=ROOT)
    lines = re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", done.stdout, re.MULTILINE)
    return {name: " ".join(value.replace("\\n", " ").split()) for name, value in lines}


def run(commands: Sequence[Sequence[str]], what: str, doing: str = "Installing", done: str = "Installed") -> str:
    """Run the commands in the checkout, seen as one live line; what they printed where one fails, else nothing.

    Of uv's configuration the checkout's and the user's hold, and none of the folder that somebody calls from.
    """
    with Live(f"{doing} {what}", sys.stderr, signs=True) as live:
        if not live.drawn:
            print(f"{doing} {what}", file=sys.stderr, flush=True)
        variables = environment()
        for command in commands:
            process = subprocess.Popen(
                command,
                env=variables,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            said: list[str] = []
            assert process.stdout is not None
            for line in process.stdout:
                said = [*said, line.rstrip()][-LAST_LINES:]
                if not line.startswith(" +"):
                    live.doing(line)
            if process.wait() != 0:
                return "\n".join([f"{' '.join(command[2:5])} failed:", *said])
    print(green("✓ ", sys.stderr) + f"{done} {what} ({spoken(live.seconds)})", file=sys.stderr)
    return ""


def main() -> int:
    """Install the harness's packages into the environment whose Python calls this."""
    lock = ROOT / "docker" / "locks" / "harness.txt"
    into = ["--python", sys.executable, "--require-hashes", "--no-deps", "-r", str(lock)]
    command = [sys.executable, "-m", "uv", "pip", "install", *into]
    with forgiving():
        failure = run([command], ".venv from docker/locks/harness.txt", "Setting up", "Set up")
        print(failure, file=sys.stderr, end="\n" * bool(failure))
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
