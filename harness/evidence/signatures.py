"""Signatures with an SSH key: made and checked by ssh-keygen -Y, which every machine with OpenSSH 8.2 or later has."""

import base64
import re
import subprocess
from pathlib import Path

from harness.errors import HomeworkError, UsageError

NAMESPACE = "paddlehomework"
SUFFIX = ".sig"
ARMOUR = re.compile(rb"-----BEGIN SSH SIGNATURE-----\n(?P<lines>[A-Za-z0-9+/=\n]+\n)-----END SSH SIGNATURE-----\n")


def sign(file: Path, key: Path) -> Path:
    """Sign `file`; the signature is written beside it, and its path returned.

    Args:
        file: what is signed.
        key: the private key, or the public one where an agent holds the private one.

    Raises:
        UsageError: there is no such key, or it needs a passphrase that nobody can be asked for here.
    """
    if not key.expanduser().is_file():
        raise UsageError(
            f"--sign {key}: no such key.", "It is the file of a private SSH key.", "Make one: ssh-keygen -t ed25519"
        )
    signature = file.with_name(file.name + SUFFIX)
    signature.unlink(missing_ok=True)
    done = _keygen("sign", "-n", NAMESPACE, "-f", str(key.expanduser()), str(file))
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()[-1:] or ["no words"]
        raise UsageError(f"{key}: it cannot sign.", f"ssh-keygen: {why[0]}.", "ssh-add the key, or take another.")
    return signature


def require(signers: Path | None) -> None:
    """Refuse a file of allowed signers that cannot be read.

    Raises:
        UsageError: it cannot.
    """
    try:
        if signers:
            signers.read_bytes()
    except OSError as error:
        raise UsageError(
            f"--signers {signers}: no file that can be read.",
            f"{error.strerror}.",
            "It has a line per signer: NAME ssh-ed25519 AAAA…; see man ssh-keygen, ALLOWED SIGNERS.",
        ) from error


def check(file: Path, signature: Path, signers: Path | None = None) -> tuple[str, str]:
    """Who signed `file`, and what is wrong with the signature.

    Args:
        file: what is signed.
        signature: what ssh-keygen made of it.
        signers: an allowed_signers file (man ssh-keygen); without it any key will do, and only its print is told.

    Returns:
        (the key's print or the signer's name, the mistake); one of the two is empty.
    """
    content = file.read_bytes()
    if not _is_plain(signature.read_bytes()):
        return "", "its signature is not as ssh-keygen writes it"
    done = _keygen("check-novalidate", "-n", NAMESPACE, "-s", str(signature), content=content)
    fingerprint = re.search(rb"SHA256:\S+", done.stdout_bytes)
    if done.returncode != 0 or not fingerprint:
        return "", "its signature is not of this file"
    if signers is None:
        return fingerprint.group().decode(), ""
    known = _keygen("find-principals", "-f", str(signers), "-s", str(signature))
    name = known.stdout.split("\n")[0].strip()
    if known.returncode != 0 or not name:
        return "", f"{fingerprint.group().decode()} is not in {signers}"
    done = _keygen("verify", "-n", NAMESPACE, "-f", str(signers), "-I", name, "-s", str(signature), content=content)
    return (name, "") if done.returncode == 0 else ("", f"{signers} does not allow this signature of {name}")


def _is_plain(content: bytes) -> bool:
    """Whether a signature holds nothing but itself: one Base64, in lines of one length, its reserved field empty."""
    found = ARMOUR.fullmatch(content)
    if not found:
        return False
    *lines, last = found["lines"].splitlines()
    whole = b"".join([*lines, last])
    try:
        held = base64.b64decode(whole, validate=True)
    except ValueError:
        return False
    return base64.b64encode(held) == whole and len({*map(len, lines)}) < 2 and not _reserved(held)


def _reserved(held: bytes) -> bytes:
    """What stands in the field that ssh-keygen leaves empty, and passes over (openssh-portable, PROTOCOL.sshsig)."""
    place, field = len(b"SSHSIG") + 4, b""  # behind the version: key, namespace, reserved, hash, signature
    for _ in ("key", "namespace", "reserved"):
        size = int.from_bytes(held[place : place + 4], "big")
        field, place = held[place + 4 : place + 4 + size], place + 4 + size
    return field


class _Done:
    def __init__(self, done: "subprocess.CompletedProcess[bytes]") -> None:
        self.returncode = done.returncode
        self.stdout_bytes = done.stdout
        self.stdout = done.stdout.decode("utf-8", "replace")
        self.stderr = done.stderr.decode("utf-8", "replace")


def _keygen(*words: str, content: bytes = b"") -> _Done:
    """ssh-keygen -Y, which is never let ask for a password."""
    try:
        done = subprocess.run(
            ["ssh-keygen", "-Y", *words],
            input=content,
            capture_output=True,
            timeout=60,
            env={"PATH": _path(), "SSH_ASKPASS": "false", "SSH_ASKPASS_REQUIRE": "force", **_agent()},
        )
    except FileNotFoundError:
        raise HomeworkError(
            "There is no ssh-keygen.", "It makes and checks signatures.", "apt-get install openssh-client"
        ) from None
    return _Done(done)


def _path() -> str:
    import os

    return os.environ.get("PATH", os.defpath)


def _agent() -> dict[str, str]:
    import os

    return {name: os.environ[name] for name in ("SSH_AUTH_SOCK", "HOME") if name in os.environ}
