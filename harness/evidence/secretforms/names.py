"""Secrets that only their name tells, in settings of any syntax; and the homes of people."""

import re

from harness.evidence.secretforms.form import REDACTED, Secret, is_mixed, is_random, secret
from harness.evidence.secretforms.pieces import BY_WORD, filled

NO_NUMBER = re.compile(rb"-?[\d.,]{1,12}(?:e[+-]?\d{1,3})?", re.IGNORECASE)
PROSE = re.compile(rb"[A-Za-z][a-z'-]{0,30}(?=[ \t]{1,8}[a-z#(\[\"']|[.!?][ \t\r\n])")
PLURAL = re.compile(rb"s[ \t\"'\\:=]{1,16}\Z", re.IGNORECASE)


def _is_told(text: bytes, start: int, end: int) -> bool:
    """Whether a value behind a secret's name is one: tokens may be counted, and a sentence may go on behind a colon."""
    before, value = text[max(start - 48, 0) : start], text[start:end]
    if NO_NUMBER.fullmatch(value) and PLURAL.search(before):
        return False
    quoted, is_password = before[-1:] in (b'"', b"'"), re.search(rb"pass|pwd", before, re.IGNORECASE)
    return bool(quoted or is_password or not PROSE.match(text, start))


NAMED = (
    secret(
        "|app",
        rb"(?P<kept>\bapp[ _-]?(?:specific[ _-])?pass(?:word|code)?(?:<QUOTE>)?[ \t]{0,4}[:=][ \t]{0,4})"
        rb"(?:[a-z]{4} ){3}[a-z]{4}\b",
    ),
    secret(
        "passw passphrase passcode secret credential key token pgpass _pwd |psk +pass +pw rediscli_auth",
        rb"(?P<kept><WORDS><ASSIGNED>)<SOMETHING><VALUE>",
        is_one=_is_told,
    ),
    secret(
        "%3",
        rb"(?P<kept>(?:%22|%26|%3f|[?&\s\"']|\A)<WORDS>(?:%22)?%3[ad](?:%22|%20)?)<SOMETHING>[^\s&%\"'<>\\]{1,4096}",
    ),
    secret(
        "pwd",
        rb"""(?P<kept>(?<![a-z0-9_])pwd(?:<QUOTE>)?[ \t]{0,4}[:=][ \t]{0,4}(?:<QUOTE>)?)(?![/~.]|[a-z]:[\\/])"""
        rb"""<SOMETHING>[^\s"';,&\\]{3,256}""",
    ),
    secret(
        "token",
        rb"(?P<kept>token(?:<QUOTE>)?[ \t]{0,8}[:=][ \t]{0,8}(?:<QUOTE>)?)(?![a-z_][a-z_.]{0,80}\()(?![a-z]{2,32}"
        rb"(?:\.[a-z_]{2,64}){1,8}(?![\w.~+-]))[\w.~+/-]{20,4096}",
    ),
    secret(
        "_key _token _auth _pwd _pass _sk _ak _pat _dsn",
        rb"(?P<kept>\b[a-z0-9_]{1,64}_(?:key|token|auth|pwd|pass|sk|ak|pat|dsn)(?:<QUOTE>)?\]?[ \t]{0,2}[:=]"
        rb"[ \t]{0,2}(?:<QUOTE>)?)<LONG>",
    ),
    secret(
        "|ak |sk",
        rb"(?P<kept>(?<![a-z0-9_.-])(?:ak|sk)(?:<QUOTE>)?[ \t]{0,4}[:=][ \t]{0,4}(?:<QUOTE>)?)<LONG>",
    ),
    secret(
        "auth",
        rb"(?P<kept>(?:[\"']|(?<![a-z])_)auth(?:<QUOTE>)?[ \t]{0,4}[:=][ \t]{0,4}"
        rb"(?:<QUOTE>)?)[a-z0-9+/]{8,4096}={0,2}",
    ),
    secret(
        "auth",
        rb"(?P<kept>\bauth[ \t]{0,2}=[ \t]{0,2}\([ \t]{0,2}<QUOTE>[^\"'\r\n\\]{0,128}<QUOTE>[ \t]{0,2},[ \t]{0,2}"
        rb"<QUOTE>)[^\"'\r\n\[\\]{1,256}",
    ),
    secret(
        "username",
        rb"(?P<kept><QUOTE>username<QUOTE>[ \t]{0,4}:[ \t]{0,4}<QUOTE>[^\"'\\\r\n]{1,64}<QUOTE>[ \t]{0,4},[ \t]{0,4}"
        rb"<QUOTE>key<QUOTE>[ \t]{0,4}:[ \t]{0,4}<QUOTE>)[0-9a-z]{16,128}",
    ),
    secret(
        "aeskey wandb key-data",
        rb"(?P<kept>(?:aeskey|key-data|wandb)(?:<QUOTE>)?[ \t]{0,4}[:=][ \t]{0,4}"
        rb"(?:<QUOTE>)?)[a-z0-9+/]{32,8192}={0,2}",
    ),
    Secret(
        tuple(BY_WORD.split(b"|")),
        filled(
            rb"(?P<kept>(?:<BY_WORD>)(?:<QUOTE>)?[ \t]{0,4}<WIDE>{1,2}[ \t]{0,4}<OPENED>)"
            rb"(?!\[redacted|none|null|\*\*\*|[<$`.])[!#-&(-+\--:<-_a-~]{3,512}"
        ),
        REDACTED,
        False,
    ),
    secret(  # YAML: the value on the next line, or the first of a list there
        [
            f"{name}{colon}"
            for name in ("password", "passwd", "pass", "phrase", "secret", "key", "token", "credential")
            for colon in (":", "s:", '":', "':", '\\":')
        ]
        + ["_base64:", "_data:", "_value:", "psk:"],
        rb"(?P<kept><WORDS>(?:<QUOTE>)?:[ \t]{0,4}<NEXT>(?<=[ \t])(?:-[ \t]{1,4})?(?:<QUOTE>)?)<SOMETHING>"
        rb"""[^\s"':{}\[\],\\-][^\s"':{}\[\],\\]{5,4096}(?=["']?[ \t]{0,8}(?:\r?\n|\Z|\\))""",
        is_one=is_mixed,
    ),
    secret(  # a list of them in one line
        "passw secret key token credential",
        rb"(?P<kept><WORDS>(?:<QUOTE>)?[ \t]{0,4}[:=][ \t]{0,4}\[)[ \t]{0,4}[\"'\\][^\]\r\n]{3,4096}(?=\])",
    ),
    secret(  # a table whose last column it is
        ',password ;password ,passwd ,"password',
        rb"(?m)(?P<kept>^(?:[\w .\"-]{1,32}[,;]){1,8}\"?passw(?:or)?d\"?[ \t]{0,4}\r?\n)(?:"
        rb"(?:[^\r\n,;]{0,128}[,;]){1,8}[^\r\n,;]{1,256}(?:\r?\n|\Z)){1,64}",
        reach=64,
    ),
    secret(
        "|variable|",
        rb"(?P<kept>variable[ \t]{1,4}\"[\w-]{0,64}<WORDS>\"[ \t]{0,4}\{[^}\r\n]{0,200}?default[ \t]{0,4}="
        rb"[ \t]{0,4}\")[^\"\r\n]{1,4096}",
    ),
    secret(  # a key as JSON: what of it is private
        "kty",
        rb"(?P<kept><QUOTE>(?:d|p|q|dp|dq|qi|k)<QUOTE>[ \t]{0,4}:[ \t]{0,4}<QUOTE>)[\w-]{20,8192}",
    ),
    secret(  # an object of Kubernetes, as kubectl and manifests write it
        ["kind: secret"],
        rb"(?m)(?P<kept>^[ \t]{0,16}(?:string)?data:[ \t]{0,4}\r?\n)<ENTRIES>(?=[ \t]{0,16}kind: secret\b)",
        reach=64,
    ),
    secret(
        ["kind: secret"],
        rb"(?m)(?P<kept>^[ \t]{0,16}kind: secret[ \t]{0,4}\r?\n(?:(?!---|"
        rb"[ \t]{0,16}kind:)[^\r\n]{0,400}\r?\n){0,32}?[ \t]{0,16}(?:string)?data:[ \t]{0,4}\r?\n)<ENTRIES>",
        reach=64,
    ),
    # XML: <password>…</password>, and name="password" value="…"; as JSON and YAML have it, too
    secret(
        "passw secret key token",
        rb"(?P<kept><(?:[a-z0-9]{1,32}[:._-])?(?:[a-z0-9_.-]{0,32})<WORDS>(?:[ \t][^<>\r\n]{0,128})?>)<SOMETHING>[^"
        rb"<>\r\n]{1,4096}(?=</)",
    ),
    secret(
        "value",
        rb"(?P<kept>(?:name|key)(?:<QUOTE>)?[ \t]{0,4}[:=][ \t]{0,4}(?:<QUOTE>)?[a-z0-9_.-]{0,64}<WORDS>"
        rb"(?:<QUOTE>)?[ \t,/]{0,8}(?:<NEXT>)?(?:<QUOTE>)?value(?:<QUOTE>)?[ \t]{0,4}[:=][ \t]{0,4}(?P<quote><QUOTE>)?)"
        rb"<SOMETHING><VALUE>",
    ),
    Secret(  # a sentence that names it: your password is …, 访问令牌（token）：…
        (b"pass", b"pwd", b"token", b"secret", b"key", *BY_WORD.split(b"|")),
        filled(
            rb"(?P<kept>(?:pass(?:w(?:or)?[dt]|phrase|code)?|pwd|token|secret|(?:api|secret|access)[_ -]?key|<BY_WORD>"
            rb")s?(?:is\b|was\b|\\u3000|\xe6\x98\xaf|\xe4\xb8\xba|[^\w\r\n\[/.]){1,12})[\w+/-]{10,512}"
        ),
        REDACTED,
        False,
        is_random,
    ),
)


PEOPLE = (
    secret("/home/ /users/", rb"(?P<kept>/(?:home|users)/)<PERSON>", b"[user]"),
    secret("\\users :/users", rb"(?P<kept>\b[a-z]:(?:\\{1,2}|/)users(?:\\{1,2}|/))<PERSON>", b"[user]"),
)
