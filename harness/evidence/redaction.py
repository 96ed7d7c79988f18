"""Redaction: what must not leave a machine, taken out of logs and records as they are written.

Known by their form: what secretforms/ lists, the homes of people, and private keys, also behind the prefixes of a
log. Known by their value: the variables of this process whose names say that they are secret. Colours in between hide
nothing, and neither does the end of a terminal's line.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from harness.evidence.secretforms import forms
from harness.evidence.secretforms.form import AROUND, REDACTED, Secret, Text, merged
from harness.evidence.secretforms.sieve import IS_RUN, Signs, sieve_of

SECRET_NAME = re.compile(r"token|secret|passw|(?<![a-z])key|_key|credential|auth|bduss|cookie", re.IGNORECASE)
NO_SECRET_NAME = re.compile(r"(FILE|PATH|DIR|SOCK|URL|ID|HOST|USER)S?$", re.IGNORECASE)
SHORTEST_VALUE = 8  # shorter ones would take words out of the log
LONGEST_LINE = 2**16
NO_WIDTH = rb"\x08|\xe2\x80[\x8b-\x8f]|\xe2\x81\xa0|\xef\xbb\xbf|\xc2\xad"
COLOURED = re.compile(rb"\x1b|\\(?:u001b|x1b|033|e)\[|" + NO_WIDTH)
COLOUR = re.compile(  # as it is, and as JSON and shells write it; and what has no width
    NO_WIDTH + rb"|"
    rb"\\(?:u001b|x1b|033|e)\[[0-?]{0,32}[@-~]|\x1b\[[0-?]{0,32}[ -/]{0,8}[@-~]"
    rb"|\x1b\][^\x07\x1b\n]{0,1024}(?:\x07|\x1b\\)|\x1b[()][0-9A-B]"
)
MARKS = (b"\x1b", b"\b", b"\\", b"\xe2\x80", b"\xe2\x81", b"\xef\xbb", b"\xc2\xad")  # each begins with one
MOST_ASKED = 1024  # sets of signs
HELD = 8  # lines at most
LONGEST_ANNOUNCEMENT = 1024
_NAMES = rb"(?:passw(?:or)?d|passphrase|secret|token|key|pass|credential)s?"
ANNOUNCES = re.compile(  # what a line ends with whose secret stands on the next one
    _NAMES + rb"\b[^\r\n]{0,80}(?:[|>:][+-]?|\\|[\"'],)[ \t]{0,8}\r?\n?\Z"
    rb"|(?:name|key)[\"']?[ \t]{0,4}[:=][^\r\n]{0,80}" + _NAMES + rb"[\"']?,?[ \t]{0,8}\r?\n?\Z"
    rb"|\b(?:machine|login|account)[ \t]{1,8}\S{1,128}[ \t]{0,8}\r?\n?\Z"
)
GOES_ON = re.compile(
    rb"(?P<kept>\[redacted\][\"']?[ \t]{0,8}\r?\n)"
    rb"(?:[ \t]{0,40}(?!/?[a-z]{2,32}/[a-z.]{2,32})(?=\S{0,200}[0-9])(?=\S{0,200}[A-Za-z])"
    rb"[A-Za-z0-9+/_.-]{12,8192}={0,2}[\"']?[ \t]{0,8}\r?(?:\n|\Z)){1,64}"
)
ENDS_CUT = re.compile(rb"\[redacted\][\"']?[ \t]{0,8}\r?\n\Z")
KEY_SIGNS = (b"-----BEGIN ", b"PuTTY-User-Key", b"b3BlbnNzaC1rZXktdjE", b"MII", b"\x1b", b"\\")
KEY_BEGIN = re.compile(  # its first line, or the first of its body; each begins with a letter, to be found quickly
    rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d"
    rb"|b3BlbnNzaC1rZXktdjE[A-Za-z0-9+/]{20,}|MII(?<![A-Za-z0-9+/]MII)[A-Za-z0-9+/]{2}[AQgw]IBA[A-Za-z0-9+/]{30,}"
)
KEY_END = re.compile(rb"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|Private-MAC: [0-9a-f]+")
KEY_LINE = re.compile(
    rb"""[ \t>|#"'+*]*(?:[A-Za-z0-9+/=]{0,100}|[A-Za-z-]{1,20}: [^\r\n]{0,200})(?:\\r)?(?:\\n)?"""
    rb"""(?:[ \t"'+,;\\]*|["'],[^\r\n]{0,200})[\r\n]*"""
)
DIGITS = re.compile(rb"\d")


