"""Signatures: one holds nothing but itself, for ssh-keygen passes over what stands behind it and in a field of it."""

import base64
import subprocess
from pathlib import Path

import pytest

from harness.evidence import signatures

BEGIN, END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"


@pytest.fixture(scope="module", params=["ed25519", "ecdsa", "rsa"])
def signed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A file, and its signature by each kind of key."""
    folder = tmp_path_factory.mktemp(request.param)
    subprocess.run(["ssh-keygen", "-q", "-t", request.param, "-N", "", "-f", folder / "key"], check=True)
    (folder / "file").write_text("text")
    return folder / "file", signatures.sign(folder / "file", folder / "key")


def with_a_reserved_field(signature: bytes) -> bytes:
    held = base64.b64decode(signature.removeprefix(BEGIN).removesuffix(END))
    place = 10  # behind the magic word and the version
    for _ in ("key", "namespace"):
        place += 4 + int.from_bytes(held[place : place + 4], "big")
    assert held[place : place + 4] == bytes(4)
    text = base64.b64encode(held[:place] + b"\0\0\0\4more" + held[place + 4 :])
    lines = [text[at : at + 70] + b"\n" for at in range(0, len(text), 70)]
    return b"".join([BEGIN, *lines, END])


CHANGES = {
    "text behind": lambda signature: signature + b"verified\n",
    "a line behind": lambda signature: signature + b"\n",
    "twice": lambda signature: signature * 2,
    "text before": lambda signature: b"verified\n" + signature,
    "a blank line": lambda signature: signature.replace(b"\n", b"\n\n", 2),
    "other line ends": lambda signature: signature.replace(b"\n", b"\r\n"),
    "no line end": lambda signature: signature[:-1],
    "a reserved field": with_a_reserved_field,
    "nothing": lambda signature: b"",
}


def test_a_signature_is_good_as_ssh_keygen_made_it(signed: tuple[Path, Path]) -> None:
    who, mistake = signatures.check(*signed)
    assert who.startswith("SHA256:") and mistake == ""


@pytest.mark.parametrize("change", CHANGES)
def test_a_signature_with_anything_more_is_none(signed: tuple[Path, Path], change: str, tmp_path: Path) -> None:
    file, signature = signed
    (tmp_path / "sig").write_bytes(CHANGES[change](signature.read_bytes()))
    assert signatures.check(file, tmp_path / "sig") == ("", "its signature is not as ssh-keygen writes it")
