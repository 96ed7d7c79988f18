"""A fresh Debian with its own Python, by debootstrap: `./inv run` as root and as an ordinary user."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from containers import ROOT, base_archive

INDEX = ("PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT")
PACKAGES = "ca-certificates,git,libgomp1,python3,python3-venv"
# In namespaces of its own, so that no mount and no process stays. uv's cache is kept from test to test.
ENTER = """
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount --bind "$2" "$1/var/cache/uv"
exec chroot --userspec="$3" "$1" env -i HOME="$4" PATH=/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 \\
    UV_CACHE_DIR=/var/cache/uv $5 "$4/PaddleHomework/inv" run "$6" --format bare
"""
EMULATED = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")


@pytest.fixture(params=[("bookworm", "3.11"), ("trixie", "3.13")], ids=["12", "13"])
def debian(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """The root of a fresh system, and the version of its Python."""
    suite, python = request.param
    return unpacked(base_archive(suite, f"fresh-{suite}", PACKAGES), tmp_path / suite), python


def unpacked(archive: Path, tree: Path) -> Path:
    tree.mkdir()
    subprocess.run(["tar", "-C", tree, "-xf", archive], check=True)
    bundle = os.environ.get("SSL_CERT_FILE") or os.environ.get("PIP_CERT")  # a proxy's, as its machines have it
    if bundle:
        shutil.copy(bundle, tree / "etc" / "ssl" / "certs" / "ca-certificates.crt")
    shutil.copy("/etc/resolv.conf", tree / "etc" / "resolv.conf")
    (tree / "var" / "cache" / "uv").mkdir()
    return tree


def run(tree: Path, number: int, home: str, part: str = "1", timeout: int = 600) -> dict[str, Any]:
    """Run a part in a clone of this checkout; its record."""
    checkout = tree / home.lstrip("/") / "PaddleHomework"
    subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
    cache = ROOT / ".cache" / "base" / "uv"
    cache.mkdir(exist_ok=True)
    subprocess.run(["chown", "-R", f"{number}:{number}", tree / home.lstrip("/"), cache], check=True)
    certificates = "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt"
    index = " ".join(f"{name}={os.environ[name]}" for name in INDEX if name in os.environ)
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", ENTER, "sh"]
    words += [str(tree), str(cache), f"{number}:{number}", home, f"{certificates} {index}", part]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (place,) = (checkout / "results").glob(f"{part}/cpu/*/record.json")
    record: dict[str, Any] = json.loads(place.read_text())
    return record


@pytest.mark.slow
def test_a_run_passes_on_a_fresh_debian_as_root_and_as_an_ordinary_user(debian: tuple[Path, str]) -> None:
    tree, python = debian
    for number, home in ((0, "/root"), (1000, "/home/person")):
        (tree / home.lstrip("/")).mkdir(exist_ok=True)
        record = run(tree, number, home)
        assert record["passed"] is True and record["paddle"]["version"] == "3.0.0", record["checks"]
        assert record["stack"]["python"].startswith(f"{python}."), record["stack"]
        assert record["program"]["clean"] is True, record["program"]


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.skipif(not EMULATED.exists(), reason="needs qemu-user-static, and its aarch64 in binfmt_misc")
def test_a_run_passes_on_an_emulated_aarch64(tmp_path: Path) -> None:
    """Fifteen minutes: every instruction of it is emulated, those of debootstrap, uv and Paddle as well."""
    tree = unpacked(base_archive("bookworm", "fresh-arm64", PACKAGES, "arm64"), tmp_path / "arm64")
    (tree / "root").mkdir(exist_ok=True)
    record = run(tree, 0, "/root", "8-1", timeout=3600)
    assert record["passed"] is True and record["hardware"]["machine"] == "aarch64", record["checks"]
