"""Redaction: what must not leave a machine, taken out of logs and records as they are written.

Known by their form: access keys and tokens of the usual services, private keys, passwords in addresses and in
settings (`password=…`, `"api_key": "…"`), and the homes of people. Known by their value: the variables of this
process whose names say that they are secret.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

REDACTED = b"[redacted]"
SECRET_NAME = re.compile(r"token|secret|passw|(?<![a-z])key|_key|credential|auth", re.IGNORECASE)
NO_SECRET_NAME = re.compile(r"(FILE|PATH|DIR|SOCK|URL|ID|HOST|USER)S?$", re.IGNORECASE)
SHORTEST_VALUE = 8  # shorter ones would take words out of the log
LONGEST_LINE = 2**16
TEXT_FILES = (".csv", ".html", ".json", ".log", ".md", ".txt", ".yaml", ".yml")
TEXT_FILE_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Secret:
    """What a kind of secret looks like.

    It is only looked for where one of `signs` stands. Signs and pattern are of small letters, and are held against
    the text in small letters, unless `cased`. What the group `kept` matches stays; the rest is replaced.
    """

    signs: tuple[bytes, ...]
    pattern: re.Pattern[bytes]
    replacement: bytes
    cased: bool

    def matches(self, text: bytes, small: bytes) -> Iterator[tuple[int, int]]:
        """From where to where it stands in the text, which is given as it is and in small letters."""
        if any(sign in small for sign in self.signs):
            for match in self.pattern.finditer(text if self.cased else small):
                yield match.end("kept") if "kept" in self.pattern.groupindex else match.start(), match.end()


def _secret(signs: str, pattern: bytes, replacement: bytes = REDACTED, cased: bool = False) -> Secret:
    return Secret(tuple(signs.encode().split()), re.compile(pattern), replacement, cased)


def _behind(word: bytes, *names: bytes) -> bytes:
    """`word` behind one of `names`: a key is not always a secret, an api_key is."""
    return word + b"(?:" + b"|".join(rb"(?<=%s%s)|(?<=%s[_-]%s)" % (name, word, name, word) for name in names) + b")"


# Each repetition has a bound, so that no output makes them slow.
_KEY = _behind(b"key", b"api", b"access", b"private", b"account", b"secret", b"client", b"signing")
_TOKEN = _behind(
    b"token",
    *b"access api auth refresh session security bot hub hf github gitlab pypi npm wandb studio secret".split(),
)
_NAME = rb"(?:passw(?:or)?d|passphrase|secret|credential|" + _KEY + b"|" + _TOKEN + b")s?"
_ASSIGNED = rb"""(?:\\?["'])?[ \t]{0,8}(?:=>|:=|[:=])[ \t]{0,8}(?P<quote>\\?["'])?"""
_SOMETHING = (
    rb"""(?!(?:none|null|true|false|yes|no|nil|\*{1,40}|\.{3})(?:[\s,;&"'}\])\\]|$)"""
    rb"""|<[^>\r\n]{0,80}>|\$[\w{(]|\[redacted)"""
)
_VALUE = rb"""(?(quote)(?:(?!(?P=quote))[^\r\n]){1,4096}|[^\s,;&"'}\]\\]{1,4096})"""
_PERSON = rb"""[^\s/\\:"'<>,;()\[\]]{1,64}"""
SECRETS = (
    _secret("akia asia abia acca", rb"(?<![A-Z0-9])A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Z0-9])", cased=True),
    _secret("ghp_ gho_ ghu_ ghs_ ghr_", rb"gh[pousr]_[a-z0-9]{20,255}"),
    _secret("github_pat_ glpat-", rb"(?:github_pat_|glpat-)[a-z0-9_.-]{20,255}"),
    _secret("hf_ npm_", rb"\b(?:hf|npm)_[a-z0-9]{20,255}"),
    _secret("sk- pypi- xox", rb"\b(?:sk-|pypi-|xox[abeprs]-)[a-z0-9_-]{20,512}"),
    _secret("aiza", rb"\bAIza[A-Za-z0-9_-]{35}", cased=True),
    _secret("bce-v3/", rb"bce-v3/[a-z0-9-]{8,64}/[0-9a-f]{20,64}"),
    _secret("eyj", rb"\beyJ[A-Za-z0-9_-]{8,8192}\.eyJ[A-Za-z0-9_-]{8,8192}(?:\.[A-Za-z0-9_-]{0,8192})?", cased=True),
    _secret("bearer", rb"(?P<kept>bearer[ \t]{1,8})[a-z0-9._~+/=-]{12,8192}"),
    _secret(
        "authorization",
        rb"""(?P<kept>authorization(?:\\?["'])?[ \t]{0,8}[:=][ \t]{0,8}(?:\\?["'])?)"""
        rb"""(?!bearer)[^\s"'\[][^\r\n"'\\]{0,8192}""",
    ),
    _secret("://", rb"""(?P<kept>://)(?:[^\s/@:"'<>]{0,256}:[^\s/@"'<>]{1,1024}|[^\s/@:"'<>]{20,1024})(?=@)"""),
    _secret(
        "signature= credential= token= key= sig=",
        rb"(?P<kept>[?&](?:x-amz-(?:signature|credential|security-token)|signature|sig|access_token|token|key)=)"
        rb"""(?!\[redacted)[^\s&"'<>]{1,4096}""",
    ),
    _secret(
        "passw passphrase secret credential key token",
        rb"(?P<kept>" + _NAME + _ASSIGNED + rb")" + _SOMETHING + _VALUE,
    ),
    _secret("token", rb"""(?P<kept>token(?:\\?["'])?[ \t]{0,8}[:=][ \t]{0,8}["']?)[\w.~+/-]{20,4096}"""),
    _secret(
        "-password -passphrase -token -secret -key",
        rb"""(?P<kept>(?<![\w-])--?(?:[a-z][\w-]{0,63}-)?(?:password|passphrase|token|secret|key)[ \t]{1,4})"""
        rb"""[^\s"'\[-][^\s"']{0,4096}""",
    ),
    _secret("/home/ /users/", rb"(?P<kept>/(?:home|users)/)" + _PERSON, b"[user]"),
    _secret(":\\ :/", rb"(?P<kept>\b[a-z]:(?:\\{1,2}|/)users(?:\\{1,2}|/))" + _PERSON, b"[user]"),
)  # fmt: skip
KEY_BEGIN = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
KEY_END = re.compile(rb"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
KEY_LINE = re.compile(rb"[ \t>|#]*(?:[A-Za-z0-9+/=]{0,100}|[A-Za-z-]{1,20}: [^\r\n]{0,200})[ \t]*[\r\n]*")


class Redactor:
    """Takes secrets out of a stream that comes in any chunks.

    It holds an unfinished line back until it is whole, so that a secret which two chunks share is found too.
    """

    def __init__(self, secrets: Iterable[str] = (), home: str = "") -> None:
        """Know `secrets` by value, and `home` as the folder that becomes `~`."""
        known = [*_by_value(secrets), *SECRETS]
        if len(home) > 1:
            place = re.compile(rb"(?<![\w.~/-])" + re.escape(home.encode()) + rb"(?![\w.-])")
            known.insert(0, Secret((home.lower().encode(),), place, b"~", cased=True))
        self._secrets = tuple(known)
        self._pending = b""
        self._in_key = False

    @classmethod
    def here(cls, environment: Mapping[str, str] | None = None) -> "Redactor":
        """One that knows the secret variables of this process and the home of the person who started it."""
        variables = os.environ if environment is None else environment
        return cls(secret_values(variables), os.path.expanduser("~").rstrip("/"))

    def feed(self, chunk: bytes) -> bytes:
        """What of the stream is known to be whole by now, without its secrets."""
        self._pending += chunk
        whole = max(self._pending.rfind(b"\n"), self._pending.rfind(b"\r")) + 1
        if len(self._pending) - whole > LONGEST_LINE:
            whole = self._break(LONGEST_LINE // 2)
        text, self._pending = self._pending[:whole], self._pending[whole:]
        return self._lines(text)

    def flush(self) -> bytes:
        """The rest of the stream."""
        text, self._pending = self._pending, b""
        text, self._in_key = self._lines(text), False
        return text

    def drop(self) -> int:
        """Forget what is held back, which a gap follows; how many bytes that was is returned."""
        dropped, self._pending, self._in_key = len(self._pending), b"", False
        return dropped

    def _break(self, behind: int) -> int:
        """Where an endless line can be broken without halving a secret: before what lies across, or at its end."""
        place = len(self._pending) - behind
        small = self._pending.lower()
        for secret in self._secrets:
            for start, end in secret.matches(self._pending, small):
                if start < place < end:
                    place = start or end
        return place

    def _lines(self, text: bytes) -> bytes:
        if not self._in_key and not KEY_BEGIN.search(text):
            return self._substitute(text)
        return b"".join(self._line(line) for line in text.splitlines(keepends=True))

    def _line(self, line: bytes) -> bytes:
        """A line that may be of a private key: the key's lines go, up to its end or to what cannot be of a key."""
        if self._in_key:
            end = KEY_END.search(line)
            if end:
                self._in_key = False
                return self._substitute(line[end.end() :])
            if KEY_LINE.fullmatch(line):
                return b""
            self._in_key = False
        begin = KEY_BEGIN.search(line)
        if not begin:
            return self._substitute(line)
        end = KEY_END.search(line, begin.end())
        if end:  # all in one line, as JSON has it
            return self._substitute(line[: begin.start()]) + REDACTED + self._line(line[end.end() :])
        self._in_key = True
        return self._substitute(line[: begin.start()]) + REDACTED + (b"\n" if line.endswith(b"\n") else b"")

    def _substitute(self, text: bytes) -> bytes:
        small = text.lower()
        for secret in self._secrets:
            parts, place = [], 0
            for start, end in secret.matches(text, small):
                parts += [text[place:start], secret.replacement]
                place = end
            if parts:
                text = b"".join([*parts, text[place:]])
                small = text.lower()
        return text

    # What is there as a whole

    def text(self, text: str) -> str:
        """A text without its secrets."""
        return self._whole(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def _whole(self, content: bytes) -> bytes:
        other = copy(self)
        other._in_key = False
        return other._lines(content)

    def tree(self, value: Any) -> Any:
        """A JSON value whose texts have no secrets; what stands under a secret's name is taken for one."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self.tree(item) for item in value]
        if isinstance(value, Mapping):
            return {name: self._field(name, item) for name, item in value.items()}
        return value

    def _field(self, name: Any, item: Any) -> Any:
        if isinstance(item, str) and item and self.text(f"{name}={item}") != f"{name}={self.text(item)}":
            return REDACTED.decode()
        return self.tree(item)

    def file(self, path: Path) -> None:
        """Rewrite a text file that holds a secret. Other files, and those too large to be text, stay."""
        if path.suffix.lower() not in TEXT_FILES or path.is_symlink() or not path.is_file():
            return
        if path.stat().st_size > TEXT_FILE_BYTES:
            return
        content = path.read_bytes()
        clean = self._content(path, content)
        if clean != content:
            path.write_bytes(clean)

    def _content(self, path: Path, content: bytes) -> bytes:
        if path.suffix.lower() == ".json":
            with contextlib.suppress(ValueError, RecursionError):
                document = json.loads(content)
                clean = self.tree(document)
                return content if clean == document or clean != clean else json.dumps(clean).encode()
        return self._whole(content)


def secret_values(environment: Mapping[str, str]) -> list[str]:
    """The values of the variables whose names say that they are secret."""
    return [
        value
        for name, value in environment.items()
        if SECRET_NAME.search(name) and not NO_SECRET_NAME.search(name) and len(value) >= SHORTEST_VALUE
    ]


def _by_value(values: Iterable[str]) -> Iterator[Secret]:
    """Each value as it is, and as addresses and JSON write it; the longest first."""
    forms = {form for value in values for form in (value, quote(value, safe=""), json.dumps(value)[1:-1])}
    for form in sorted((form.encode("utf-8", "surrogateescape") for form in forms), key=len, reverse=True):
        yield Secret((form.lower(),), re.compile(re.escape(form)), REDACTED, cased=True)


def after_gap(text: bytes) -> bytes:
    """The end of an output, behind a gap, without what the gap may have halved: a line, or a private key."""
    start, end = text[:LONGEST_LINE], KEY_END.search(text, 0, LONGEST_LINE)
    begin = KEY_BEGIN.search(start)
    place = end.end() if end and not (begin and begin.start() < end.start()) else 0
    line = text.find(b"\n", place, place + LONGEST_LINE)
    return text[line + 1 :] if line >= 0 else text[place + LONGEST_LINE // 2 :]
