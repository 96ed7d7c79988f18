"""Secrets in the forms that people and programs write them: none is a real one, and none stands here as a whole.

Each sample is (text, what of it must not be seen). The secrets are drawn at random, and what makes a scanner see one is
put together here.
"""

import base64
import json
import random
import string
from collections.abc import Callable
from urllib.parse import quote

import secrettemplates
from secrettemplates import B64, HEX, MIXED, UPPER, URLSAFE

Sample = tuple[str, list[str]]


class Draw:
    """Random secrets; with a seed, so that a failure can be seen again."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __call__(self, alphabet: str, size: int) -> str:
        while True:
            text = "".join(self._random.choice(alphabet) for _ in range(size))
            if any(letter.isdigit() for letter in text) and any(letter.isalpha() for letter in text):
                return text

    @property
    def word(self) -> str:
        return self(MIXED, 14)

    def uuid(self) -> str:
        return "-".join(self(HEX, size) for size in (8, 4, 4, 4, 12))

    def pem(self, kind: str = "RSA ") -> tuple[str, list[str]]:
        lines = [self(B64, 64) for _ in range(4)] + [self(B64, 30) + "=="]
        dashes = "-" * 5
        head, foot = f"{dashes}BEGIN {kind}PRIVATE KEY{dashes}", f"{dashes}END {kind}PRIVATE KEY{dashes}"
        return "\n".join([head, *lines, foot]), lines


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _token(prefix: str, alphabet: str, size: int, behind: str = "") -> Callable[[Draw], Sample]:
    """A secret that is told by how it begins, alone in a sentence."""

    def draw(d: Draw) -> Sample:
        secret = d(alphabet, size)
        return f"it is {prefix}{secret}{behind} today", [secret]

    return draw


def _named(template: str, alphabet: str = MIXED, size: int = 14) -> Callable[[Draw], Sample]:
    """A secret that is told by what stands around it, as `@`."""

    def draw(d: Draw) -> Sample:
        secret = d(alphabet, size)
        return template.replace("@", secret).replace("§", "@"), [secret]

    return draw


def _random(template: str) -> Callable[[Draw], Sample]:
    """A secret that nothing but its looks tells from a word: letters of both sizes, and digits."""

    def draw(d: Draw) -> Sample:
        secret = f"q7R{d(MIXED, 12)}9Lm2"
        return template.replace("@", secret), [secret]

    return draw


def _multiline(d: Draw, template: str = "%s", kind: str = "RSA ") -> Sample:
    text, lines = d.pem(kind)
    return template % text, lines


def _basic(template: str) -> Callable[[Draw], Sample]:
    def draw(d: Draw) -> Sample:
        secret = b64("anna:" + d.word)
        return template.replace("@", secret), [secret]

    return draw


def _jwt(template: str = "@") -> Callable[[Draw], Sample]:
    def draw(d: Draw) -> Sample:
        body = d(URLSAFE, 60)
        return template.replace("@", f"eyJ{d(URLSAFE, 20)}.eyJ{body}.{d(URLSAFE, 43)}"), [body]

    return draw


TOKENS: dict[str, Callable[[Draw], Sample]] = {
    "AWS access key": _token("AKIA", UPPER, 16),
    "AWS temporary key": _token("ASIA", UPPER, 16),
    "GitHub, personal": _token("ghp_", MIXED, 36),
    "GitHub, app": _token("ghs_", MIXED, 36),
    "GitHub, fine-grained": _token("github_pat_", MIXED, 59),
    "GitLab": _token("glpat-", MIXED, 20),
    "GitLab, deploy": _token("gldt-", MIXED, 20),
    "GitLab, runner": _token("glrt-", MIXED, 20),
    "Hugging Face": _token("hf_", string.ascii_letters + "1", 34),
    "npm": _token("npm_", MIXED, 36),
    "PyPI": _token("pypi-AgEIcHlwaS5vcmc", URLSAFE, 80),
    "OpenAI": _token("sk-", MIXED, 48),
    "OpenAI, project": _token("sk-proj-", URLSAFE, 100),
    "Anthropic": _token("sk-ant-api03-", URLSAFE, 93),
    "DeepSeek": _token("sk-", HEX, 32),
    "DashScope": _token("sk-", HEX, 32),
    "Groq": _token("gsk_", MIXED, 52),
    "xAI": _token("xai-", MIXED, 60),
    "NVIDIA": _token("nvapi-", URLSAFE, 64),
    "Replicate": _token("r8_", MIXED, 37),
    "ModelScope": lambda d: (lambda u: (f"token is ms-{u} ok", [u]))(d.uuid()),
    "Zhipu": lambda d: (lambda one, two: (f"key {one}.{two}", [one, two]))(d(HEX, 32), d(MIXED, 16)),
    "Google API": _token("AIza", URLSAFE, 35),
    "Google OAuth": _token("ya29.", URLSAFE, 80),
    "Google client": _token("GOCSPX-", URLSAFE, 28),
    "Alibaba": _token("LTAI", MIXED, 20),
    "Alibaba, old": _token("LTAI", MIXED, 12),
    "Alibaba STS": _token("STS.", MIXED, 26),
    "Tencent": _token("AKID", MIXED, 32),
    "Baidu, ALTAK": _token("ALTAK-", MIXED, 20),
    "Baidu, bce-v3": lambda d: (lambda a, b: (f"auth bce-v3/ALTAK-{a}/{b} ok", [a, b]))(d(MIXED, 20), d(HEX, 40)),
    "Baidu OAuth": lambda d: (lambda s: (f"got 24.{s}.2592000.1790000000.282335-12345678 ok", [s]))(d(HEX, 32)),
    "Volcengine": _token("AKLT", MIXED, 40),
    "Volcengine, base64": _token("AKLT", B64.replace("+", "").replace("/", ""), 44, "=="),
    "JD": _token("JDC_", UPPER, 28),
    "Slack bot": lambda d: (lambda s: (f"slack xoxb-123456789012-123456789012-{s}", [s]))(d(MIXED, 24)),
    "Slack user": lambda d: (lambda s: (f"slack xoxp-123456789012-123456789012-{s}", [s]))(d(MIXED, 32)),
    "Telegram": lambda d: (lambda s: (f"bot 1234567890:{s}", [s]))(d(URLSAFE, 35)),
    "Discord bot": lambda d: (lambda s: (f"bot M{d(MIXED, 23)}.{d(MIXED, 6)}.{s} up", [s]))(d(MIXED, 27)),
    "Stripe": _token("sk_live_", MIXED, 24),
    "SendGrid": lambda d: (lambda s: (f"mail SG.{d(MIXED, 22)}.{s} ok", [s]))(d(MIXED, 43)),
    "Twilio": _token("SK", HEX, 32),
    "Mailchimp": lambda d: (lambda s: (f"mail {s}-us12 ok", [s]))(d(HEX, 32)),
    "Square": _token("sq0csp-", URLSAFE, 43),
    "Docker": _token("dckr_pat_", URLSAFE, 27),
    "DigitalOcean": _token("dop_v1_", HEX, 64),
    "Databricks": _token("dapi", HEX, 32),
    "Vault": _token("hvs.", MIXED, 90),
    "Shopify": _token("shpat_", HEX, 32),
    "Grafana": _token("glsa_", MIXED, 41),
    "Notion": _token("ntn_", MIXED, 46),
    "Azure client": lambda d: (lambda s: (f"azure abc8Q~{s} ok", [s]))(d(MIXED, 34)),
    "age": _token("AGE-SECRET-KEY-1", UPPER, 58),
    "DingTalk secret": _token("SEC", HEX, 64),
    "ServerChan": _token("SCT123456T", MIXED, 24),
    "JSON web token": _jwt(),
    "JSON web token in a sentence": _jwt("signed in with @, until tomorrow"),
    "password's hash": _token("$6$rounds=5000$", MIXED, 80),
    "bcrypt": _token("$2b$12$", MIXED + "./", 53),
}

SETTINGS: dict[str, Callable[[Draw], Sample]] = {
    f"setting {number}: {template}": _named(template, *more)
    for number, (template, *more) in enumerate(secrettemplates.SETTINGS)
}

COMMANDS: dict[str, Callable[[Draw], Sample]] = {
    f"command {number}: {template}": _named(template, *more)
    for number, (template, *more) in enumerate(secrettemplates.COMMANDS)
}

ADDRESSES: dict[str, Callable[[Draw], Sample]] = {
    f"address {number}: {template}": _named(template, *more)
    for number, (template, *more) in enumerate(secrettemplates.ADDRESSES)
}

KEYS: dict[str, Callable[[Draw], Sample]] = {
    "PEM": _multiline,
    "PEM, PKCS 8": lambda d: _multiline(d, kind=""),
    "PEM, EC": lambda d: _multiline(d, kind="EC "),
    "PEM, OpenSSH": lambda d: _multiline(d, kind="OPENSSH "),
    "PEM, indented": lambda d: _multiline(d, "key: |\n%s\nend", "ENCRYPTED "),
    "PEM in one line": lambda d: (lambda text, lines: (text.replace("\n", "\\n"), lines))(*d.pem()),
    "PEM in JSON": lambda d: (lambda text, lines: (json.dumps({"private_key": text + "\n"}), lines))(*d.pem("")),
    "PEM as base64": lambda d: (lambda text, _: (f"tls.key: {b64(text)}", [b64(text)]))(*d.pem()),
    "OpenSSH's body": lambda d: (
        lambda lines: ("\n".join(["b3BlbnNzaC1rZXktdjEAAAAABG5vbmU" + lines[0], *lines[1:]]), lines)
    )([d(B64, 64) for _ in range(3)]),
    "DER's body": lambda d: (lambda lines: ("\n".join(["MIIEvQIBADANBgkqhkiG" + lines[0], *lines[1:]]), lines))(
        [d(B64, 64) for _ in range(3)]
    ),
    "Basic": _basic("Authorization: Basic @"),
    "Basic alone": _basic("it sent Basic @ to the proxy"),
    "JSON web token, named": _jwt("id_token=@"),
    "a password with an at": lambda d: (lambda s: (f"postgres://anna:{s}§{s}@db/x".replace("§", "@"), [s]))(d.word),
    "password, quoted for addresses": lambda d: (lambda s: (f"https://anna:{quote(s + '/+', safe='')}@x/", [s]))(
        d.word
    ),
}

SENTENCES: dict[str, Callable[[Draw], Sample]] = {
    f"sentence {number}: {template}": _random(template) for number, template in enumerate(secrettemplates.SENTENCES)
}

PROGRAMS: dict[str, Callable[[Draw], Sample]] = {
    f"program {number}: {template}": _named(template, *more)
    for number, (template, *more) in enumerate([*secrettemplates.PROGRAMS, *secrettemplates.SERVICES])
}

SAMPLES = {**TOKENS, **SETTINGS, **COMMANDS, **ADDRESSES, **SENTENCES, **KEYS, **PROGRAMS}

# The same in other clothes


def _coloured(text: str, secrets: list[str]) -> str:
    for secret in dict.fromkeys(secrets):
        middle = len(secret) // 2
        text = text.replace(secret, f"\x1b[1;31m{secret[:middle]}\x1b[0m\x1b[36m{secret[middle:]}\x1b[0m")
    return text


def _prefixed(text: str) -> str:
    return "\n".join(
        f"2026-11-30 10:00:{number:02},123 INFO [main] {line}" for number, line in enumerate(text.split("\n"))
    )


CLOTHES: dict[str, Callable[[str, list[str]], str]] = {
    "plain": lambda text, secrets: text,
    "quoted": lambda text, secrets: repr(text),
    "JSON": lambda text, secrets: json.dumps({"message": text}, ensure_ascii=False),
    "JSON in JSON": lambda text, secrets: json.dumps(
        json.dumps({"message": text}, ensure_ascii=False), ensure_ascii=False
    ),
    "coloured": _coloured,
    "a log's line": lambda text, secrets: _prefixed(text),
    "Windows": lambda text, secrets: text.replace("\n", "\r\n"),
}