class Redactor:
    """Takes secrets out of a stream that comes in any chunks.

    It holds an unfinished line back until it is whole, so that a secret which two chunks share is found too.
    """

    def __init__(self, secrets: Iterable[str] = (), home: str = "") -> None:
        """Know `secrets` by value, and `home` as the folder that becomes `~`."""
        known = [*_by_value(secrets), *forms()]
        if len(home) > 1:
            place = rb"(?<![\w.~/-])" + re.escape(home.encode()) + rb"(?![\w.-])"
            known.insert(0, Secret((home.lower().encode(),), place, b"~", cased=True))
        self._secrets = tuple(known)
        self._sieve = sieve_of(tuple(sign for secret in known for sign in secret.signs))
        self._far = {sign: secret.reach for secret in known for sign in secret.signs if secret.reach > AROUND}
        self._asked: dict[Signs, list[Secret]] = {}
        self._pending = b""
        self._in_key = False
        self._prefix = b""  # what stands before each line of the key, its digits as noughts
        self._cut = False  # whether what was written last ends with a secret at the end of its line

    @classmethod
    def here(cls, environment: Mapping[str, str] | None = None) -> "Redactor":
        """One that knows the secret variables of this process and the home of the person who started it."""
        variables = os.environ if environment is None else environment
        return cls(secret_values(variables), os.path.expanduser("~").rstrip("/"))

    def feed(self, chunk: bytes) -> bytes:
        """What of the stream is known to be whole by now, without its secrets."""
        self._pending += chunk
        whole = self._announced(max(self._pending.rfind(b"\n"), self._pending.rfind(b"\r")) + 1)
        if len(self._pending) - whole > LONGEST_LINE:
            whole = self._break(LONGEST_LINE // 2)
        text, self._pending = self._pending[:whole], self._pending[whole:]
        return self._lines(text)

    def _announced(self, whole: int) -> int:
        """Up to where lines can go that do not announce a secret on the next one."""
        held = self._pending
        for _ in range(HELD if whole else 0):
            start = max(held.rfind(b"\n", 0, whole - 1), held.rfind(b"\r", 0, whole - 1)) + 1
            line = _bare(held[max(start, whole - LONGEST_ANNOUNCEMENT) : whole]).lower()
            if not ANNOUNCES.search(line):
                return whole
            whole = start
            if not whole:
                return 0
        return whole

    def flush(self) -> bytes:
        """The rest of the stream."""
        text, self._pending = self._pending, b""
        text, self._in_key, self._cut = self._lines(text), False, False
        return text

    def drop(self) -> int:
        """Forget what is held back, which a gap follows; how many bytes that was is returned."""
        dropped, self._pending, self._in_key, self._cut = len(self._pending), b"", False, False
        return dropped

    def _break(self, behind: int) -> int:
        """Where an endless line can be broken without halving a secret: before what lies across, or at its end."""
        place = len(self._pending) - behind
        signs = frozenset().union(*self._sieve.lines(self._pending.lower()))
        pending = Text(self._pending, signs)
        for secret in self._likely(signs):
            for start, end in secret.matches(pending):
                if start < place < end:
                    place = start or end
        return place

    def _lines(self, text: bytes) -> bytes:
        """Whole lines without their secrets; those of a private key go, up to its end or to what cannot be of one."""
        if not self._in_key and not (any(sign in text for sign in KEY_SIGNS) and KEY_BEGIN.search(_bare(text))):
            return self._others(text)
        parts: list[bytes] = []
        others: list[bytes] = []
        for line in text.splitlines(keepends=True):
            kept = self._of_key(line)
            if kept is None:
                others.append(line)
            else:
                parts += [self._others(b"".join(others)), kept]
                others = []
        return b"".join([*parts, self._others(b"".join(others))])

    def _of_key(self, line: bytes) -> bytes | None:
        """What stays of a line of a private key; None for a line that is of none."""
        bare = _bare(line)
        if self._in_key:
            end = KEY_END.search(bare)
            if end or KEY_LINE.fullmatch(self._without_prefix(bare)):
                self._in_key = not end
                return self._substitute(bare[end.end() :]) if end else b""
            self._in_key = False
        begin = KEY_BEGIN.search(bare)
        if not begin:
            return None
        before, end = bare[: begin.start()], KEY_END.search(bare, begin.end())
        if end:  # all in one line, as JSON has it
            behind = bare[end.end() :]
            more = self._of_key(behind)
            return self._substitute(before) + REDACTED + (self._substitute(behind) if more is None else more)
        self._in_key, self._prefix = True, DIGITS.sub(b"0", before)
        return self._substitute(before) + REDACTED + (b"\n" if line.endswith(b"\n") else b"")

    def _without_prefix(self, line: bytes) -> bytes:
        """A line of a key without what a log writes before each line: the same but for its digits."""
        size = len(self._prefix)
        return line[size:] if self._prefix and DIGITS.sub(b"0", line[:size]) == self._prefix else line

    def _others(self, text: bytes) -> bytes:
        """Lines of no key, also without the rest of a secret that a terminal wrapped into a line of its own."""
        if not text:
            return b""
        text = self._substitute(text)
        before = REDACTED + b"\n" if self._cut else b""
        if not before and REDACTED not in text:
            return text
        text = GOES_ON.sub(lambda found: found["kept"], before + text)
        self._cut = bool(ENDS_CUT.search(text[-len(REDACTED) - 16 :]))
        return text[len(before) :]

    def _substitute(self, text: bytes) -> bytes:
        """The text without secrets, which are looked for in the lines around those with a sign of one."""
        found = self._sieve.lines(_bare(text).lower())
        if not any(found):
            return text
        lines, done, parts = text.split(b"\n"), 0, []
        for first, last in self._around(found):
            parts += lines[done:first]
            parts.append(self._without(b"\n".join(lines[first:last]), frozenset().union(*found[first:last])))
            done = last
        return b"\n".join([*parts, *lines[done:]])

    def _around(self, found: Sequence[Signs]) -> list[tuple[int, int]]:
        """From which line to which what is near a sign goes."""
        far, spans = self._far, []
        for number, signs in enumerate(found):
            if signs:
                reach = max((far[sign] for sign in signs if sign in far), default=AROUND) if far else AROUND
                spans.append((max(number - reach, 0), min(number + reach + 1, len(found))))
        return merged(sorted(spans))

    def _without(self, text: bytes, signs: Signs) -> bytes:
        """A text in which these signs stand without secrets. Colours hide none: those of one stand behind what replaces
        it."""
        bare = Text(_bare(text), signs)
        for secret in self._likely(signs):
            spans = list(secret.matches(bare))
            if spans:
                text = _replaced(text, spans, secret.replacement, bare.content is not text)
                bare = Text(_bare(text), signs)
        return text

    def _likely(self, signs: Signs) -> list[Secret]:
        """Those whose signs these are."""
        if signs not in self._asked:
            if len(self._asked) > MOST_ASKED:
                self._asked = {}
            self._asked[signs] = [each for each in self._secrets if not signs.isdisjoint(each.signs or (IS_RUN,))]
        return self._asked[signs]

    # What is there as a whole

    def text(self, text: str) -> str:
        """A text without its secrets."""
        return self._whole(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def _whole(self, content: bytes) -> bytes:
        other = copy(self)
        other._in_key = other._cut = False
        return other._lines(content)

    def tree(self, value: Any) -> Any:
        """A JSON value whose texts have no secrets; what stands under a secret's name is taken for one."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return self._list(value)
        if isinstance(value, Mapping):
            clean = {
                self.text(name) if isinstance(name, str) else name: self._field(name, item)
                for name, item in value.items()
            }
            return self._pair(clean)
        return value

    def _list(self, values: Sequence[Any]) -> list[Any]:
        """A list, in which an option such as --password may stand before its value, as a command has them."""
        if lines := self._of_lines(values):
            return lines
        clean = [self.tree(item) for item in values]
        for number, (name, value) in enumerate(pairwise(values)):
            if isinstance(name, str) and isinstance(value, str) and name.startswith("-"):
                alone, both = f"{name} {clean[number + 1]}", self.text(f"{name} {value}")
                if both != alone:
                    clean[number + 1] = REDACTED.decode()
        return clean

    def _of_lines(self, values: Sequence[Any]) -> list[Any]:
        """The lines of a text, as notebooks have them, which a secret may span; nothing where they are no such."""
        texts = [value for value in values if isinstance(value, str)]
        if len(texts) < max(len(values), 2) or not all(text.endswith("\n") for text in texts[:-1]):
            return []
        return self.text("".join(texts)).splitlines(keepends=True)

    def _pair(self, clean: dict[Any, Any]) -> dict[Any, Any]:
        """A name and its value, as {"name": "DB_PASSWORD", "value": "…"} has them; and a Secret of Kubernetes."""
        if clean.get("kind") == "Secret":
            named = {name: clean[name] for name in ("data", "stringData") if isinstance(clean.get(name), dict)}
            return {**clean, **{name: dict.fromkeys(items, REDACTED.decode()) for name, items in named.items()}}
        name = clean.get("name", clean.get("key"))
        if isinstance(name, str) and isinstance(clean.get("value"), str):
            return {**clean, "value": self._field(name, clean["value"])}
        return clean

    def _field(self, name: Any, item: Any) -> Any:
        if isinstance(item, str) and item and self.text(f"{name}={item}") != f"{name}={self.text(item)}":
            return REDACTED.decode()
        return self.tree(item)


def _bare(text: bytes) -> bytes:
    """The text without colours; the same object where it has none."""
    return COLOUR.sub(b"", text) if any(mark in text for mark in MARKS) and COLOURED.search(text) else text


def _replaced(text: bytes, spans: Sequence[tuple[int, int]], replacement: bytes, coloured: bool) -> bytes:
    """The text with the spans replaced; where it is `coloured` they are places of it without its colours."""
    places: Sequence[int] = range(len(text) + 1)
    if coloured:
        inside = [False] * len(text)
        for code in COLOUR.finditer(text):
            inside[code.start() : code.end()] = [True] * (code.end() - code.start())
        places = [place for place, code in enumerate(inside) if not code]
    parts, done = [], 0
    for start, end in spans:
        first, last = places[start], places[end - 1] + 1
        parts += [text[done:first], replacement, *(COLOUR.findall(text[first:last]) if coloured else ())]
        done = last
    return b"".join([*parts, text[done:]])


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
        lines = form.lower().split(b"\n")
        reach = max(len(lines), AROUND)
        yield Secret((max(lines, key=len),), re.escape(form), REDACTED, cased=True, reach=reach)


def after_gap(text: bytes) -> bytes:
    """The end of an output, behind a gap, without what the gap may have halved: a line, or a private key."""
    start, end = text[:LONGEST_LINE], KEY_END.search(text, 0, LONGEST_LINE)
    begin = KEY_BEGIN.search(start)
    place = end.end() if end and not (begin and begin.start() < end.start()) else 0
    line = text.find(b"\n", place, place + LONGEST_LINE)
    return text[line + 1 :] if line >= 0 else text[place + LONGEST_LINE // 2 :]
