"""Secret forms: what keys, tokens and passwords look like, and what names them.

Those of services come from detect-secrets where it has them, and from the table below where it has not: Chinese clouds,
models' services, webhooks, hashes. Those that only a name tells (`password=…`, `"api_key": "…"`, 密码：…) are ours.
Each is looked for only where one of its signs stands, and each repetition has a bound, so that no output makes it slow.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module

REDACTED = b"[redacted]"
INSIDE_WORD = re.compile(rb"[A-Za-z0-9_]")


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
    is_one: Callable[[bytes, int, int], bool] | None = None  # asked with the text, and from where to where
    begins_word: bool = False  # asked for behind the pattern, which then begins with letters and is found quickly

    def matches(self, text: bytes, small: bytes) -> Iterator[tuple[int, int]]:
        """From where to where it stands in the text, which is given as it is and in small letters."""
        if any(sign in small for sign in self.signs):
            for match in self.pattern.finditer(text if self.cased else small):
                start = match.end("kept") if "kept" in self.pattern.groupindex else match.start()
                if self.begins_word and INSIDE_WORD.match(text, start - 1) and start:
                    continue
                if start < match.end() and (self.is_one is None or self.is_one(text, start, match.end())):
                    yield start, match.end()


def _secret(
    signs: str,
    pattern: bytes | str,
    replacement: bytes = REDACTED,
    cased: bool = False,
    is_one: Callable[[bytes, int, int], bool] | None = None,
) -> Secret:
    pattern = pattern.encode() if isinstance(pattern, str) else pattern
    return Secret(tuple(signs.encode().split()), re.compile(pattern), replacement, cased, is_one)


@cache
def forms() -> tuple[Secret, ...]:
    """Every form that is known."""
    return (*PREFIXED, *_maintained(), *ADDRESSES, *NAMED, *COMMANDS, *PEOPLE)


# Known by their own form

MAINTAINED = {  # detectors of detect-secrets, and the signs of what they look for
    "aws.AWSKeyDetector": "a3t abia acca akia asia",
    "azure_storage_key.AzureStorageKeyDetector": "accountkey=",
    "discord.DiscordBotTokenDetector": ".",
    "github_token.GitHubTokenDetector": "ghp_ gho_ ghu_ ghs_ ghr_",
    "gitlab_token.GitLabTokenDetector": "glpat- gldt- glft- glsoat- glrt- glcbt- glimt- glptt- glagent- gloas- gr1348941",
    "mailchimp.MailchimpDetector": "-us",
    "openai.OpenAIDetector": "t3blbkfj",
    "pypi_token.PypiTokenDetector": "pypi-age",
    "sendgrid.SendGridDetector": "sg.",
    "slack.SlackDetector": "xox hooks.slack.com",
    "square_oauth.SquareOAuthDetector": "sq0csp-",
    "stripe.StripeDetector": "k_live_",
    "telegram_token.TelegramBotTokenDetector": ":",
    "twilio.TwilioKeyDetector": "ac sk",
}


def _maintained() -> Iterator[Secret]:
    for name, signs in MAINTAINED.items():
        module, _, detector = name.partition(".")
        for pattern in getattr(import_module(f"detect_secrets.plugins.{module}"), detector).denylist:
            yield replace(_secret(signs, _bounded(pattern), cased=True), begins_word=True)


def _bounded(pattern: re.Pattern[str]) -> str:
    """A pattern of detect-secrets, each repetition of a class or a group with a bound."""
    text = re.sub(r"(?<=[\])])\+", "{1,4096}", pattern.pattern)
    return f"(?i:{text})" if pattern.flags & re.IGNORECASE else text


def _decodes_to(what: bytes) -> Callable[[bytes, int, int], bool]:
    def is_one(text: bytes, start: int, end: int) -> bool:
        found = text[start:end].rstrip(b"=")
        try:
            return what in base64.b64decode(found[: len(found) // 4 * 4])
        except binascii.Error:
            return False

    return is_one


PREFIXED = (
    _secret("akia asia abia acca", rb"(?<![A-Z0-9])A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Z0-9])", cased=True),
    _secret("ghp_ gho_ ghu_ ghs_ ghr_", rb"gh[pousr]_[a-z0-9]{20,255}"),
    _secret("github_pat_ glpat-", rb"(?:github_pat_|glpat-)[a-z0-9_.-]{20,255}"),
    _secret("hf_ npm_ api_org_", rb"\b(?:hf|npm|api_org)_[a-z0-9]{20,255}"),
    _secret("sk- pypi- xox", rb"(?<![a-z0-9_])(?:sk-|pypi-|xox[abeprs]-|xapp-)[a-z0-9_-]{20,512}"),
    _secret("aiza", rb"\bAIza[A-Za-z0-9_-]{35}", cased=True),
    _secret("ya29. gocspx-", rb"\b(?:ya29\.|GOCSPX-)[A-Za-z0-9_-]{20,1024}", cased=True),
    # Chinese clouds: Alibaba, Tencent, Baidu, Volcengine and Kingsoft, JD, and what Baidu's OAuth gives
    _secret("ltai", rb"(?<![A-Za-z0-9])LTAI[A-Za-z0-9]{12,40}", cased=True),
    _secret("sts.", rb"(?<![A-Za-z0-9])STS\.[A-Za-z0-9]{20,128}", cased=True),
    _secret("akid", rb"(?<![A-Za-z0-9])AKID[A-Za-z0-9_-]{13,96}", cased=True),
    _secret("altak", rb"(?:bce-v3/)?(?<![A-Za-z0-9])ALTAK-?[A-Za-z0-9]{8,64}(?:/[0-9a-f]{20,64})?", cased=True),
    _secret("bce-v3/", rb"bce-v3/[a-z0-9-]{8,64}/[0-9a-f]{20,64}"),
    _secret("bce-auth-v1/", rb"bce-auth-v1/[^\s\"'\\&]{20,1024}"),
    _secret("aklt aktp", rb"(?<![A-Za-z0-9])AK(?:LT|TP)[A-Za-z0-9_-]{16,128}={0,2}", cased=True),
    _secret("jdc_", rb"(?<![A-Za-z0-9])JDC_[A-Z0-9]{20,40}", cased=True),
    _secret("24. 25.", rb"(?<![\d.])2[45]\.[0-9a-f]{32}\.\d{5,8}\.\d{9,12}\.\d{6}-\d{4,12}"),
    # Models' and other services
    _secret(
        "gsk_ r8_ xai- nvapi- pplx- wandb_v1_ dckr_pat_ dop_v1_ hvs. shpat_ glsa_ lin_api_ ntn_ figd_ pmak- sntrys_ tskey-",
        rb"(?<![a-z0-9_])(?:gsk_|r8_|xai-|nvapi-|pplx-|wandb_v1_|dckr_pat_|dop_v1_|hvs\.|shpat_|glsa_|lin_api_|ntn_|figd_|"
        rb"pmak-|sntrys_|tskey-)[a-z0-9_.-]{20,512}",
    ),
    _secret("dapi", rb"(?<![a-z0-9])dapi[0-9a-f]{32}(?![a-z0-9])"),
    _secret("age-secret-key-1", rb"age-secret-key-1[a-z0-9]{40,80}"),
    _secret("q~", rb"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}", cased=True),
    _secret("ms-", rb"(?<![a-z0-9-])ms-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    _secret(".", rb"(?<![A-Za-z0-9.])[0-9a-f]{32}\.[A-Za-z0-9]{16}(?![A-Za-z0-9.])", cased=True),  # Zhipu
    _secret("sct", rb"(?<![A-Za-z0-9])SCT\d{3,10}T[A-Za-z0-9]{16,64}", cased=True),
    _secret("sec", rb"(?<![A-Za-z0-9])SEC[0-9a-f]{64}(?![0-9a-f])", cased=True),  # DingTalk
    _secret("eyj", rb"\beyJ[A-Za-z0-9_-]{8,8192}\.eyJ[A-Za-z0-9_-]{8,8192}(?:\.[A-Za-z0-9_-]{0,8192})?", cased=True),
    _secret("$", rb"\$(?:1|2[abxy]|5|6|7|y|apr1|argon2[id]{1,2})\$[a-z0-9./$,=+]{20,256}"),  # hashes of passwords
    _secret("ls0tls1crudjt", rb"LS0tLS1CRUdJT[A-Za-z0-9+/]{20,16384}={0,2}", cased=True, is_one=_decodes_to(b"PRIVATE KEY")),
)  # fmt: skip


# In addresses

_SIGNED = (
    rb"x-(?:amz|goog|tos|obs|oss|bce|cos)-(?:signature|credential|security-token)|(?:oss|aws|obs)?accesskeyid|signature|"
    rb"q-signature|q-ak|sign|sig|access_token|accesstoken|refresh_token|id_token|token|key|auth_key|apikey|api_key|"
    rb"security-token|authorization|client_secret|appsecret|secret|password|passwd|pwd|ticket|code_verifier"
)
ADDRESSES = (
    _secret("bearer", rb"(?P<kept>bearer(?:[ \t]|%20|\+){1,8})[a-z0-9._~+/=-]{12,8192}"),
    _secret(
        "basic",
        rb"(?P<kept>(?<![A-Za-z])[Bb](?:asic|ASIC)[ \t]{1,4})[A-Za-z0-9+/]{8,4096}={0,2}",
        cased=True,
        is_one=_decodes_to(b":"),
    ),
    _secret(
        "authorization",
        rb"""(?P<kept>authorization(?:\\{0,7}["'`])?[ \t]{0,8}(?:[:=,]|=>)[ \t]{0,8}(?:\\{0,7}["'`])?)"""
        rb"""(?!bearer|none|null|true|false)[^\s"'\[\\][^\r\n"'\\]{4,8192}""",
    ),
    _secret(
        "://",
        rb"""(?P<kept>://)(?:[^\s/@:"'<>]{0,256}:[^\s/"'<>]{1,1024}|[^\s/@:"'<>]{20,1024})(?=@)""",
    ),
    _secret(":thin:", rb"(?P<kept>jdbc:oracle:thin:[^\s/@]{1,64}/)[^\s@\"']{1,256}(?=@)"),
    _secret(
        "= %3d",
        rb"(?P<kept>(?:[?&;]|\\u0026|&amp;|%26|%3f)(?:" + _SIGNED + rb")(?:=|%3d))"
        rb"""(?!\[redacted)[^\s&"'<>\\;]{1,4096}""",
    ),
    _secret("q-signature= q-ak=", rb"(?P<kept>q-(?:signature|ak)=)[^\s&\"'\[]{8,256}"),
    _secret("/hook/", rb"(?P<kept>open-apis/bot/(?:v\d/)?hook/)[a-z0-9-]{16,64}"),
    _secret("discord", rb"(?P<kept>discord(?:app)?\.com/api/webhooks/\d{8,24}/)[a-z0-9_-]{20,128}"),
    _secret("webhookb2/", rb"(?P<kept>\.webhook\.office\.com/webhookb2/)[a-z0-9@/_-]{20,512}"),
    _secret("hooks.slack.com", rb"(?P<kept>hooks\.slack\.com/(?:services|workflows|triggers)/)[a-z0-9_/-]{16,256}"),
    _secret("api.day.app/", rb"(?P<kept>api\.day\.app/)[a-z0-9]{16,64}"),
    _secret("cookie", rb"""(?P<kept>\bcookie(?:\\{0,7}["'])?[ \t]{0,4}[:=][ \t]{0,4}(?:\\{0,7}["'])?)[^\s"'\\;=\[]{1,256}=[^\r\n"'\\]{1,8192}"""),
    _secret("cookie", rb"""(?P<kept>\bset-cookie2?(?:\\{0,7}["'])?[ \t]{0,4}[:=][ \t]{0,4}(?:\\{0,7}["'])?[^\s"'\\;=\[]{1,256}=)[^\s;"'\\\[]{1,8192}"""),
    _secret(
        "sessi sessdata bduss stoken ptoken connect.sid csrf xsrf z_c0",
        rb"(?P<kept>(?:bduss(?:_bfess)?|[sp]token(?:_bfess)?|sess(?:ion)?[_-]?(?:id|data|key)|connect\.sid|[cx]srf[_-]?token|z_c0)(?:\\{0,7}[\"'])?[ \t]{0,4}[:=][ \t]{0,4}(?:\\{0,7}[\"'])?)[a-z0-9%._~+/|-]{16,4096}={0,2}",
    ),
    Secret(  # a line of a jar of cookies, in which \\t may be two letters
        (b"true", b"false"),
        re.compile(
            (rb"(?P<kept>@(?:true|false)@/[^\t\n\\]{0,256}@(?:true|false)@\d{1,20}@[^\t\n\\]{1,256}@)[^\t\r\n\[\\\"']{1,4096}").replace(
                b"@", rb"(?:\t|\\{1,4}t)"
            )
        ),
        REDACTED,
        False,
    ),
)  # fmt: skip


# Known by their name


def _behind(word: bytes, *names: str) -> bytes:
    """`word` behind one of `names`: a key is not always a secret, an api_key is."""
    each = (name.encode() for name in names)
    return word + b"(?:" + b"|".join(rb"(?<=%s%s)|(?<=%s[_ .-]%s)" % (name, word, name, word) for name in each) + b")"


_KEY = _behind(
    b"key",
    *"""api access private account secret client signing encryption encrypt master service subscription storage shared
    auth app aes rsa hmac jwt consumer license deploy admin server""".split(),
)
_TOKEN = _behind(
    b"token",
    *"""access api auth refresh session security bot hub hf github gitlab gitee pypi npm wandb studio secret private
    deploy runner registration job webhook verification csrf xsrf oauth bearer login identity service jupyter
    qianfan dashscope baidu slack telegram feishu lark dingtalk kaggle vault codecov sonar docker cloudflare""".split(),
)
_PASSWORD = (
    rb"(?:passw(?:or)?d|passphrase|passcode|pgpassword|mysql_pwd|rediscli_auth|sshpass|"
    rb"(?:db|user|mysql|redis|pg|postgres|mongo|ftp|smtp|mail|email|http|proxy|root|admin|ssh|sudo|login|my|keystore|wifi)[_.-]?pass)"
)
_WORDS = (
    rb"(?:" + _PASSWORD + rb"|secret|credential|" + _KEY + b"|" + _TOKEN + rb")s?(?:[_-]?(?:\d{1,2}|value|text|plain|data|base64|b64))?"
)
_QUOTE = rb"""\\{0,7}["']"""
_GIVEN = rb"(?:=>|:=|[:=](?!=)|\xef\xbc\x9a|\xef\xbc\x9d)"  # the two that are wide, too
_NEXT = (  # the next line, also of a text within a text, behind what a log writes before it
    rb"(?:\r?\n|(?:\\{1,8}r)?\\{1,8}n)[ \t]{0,40}"
    rb"(?:[\[(]?\d{4}-\d\d-\d\d[t ][^\r\n]{0,80}?(?:[\])|]|info|debug|warn(?:ing)?|error)[ \t:]{1,8}(?:\[[^\]\r\n]{0,40}\])?[ \t:]{0,40})?"
)
_BLOCK = rb"(?:[|>][+-]?[ \t]{0,4}" + _NEXT + rb")?"  # of YAML: the value stands on the next line
_ASSIGNED = (
    rb"(?:" + _QUOTE + rb")?\]?[ \t]{0,8}" + _GIVEN + rb"[ \t]{0,8}" + _BLOCK
    + rb"(?:!!str[ \t]{1,4})?(?:[rbuf]{1,2}(?=[\"']))?(?P<quote>" + _QUOTE + rb")?"
)  # fmt: skip
_SOMETHING = (
    rb"""(?!(?:none|null|true|false|yes|no|nil|str|string|bytes|int|bool|any|amd64|arm64|i386|\*{1,40}|\.{3}|x{3,40})"""
    rb"""(?:[\s,;&"'}\])\\\[|]|$)|<[^>\r\n]{0,80}>|\$[\w{(]|[(\[{]|[a-z_][a-z_.]{0,60}[(\[]|%[({]|\xe2\x80\xa6|\*\*\*)"""
)
_VALUE = rb"""(?(quote)(?:(?!(?P=quote))[^\r\n]){1,4096}|[^\s,;&"'`}\]\\<]{1,4096})"""
_LONG = rb"""(?=[^\s"',;]{0,64}[0-9])(?=[^\s"',;]{0,64}[a-z])[\w.~+/=-]{16,4096}"""
CHINESE = "密码 口令 密钥 秘钥 密匙 令牌 授权码 私钥 凭据 凭证 提取码".split()
_BY_WORD = b"|".join(word.encode(encoding) for word in CHINESE for encoding in ("utf-8", "gb18030"))
_WIDE = rb"(?:\xef\xbc\x9a|\xef\xbc\x9d|\xa3\xba|\xa3\xbd|\xe4\xb8\xba|\xe6\x98\xaf|\xce\xaa|\xca\xc7|[:=])"  # ：＝为是
_OPENED = rb"(?:\\{0,7}[\"'`]|\xe2\x80\x9c|\xe3\x80\x8c|\xe2\x80\x98)?"
NO_NUMBER = re.compile(rb"-?[\d.,]{1,12}(?:e[+-]?\d{1,3})?", re.IGNORECASE)
PROSE = re.compile(rb"[a-z][a-z'-]{0,30}(?=[ \t]{1,8}[a-z#(\[]|[.!?][ \t\r\n])")
PLURAL = re.compile(rb"s[ \t\"'\\:=]{1,16}\Z", re.IGNORECASE)


def _is_told(text: bytes, start: int, end: int) -> bool:
    """Whether a value behind a secret's name is one: tokens may be counted, and a sentence may go on behind a colon."""
    before, value = text[max(start - 48, 0) : start], text[start:end]
    if NO_NUMBER.fullmatch(value) and PLURAL.search(before):
        return False
    quoted, is_password = before[-1:] in (b'"', b"'"), re.search(rb"pass|pwd", before, re.IGNORECASE)
    return bool(quoted or is_password or not PROSE.match(text, start))


NAMED = (
    _secret(
        "passw passphrase passcode secret credential key token pass auth pwd",
        rb"(?P<kept>" + _WORDS + _ASSIGNED + rb")" + _SOMETHING + _VALUE,
        is_one=_is_told,
    ),
    _secret(
        "%3",
        rb"(?P<kept>(?:%22|%26|%3f|[?&\s\"']|\A)" + _WORDS + rb"(?:%22)?%3[ad](?:%22|%20)?)" + _SOMETHING + rb"[^\s&%\"'<>\\]{1,4096}",
    ),
    _secret("pwd", rb"""(?P<kept>(?<![a-z0-9_])pwd(?:""" + _QUOTE + rb""")?[ \t]{0,4}[:=][ \t]{0,4}(?:""" + _QUOTE + rb""")?)(?![/~.]|[a-z]:[\\/])"""
            + _SOMETHING + rb"""[^\s"';,&\\]{3,256}"""),
    _secret("token", rb"(?P<kept>token(?:" + _QUOTE + rb")?[ \t]{0,8}[:=][ \t]{0,8}(?:" + _QUOTE + rb")?)(?![a-z_][a-z_.]{0,80}\()[\w.~+/-]{20,4096}"),
    _secret("_key _token _auth _pwd _pass _sk _ak", rb"(?P<kept>\b[a-z0-9_]{1,64}_(?:key|token|auth|pwd|pass|sk|ak)(?:" + _QUOTE + rb")?[ \t]{0,2}[:=][ \t]{0,2}(?:" + _QUOTE + rb")?)" + _LONG),
    _secret("ak sk", rb"(?P<kept>(?<![a-z0-9_.-])(?:ak|sk)(?:" + _QUOTE + rb")?[ \t]{0,4}[:=][ \t]{0,4}(?:" + _QUOTE + rb")?)" + _LONG),
    _secret("auth", rb"(?P<kept>(?:[\"']|(?<![a-z])_)auth(?:" + _QUOTE + rb")?[ \t]{0,4}[:=][ \t]{0,4}(?:" + _QUOTE + rb")?)[a-z0-9+/]{8,4096}={0,2}"),
    _secret("auth", rb"(?P<kept>\bauth[ \t]{0,2}=[ \t]{0,2}\([ \t]{0,2}" + _QUOTE + rb"[^\"'\r\n\\]{0,128}" + _QUOTE + rb"[ \t]{0,2},[ \t]{0,2}" + _QUOTE + rb")[^\"'\r\n\[\\]{1,256}"),
    _secret("username", rb"(?P<kept>" + _QUOTE + rb"username" + _QUOTE + rb"[ \t]{0,4}:[ \t]{0,4}" + _QUOTE + rb"[^\"'\\\r\n]{1,64}" + _QUOTE + rb"[ \t]{0,4},[ \t]{0,4}" + _QUOTE + rb"key" + _QUOTE + rb"[ \t]{0,4}:[ \t]{0,4}" + _QUOTE + rb")[0-9a-z]{16,128}"),
    _secret("aeskey wandb key-data", rb"(?P<kept>(?:aeskey|key-data|wandb)(?:" + _QUOTE + rb")?[ \t]{0,4}[:=][ \t]{0,4}(?:" + _QUOTE + rb")?)[a-z0-9+/]{32,8192}={0,2}"),
    Secret(
        tuple(_BY_WORD.split(b"|")),
        re.compile(rb"(?P<kept>(?:" + _BY_WORD + rb")(?:" + _QUOTE + rb")?[ \t]{0,4}" + _WIDE + rb"{1,2}[ \t]{0,4}" + _OPENED + rb")(?!\[redacted|none|null|\*\*\*|[<$`.])[!#-&(-+\--:<-_a-~]{3,512}"),
        REDACTED, False,
    ),
    # XML: <password>…</password>, and name="password" value="…"; as JSON and YAML have it, too
    _secret("passw secret key token", rb"(?P<kept><(?:[a-z0-9]{1,32}[:._-])?(?:[a-z0-9_.-]{0,32})" + _WORDS + rb"(?:[ \t][^<>\r\n]{0,128})?>)" + _SOMETHING + rb"[^<>\r\n]{1,4096}(?=</)"),
    _secret(
        "value",
        rb"(?P<kept>(?:name|key)(?:" + _QUOTE + rb")?[ \t]{0,4}[:=][ \t]{0,4}(?:" + _QUOTE + rb")?[a-z0-9_.-]{0,64}" + _WORDS
        + rb"(?:" + _QUOTE + rb")?[ \t,/]{0,8}(?:" + _NEXT + rb")?(?:" + _QUOTE + rb")?value(?:" + _QUOTE + rb")?[ \t]{0,4}[:=][ \t]{0,4}(?P<quote>" + _QUOTE + rb")?)"
        + _SOMETHING + _VALUE,
    ),
)  # fmt: skip


# In commands

NO_SECRET = re.compile(rb"[\"'\\]*(?:[./~]\S*|\d{1,9}|\S*\.(?:pem|key|crt|cer|txt|json|ya?ml))[\"']?", re.IGNORECASE)
_WORD = rb"(?P<quote>" + _QUOTE + rb")?" + _SOMETHING + rb"""(?(quote)(?:(?!(?P=quote))[^\r\n]){1,4096}|[^\s"'`,;|&)\]]{1,4096})"""
_LIST = rb"(?:" + _QUOTE + rb"[ \t]{0,4},[ \t]{0,4}(?:" + _NEXT + rb")?(?=[\"'\\])|[ \t]{1,4}(?:\\{1,8}" + _NEXT + rb")?|=)"  # "-p", "x" of a list; -p x
COMMANDS = (
    _secret(
        "-password -passphrase -passwd -pass",
        rb"(?P<kept>(?<![\w-])--?(?:[a-z][\w-]{0,63}-)?(?:password|passwd|passphrase|pass)" + _LIST + rb")(?!-)" + _WORD,
    ),
    _secret(
        "-token -secret -key -apikey",
        rb"(?P<kept>(?<![\w-])--?(?:[a-z][\w-]{0,63}-)?(?:token|secret|api-?key|secret-?key|access-?key|key)"
        + _LIST + rb")(?!-)" + _WORD,
        is_one=lambda text, start, end: not NO_SECRET.fullmatch(text, start, end),
    ),
    _secret("-u --user --proxy-user", rb"(?P<kept>\b(?:curl|wget|https?|svn)\b[^\r\n|;]{0,400}?(?<![\w-])(?:-u|--user|--proxy-user)" + _LIST
            + rb"(?:\\{0,7}[\"'`])?[^\s:\"'/]{1,128}:)[^\s\"'`\\\[/]{1,512}"),
    _secret("-u --user --proxy-user", rb"(?P<kept>(?<![\w-])(?:-u|--user|--proxy-user)" + _LIST + rb"(?:\\{0,7}[\"'`])?[^\s:\"'/]{1,128}:)(?=[^\s\"'`/]{0,60}[a-z])(?=[^\s\"'`/]{0,60}\d)[^\s\"'`\\\[/]{6,512}"),
    _secret("mysql mariadb 7z rar", rb"(?P<kept>\b(?:mysql(?:dump|admin|import|sh)?|mariadb(?:-dump|-admin)?|7za?|rar|unrar)\b[^\r\n|;]{0,400}?(?<![\w-])-p)(?P<quote>" + _QUOTE + rb")?(?!\[redacted)(?(quote)[^\r\n\"'`]{1,256}|[^\s\"'`=,]{3,256})", cased=True),
    _secret("sshpass login mongo plink pscp zip", rb"(?P<kept>\b(?:sshpass|(?:docker|podman|oc|helm|az|skopeo|nerdctl|crane)(?:[ \t]registry)?[ \t]login|mongo(?:sh|dump|restore|import|export)?|plink|pscp|putty|psftp)\b[^\r\n|;]{0,400}?(?<![\w-])-(?:pw|p)" + _LIST + rb"?)(?!-)" + _WORD, cased=True),
    _secret("redis-cli ldap zip", rb"(?P<kept>\b(?:redis-cli\b[^\r\n|;]{0,200}?[ \t]-a|ldap(?:search|modify|add|whoami)\b[^\r\n|;]{0,200}?[ \t]-w|zip\b[^\r\n|;]{0,200}?[ \t]-P)" + _LIST + rb"?)" + _WORD, cased=True),
    _secret("smbclient mount.cifs", rb"(?P<kept>\bsmbclient\b[^\r\n|;]{0,200}?-u[ \t]?[^\s%]{1,64}%)[^\s\"']{1,256}"),
    _secret("-passin -passout pass:", rb"(?P<kept>-pass(?:in|out)?[ \t]{1,4}pass:)[^\s\"'\[]{1,256}"),
    _secret("htpasswd", rb"(?P<kept>\bhtpasswd[ \t]{1,4}-[a-z]{0,8}b[a-z]{0,8}[ \t]{1,4}\S{1,256}[ \t]{1,4}\S{1,128}[ \t]{1,4})[^\s\[]{1,256}"),
    _secret("sudo login", rb"(?P<kept>\becho[ \t]{1,4}(?:-n[ \t]{1,4})?(?P<quote>[\"'])?)(?!\[redacted|\$)[^\r\n\"'|]{1,256}?(?=[\"']?[ \t]{0,4}\|[ \t]{0,4}(?:sudo[^\r\n|]{0,40}[ \t]-s|[a-z]{1,16}[ \t]login\b|passwd\b|chpasswd\b|kinit\b|cryptsetup\b))"),
    _secret(
        "setenv setx -gx environmentvariable configure",
        rb"(?P<kept>\b(?:setenv|setx|set[ \t]-gx|setenvironmentvariable\(|configure[ \t]set)[ \t]{0,4}(?:/m[ \t])?(?:" + _QUOTE + rb")?[a-z0-9_.]{0,64}(?:key|token|secret|password|passwd|credential)s?(?:" + _QUOTE + rb")?[ \t,]{1,8})" + _WORD,
    ),
    _secret("converttosecure convertto-secure", rb"(?P<kept>convertto-securestring[ \t]{1,4}(?:-string[ \t]{1,4})?)(?!-)" + _WORD),
    _secret("password", rb"(?P<kept>(?:login|account)[ \t]{1,8}[^\s\\]{1,128}(?:[ \t]{1,8}|" + _NEXT + rb")password[ \t]{1,8})(?!\[redacted)[^\s\\\"']{1,256}"),
    _secret("password", rb"(?m)(?P<kept>^[ \t]{0,16}password[ \t]{1,8})(?=[^\s]{0,64}[\d!-/@#$%^&*_+])(?![=:\[(\"'-])[^\s\[=:]{4,256}(?=[ \t]{0,8}\r?$)"),
    _secret(":5432:", rb"(?P<kept>:5432:[^:\s]{1,64}:[^:\s]{1,64}:)[^\s\[]{1,256}"),
    _secret("identified", rb"(?P<kept>identified[ \t]{1,4}(?:with[ \t]{1,4}\w{1,40}[ \t]{1,4})?by[ \t]{1,4}(?:password[ \t]{1,4})?[\"'])[^\"'\r\n\[]{1,256}"),
    _secret("password", rb"(?P<kept>\b(?:with|encrypted)[ \t]{1,4}password[ \t]{1,4}')[^'\r\n\[]{1,256}"),
    _secret("requirepass masterauth", rb"(?P<kept>\b(?:requirepass|masterauth)[ \t]{1,4}(?:[\"'])?)(?!\[redacted)[^\s\"']{1,256}"),
)  # fmt: skip


# People

_PERSON = rb"""[^\s/\\:"'<>,;()\[\]]{1,64}"""
PEOPLE = (
    _secret("/home/ /users/", rb"(?P<kept>/(?:home|users)/)" + _PERSON, b"[user]"),
    _secret(":\\ :/", rb"(?P<kept>\b[a-z]:(?:\\{1,2}|/)users(?:\\{1,2}|/))" + _PERSON, b"[user]"),
)
