"""Secret forms: every usual form is caught in whatever it is written, and what is none is left alone."""

import gzip
import re
import time
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
from secretsamples import CLOTHES, SAMPLES, Draw

from harness.checkout import ROOT
from harness.evidence.redaction import Redactor
from harness.evidence.secretforms import forms
from harness.evidence.secretforms.services import MAINTAINED
from harness.evidence.secretforms.sieve import bare

LOGS = ROOT / "tests" / "data" / "logs" / "runs.log.gz"
COLOURS = re.compile(rb"\x1b\[[0-9;]*m")


def dressed(name: str, clothes: str) -> tuple[bytes, list[str]]:
    text, secrets = SAMPLES[name](Draw(list(SAMPLES).index(name)))
    return f"start\n{CLOTHES[clothes](text, secrets)}\nend of it\n".encode(), secrets


def told(written: bytes, secrets: list[str]) -> list[str]:
    bare = COLOURS.sub(b"", written)
    return [secret for secret in secrets if secret.encode() in bare]


def test_there_are_enough_samples_to_speak_of_usual_forms():
    assert len(SAMPLES) >= 150 and len(MAINTAINED) >= 10


def test_what_detect_secrets_knows_is_as_it_has_it():
    for name, (_, patterns) in MAINTAINED.items():
        module, _, detector = name.partition(".")
        theirs = getattr(import_module(f"detect_secrets.plugins.{module}"), detector).denylist
        assert patterns == [bounded(pattern).encode() for pattern in theirs], name


def bounded(pattern: re.Pattern[str]) -> str:
    """A pattern of detect-secrets, each repetition of a class or a group with a bound."""
    text = re.sub(r"(?<=[\])])\+", "{1,4096}", pattern.pattern)
    return f"(?i:{text})" if pattern.flags & re.IGNORECASE else text


@pytest.mark.parametrize("clothes", CLOTHES)
def test_every_usual_form_is_caught_and_nothing_else(clothes):
    redactor = Redactor()
    for name in SAMPLES:
        output, secrets = dressed(name, clothes)
        written = redactor.feed(output) + redactor.flush()
        assert not told(written, secrets), (name, written)
        assert written.startswith(b"start\n") and written.endswith(b"end of it\n"), (name, written)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_chunks_make_no_difference(size):
    output = b"".join(dressed(name, "plain")[0] for name in list(SAMPLES)[:: 1 if size > 7 else 9])
    whole, pieces = Redactor(), Redactor()
    written = b"".join(pieces.feed(output[place : place + size]) for place in range(0, len(output), size))
    assert written + pieces.flush() == whole.feed(output) + whole.flush()


def test_a_secret_that_a_terminal_wraps_goes_as_a_whole():
    secret = Draw(1)("abcdef0123456789", 150)
    output = f"token={secret[:70]}\n{secret[70:]}\nresnet50 is ready\n"
    assert Redactor().text(output) == "token=[redacted]\nresnet50 is ready\n"


def test_a_key_behind_what_a_container_writes_before_each_line_goes():
    text, secrets = Draw(2).pem()
    lines = [f"2026-11-30T10:00:0{number}.5Z stdout F {line}" for number, line in enumerate(text.split("\n"))]
    written = Redactor().text("\n".join([*lines, "2026-11-30T10:00:09.5Z stdout F step 1"]))
    assert not told(written.encode(), secrets) and written.endswith("step 1")


@pytest.mark.parametrize(
    "line",
    [
        "step 12 tokens: 512, prompt_tokens: 17, read_tokens=3000 tokens/s",
        "detect-secrets==1.5.0 password==other passwd:amd64",
        "cookie consent, basic auth, bearer tokens and a session id",
        "pass: fuse_conv_bn, sk: 1, ak=2, the key: value of a map",
        "密码不能为空；密钥由管理员保管。令牌数：512",
        "PWD=/srv/homework OLDPWD=~ pwd: C:\\x",
        "mkdir -p results/1/cpu && docker run -p 8080:80 -u 1000:1000 x",
        "sort --key 2 --token-type word; ssh -p 2222 host; tar -xzf a.tgz",
        "Inductor: model.layers.0.self_attn.k_proj.weight [4096, 4096] float16",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  run.log",
        "https://github.com/PaddlePaddle/Paddle/pull/69407?diff=split#key",
        "self._secrets = tuple(known); token = request.sampler.choose(row)",
    ],
)
def test_what_only_looks_like_one_is_left_alone(line):
    assert Redactor().text(line) == line


def changed_lines(text: str) -> list[tuple[str, str]]:
    clean = Redactor().text(text)
    assert clean.count("\n") == text.count("\n")
    return [pair for pair in zip(text.split("\n"), clean.split("\n"), strict=True) if pair[0] != pair[1]]


def test_our_own_logs_hold_nothing_that_is_taken_for_a_secret():
    text = gzip.decompress(LOGS.read_bytes()).decode()
    found = [pair for pair in changed_lines(text) if "[user]" not in pair[1]]
    assert text.count("\n") > 1000 and found == []


def test_our_own_texts_hold_next_to_nothing_that_is_taken_for_a_secret():
    """Docs, lessons and data: less than one line in ten thousand, though some speak of secrets."""
    paths = [path for place in ("docs", "projects", "hardware", "docker") for path in (ROOT / place).rglob("*")]
    texts = [path for path in paths if path.suffix in (".md", ".py", ".yaml", ".txt", ".sh") and path.is_file()]
    lines = [line for path in texts for line in path.read_text(encoding="utf-8").split("\n")]
    found = [
        pair for pair in changed_lines("\n".join(lines)) if "homework-store" not in pair[0] and "[user]" not in pair[1]
    ]
    assert len(found) * 10_000 <= len(lines), found


@pytest.mark.parametrize("sign", sorted({bare(sign) for form in forms() for sign in form.signs}), ids=repr)
def test_no_form_is_slow(sign):
    """Otherwise an output can be made on which a pattern takes hours."""
    start = time.process_time()
    for behind in (b"", b" ", b"\n"):
        Redactor().feed((sign + behind) * (2**13 // len(sign)) + b"\n")
    assert time.process_time() - start < 2


@pytest.mark.parametrize("line", ["step 7 loss 0.1", "token=q7Rabcdef19Lm2x", "it is ghp_" + "a1B2" * 9])
def test_a_line_that_was_seen_before_is_asked_as_the_first_time(line):
    """The sieve keeps its answers for lines that differ in their digits alone."""
    redactor = Redactor()
    first = redactor.text(f"{line}\n")
    for digit in "123":
        again = redactor.text("".join(digit if each.isdigit() else each for each in f"{line}\n"))
        assert ("[redacted]" in again) == ("[redacted]" in first)


def test_a_value_of_several_lines_goes_as_a_whole():
    value = "one-line-of-it\nand another\nthe last of the three"
    assert Redactor([value]).text(f"a\n{value}\nb\n") == "a\n[redacted]\nb\n"


def test_no_two_forms_are_the_same():
    patterns = sorted(form.pattern.pattern for form in forms())
    assert all(one != other for one, other in pairwise(patterns))


def test_the_samples_themselves_are_no_secrets():
    """What lies in the tests would otherwise be found by whoever scans the project."""
    text = Path(__file__).with_name("secretsamples.py").read_text()
    assert not re.search(r"AKIA[A-Z0-9]{16}|ghp_\w{36}|-----BEGIN", text)
