"""Secrets that only their name tells, in settings of any syntax; and the homes of people."""

import re

from harness.evidence.secretforms.form import REDACTED, Secret, is_mixed, is_random, secret


def _behind(word: bytes, names: str) -> bytes:
    """`word` behind one of `names`: a key is not always a secret, an api_key is."""
    each = names.encode().split()
    return word + b"(?:" + b"|".join(rb"(?<=%s%s)|(?<=%s[_ .-]%s)" % (name, word, name, word) for name in each) + b")"


_KEY = _behind(
    b"key",
    """api access private account secret client signing encryption encrypt master service subscription storage shared
    auth app aes rsa hmac jwt consumer license deploy admin server""",
)
_TOKEN = _behind(
    b"token",
    """access api auth refresh session security bot hub hf github gitlab gitee pypi npm wandb studio secret private
    deploy runner registration job webhook verification csrf xsrf oauth bearer login identity service jupyter
    qianfan dashscope baidu slack telegram feishu lark dingtalk kaggle vault codecov sonar docker cloudflare""",
)
_PASSWORD = (
    rb"(?:passw(?:or)?d|passphrase|passcode|pgpassword|mysql_pwd|rediscli_auth|sshpass|"
    rb"(?:db|user|mysql|redis|pg|postgres|mongo|ftp|smtp|mail|email|http|proxy|"
    rb"root|admin|ssh|sudo|login|my|key|store|keystore|wifi)[_.-]?p(?:ass|w)|(?<![a-z0-9])psk)"
)
_WORDS = (
    rb"(?:"
    + _PASSWORD
    + rb"|secret|credential|"
    + _KEY
    + b"|"
    + _TOKEN
    + rb")s?(?:[_-]?(?:\d{1,2}|value|text|plain|data|base64|b64|base))?"
)
QUOTE = rb"""(?:\\{0,7}["']|&quot;|&apos;|&#3[49];|\\{1,7}u002[27])"""  # as programs, texts in texts and pages write it
_GIVEN = rb"(?:=>|:=|[:=](?!=)|\xef\xbc\x9a|\xef\xbc\x9d|\\{1,7}u003d|%25(?:3[ad]))"  # the two that are wide, too
NEXT = (  # the next line, also of a text within a text, behind what a log writes before it
    rb"(?:\r?\n|(?:\\{1,8}r)?\\{1,8}n)[ \t]{0,40}"
    rb"(?:[\[(]?\d{4}-\d\d-\d\d[t ][^\r\n]{0,80}?(?:[\])|]|info|debug|warn(?:ing)"
    rb"?|error)[ \t:]{1,8}(?:\[[^\]\r\n]{0,40}\])?[ \t:]{0,40})?"
)
_BLOCK = rb"(?:[|>][+-]?[ \t]{0,4}" + NEXT + rb")?"  # of YAML: the value stands on the next line
_ASSIGNED = (
    rb"(?:"
    + QUOTE
    + rb")?\]?[ \t]{0,8}"
    + _GIVEN
    + rb"[ \t]{0,8}"
    + _BLOCK
    + rb"(?:!!str[ \t]{1,4})?(?:[rbuf]{1,2}(?=[\"']))?(?P<quote>"
    + QUOTE
    + rb")?"
)
SOMETHING = (
    rb"""(?!(?:none|null|true|false|yes|no|nil|str|string|bytes|int|bool|any|amd64|"""
    rb"""arm64|i386|\*{1,40}|\.{3}|x{3,40})"""
    rb"""(?:[\s,;&"'}\])\\\[|]|$)|<[^>\r\n]{0,80}>|\$[\w{(]|[(\[{]|[a-z_][a-z_.]"""
    rb"""{0,60}[(\[]|%[({]|\xe2\x80\xa6|\*\*\*)"""
)
WORD = (
    rb"(?P<quote>"
    + QUOTE
    + rb")?"
    + SOMETHING
    + rb"""(?(quote)(?:(?!(?P=quote))[^\r\n]){1,4096}|[^\s"'`,;|&)\]]{1,4096})"""
)
LIST = (
    rb"(?:" + QUOTE + rb"[ \t]{0,4},[ \t]{0,4}(?:" + NEXT + rb")?(?=[\"'\\])|[ \t]{1,4}(?:\\{1,8}" + NEXT + rb")?|=)"
)  # "-p", "x" of a list; -p x
_VALUE = rb"""(?(quote)(?:(?!(?P=quote))[^\r\n]){1,4096}|[^\s,;&"'`}\]\\<]{1,4096})"""
_LONG = rb"""(?=[^\s"',;]{0,64}[0-9])(?=[^\s"',;]{0,64}[a-z])[\w.~+/=-]{16,4096}"""
CHINESE = ("密码", "口令", "密钥", "秘钥", "密匙", "令牌", "授权码", "私钥", "凭据", "凭证", "提取码")
OTHERS = ("パスワード", "비밀번호", "contraseña", "Пароль", "пароль", "mot de passe")  # the same in other languages
_BY_WORD = b"|".join(
    [word.encode(encoding) for word in CHINESE for encoding in ("utf-8", "gb18030")]
    + [word.encode() for word in OTHERS]
)
_WIDE = (
    rb"(?:\xef\xbc\x9a|\xef\xbc\x9d|\xa3\xba|\xa3\xbd|\xe4\xb8\xba|\xe6\x98\xaf|"
    rb"\xce\xaa|\xca\xc7|[:=])"
)  # ：＝为是
_OPENED = rb"(?:\\{0,7}[\"'`]|\xe2\x80\x9c|\xe3\x80\x8c|\xe2\x80\x98)?"
_ENTRIES = rb"(?:[ \t]{1,20}[\w.-]{1,253}:[ \t][^\r\n]{0,8192}\r?\n){1,64}"
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
        rb"(?P<kept>\bapp[ _-]?(?:specific[ _-])?pass(?:word|code)?(?:"
        + QUOTE
        + rb")?[ \t]{0,4}[:=][ \t]{0,4})(?:[a-z]{4} ){3}[a-z]{4}\b",
    ),
    secret(
        "passw passphrase passcode secret credential key token pgpass _pwd |psk +pass +pw rediscli_auth",
        rb"(?P<kept>" + _WORDS + _ASSIGNED + rb")" + SOMETHING + _VALUE,
        is_one=_is_told,
    ),
    secret(
        "%3",
        rb"(?P<kept>(?:%22|%26|%3f|[?&\s\"']|\A)"
        + _WORDS
        + rb"(?:%22)?%3[ad](?:%22|%20)?)"
        + SOMETHING
        + rb"[^\s&%\"'<>\\]{1,4096}",
    ),
    secret(
        "pwd",
        rb"""(?P<kept>(?<![a-z0-9_])pwd(?:"""
        + QUOTE
        + rb""")?[ \t]{0,4}[:=][ \t]{0,4}(?:"""
        + QUOTE
        + rb""")?)(?![/~.]|[a-z]:[\\/])"""
        + SOMETHING
        + rb"""[^\s"';,&\\]{3,256}""",
    ),
    secret(
        "token",
        rb"(?P<kept>token(?:"
        + QUOTE
        + rb")?[ \t]{0,8}[:=][ \t]{0,8}(?:"
        + QUOTE
        + rb")?)(?![a-z_][a-z_.]{0,80}\()(?![a-z]{2,32}(?:\.[a-z_]{2,64}){1,8}(?![\w.~+-]))[\w.~+/-]{20,4096}",
    ),
    secret(
        "_key _token _auth _pwd _pass _sk _ak _pat _dsn",
        rb"(?P<kept>\b[a-z0-9_]{1,64}_(?:key|token|auth|pwd|pass|sk|ak|pat|dsn)(?:"
        + QUOTE
        + rb")?\]?[ \t]{0,2}[:=][ \t]{0,2}(?:"
        + QUOTE
        + rb")?)"
        + _LONG,
    ),
    secret(
        "|ak |sk",
        rb"(?P<kept>(?<![a-z0-9_.-])(?:ak|sk)(?:" + QUOTE + rb")?[ \t]{0,4}[:=][ \t]{0,4}(?:" + QUOTE + rb")?)" + _LONG,
    ),
    secret(
        "auth",
        rb"(?P<kept>(?:[\"']|(?<![a-z])_)auth(?:"
        + QUOTE
        + rb")?[ \t]{0,4}[:=][ \t]{0,4}(?:"
        + QUOTE
        + rb")?)[a-z0-9+/]{8,4096}={0,2}",
    ),
    secret(
        "auth",
        rb"(?P<kept>\bauth[ \t]{0,2}=[ \t]{0,2}\([ \t]{0,2}"
        + QUOTE
        + rb"[^\"'\r\n\\]{0,128}"
        + QUOTE
        + rb"[ \t]{0,2},[ \t]{0,2}"
        + QUOTE
        + rb")[^\"'\r\n\[\\]{1,256}",
    ),
    secret(
        "username",
        rb"(?P<kept>"
        + QUOTE
        + rb"username"
        + QUOTE
        + rb"[ \t]{0,4}:[ \t]{0,4}"
        + QUOTE
        + rb"[^\"'\\\r\n]{1,64}"
        + QUOTE
        + rb"[ \t]{0,4},[ \t]{0,4}"
        + QUOTE
        + rb"key"
        + QUOTE
        + rb"[ \t]{0,4}:[ \t]{0,4}"
        + QUOTE
        + rb")[0-9a-z]{16,128}",
    ),
    secret(
        "aeskey wandb key-data",
        rb"(?P<kept>(?:aeskey|key-data|wandb)(?:"
        + QUOTE
        + rb")?[ \t]{0,4}[:=][ \t]{0,4}(?:"
        + QUOTE
        + rb")?)[a-z0-9+/]{32,8192}={0,2}",
    ),
    Secret(
        tuple(_BY_WORD.split(b"|")),
        (
            rb"(?P<kept>(?:"
            + _BY_WORD
            + rb")(?:"
            + QUOTE
            + rb")?[ \t]{0,4}"
            + _WIDE
            + rb"{1,2}[ \t]{0,4}"
            + _OPENED
            + rb")(?!\[redacted|none|null|\*\*\*|[<$`.])[!#-&(-+\--:<-_a-~]{3,512}"
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
        rb"(?P<kept>"
        + _WORDS
        + rb"(?:"
        + QUOTE
        + rb")?:[ \t]{0,4}"
        + NEXT
        + rb"(?<=[ \t])(?:-[ \t]{1,4})?(?:"
        + QUOTE
        + rb")?)"
        + SOMETHING
        + rb"""[^\s"':{}\[\],\\-][^\s"':{}\[\],\\]{5,4096}(?=["']?[ \t]{0,8}(?:\r?\n|\Z|\\))""",
        is_one=is_mixed,
    ),
    secret(  # a list of them in one line
        "passw secret key token credential",
        rb"(?P<kept>"
        + _WORDS
        + rb"(?:"
        + QUOTE
        + rb")?[ \t]{0,4}[:=][ \t]{0,4}\[)[ \t]{0,4}[\"'\\][^\]\r\n]{3,4096}(?=\])",
    ),
    secret(  # a table whose last column it is
        ',password ;password ,passwd ,"password',
        rb"(?m)(?P<kept>^(?:[\w .\"-]{1,32}[,;]){1,8}\"?passw(?:or)?d\"?[ \t]{0,4}\r?\n)"
        rb"(?:(?:[^\r\n,;]{0,128}[,;]){1,8}[^\r\n,;]{1,256}(?:\r?\n|\Z)){1,64}",
        reach=64,
    ),
    secret(
        "|variable|",
        rb"(?P<kept>variable[ \t]{1,4}\"[\w-]{0,64}" + _WORDS + rb"\"[ \t]{0,4}\{[^}\r\n]{0,200}?"
        rb"default[ \t]{0,4}=[ \t]{0,4}\")[^\"\r\n]{1,4096}",
    ),
    secret(  # a key as JSON: what of it is private
        "kty",
        rb"(?P<kept>"
        + QUOTE
        + rb"(?:d|p|q|dp|dq|qi|k)"
        + QUOTE
        + rb"[ \t]{0,4}:[ \t]{0,4}"
        + QUOTE
        + rb")[\w-]{20,8192}",
    ),
    secret(  # an object of Kubernetes, as kubectl and manifests write it
        ["kind: secret"],
        rb"(?m)(?P<kept>^[ \t]{0,16}(?:string)?data:[ \t]{0,4}\r?\n)" + _ENTRIES + rb"(?=[ \t]{0,16}kind: secret\b)",
        reach=64,
    ),
    secret(
        ["kind: secret"],
        rb"(?m)(?P<kept>^[ \t]{0,16}kind: secret[ \t]{0,4}\r?\n(?:(?!---|[ \t]{0,16}kind:)[^\r\n]{0,400}\r?\n){0,32}?"
        rb"[ \t]{0,16}(?:string)?data:[ \t]{0,4}\r?\n)" + _ENTRIES,
        reach=64,
    ),
    # XML: <password>…</password>, and name="password" value="…"; as JSON and YAML have it, too
    secret(
        "passw secret key token",
        rb"(?P<kept><(?:[a-z0-9]{1,32}[:._-])?(?:[a-z0-9_.-]{0,32})"
        + _WORDS
        + rb"(?:[ \t][^<>\r\n]{0,128})?>)"
        + SOMETHING
        + rb"[^<>\r\n]{1,4096}(?=</)",
    ),
    secret(
        "value",
        rb"(?P<kept>(?:name|key)(?:"
        + QUOTE
        + rb")?[ \t]{0,4}[:=][ \t]{0,4}(?:"
        + QUOTE
        + rb")?[a-z0-9_.-]{0,64}"
        + _WORDS
        + rb"(?:"
        + QUOTE
        + rb")?[ \t,/]{0,8}(?:"
        + NEXT
        + rb")?(?:"
        + QUOTE
        + rb")?value(?:"
        + QUOTE
        + rb")?[ \t]{0,4}[:=][ \t]{0,4}(?P<quote>"
        + QUOTE
        + rb")?)"
        + SOMETHING
        + _VALUE,
    ),
    Secret(  # a sentence that names it: your password is …, 访问令牌（token）：…
        (b"pass", b"pwd", b"token", b"secret", b"key", *_BY_WORD.split(b"|")),
        (
            rb"(?P<kept>(?:pass(?:w(?:or)?[dt]|phrase|code)?|pwd|token|secret|(?:api|secret|access)[_ -]?key|"
            + _BY_WORD
            + rb")s?(?:is\b|was\b|\\u3000|\xe6\x98\xaf|\xe4\xb8\xba|[^\w\r\n\[/.]){1,12})[\w+/-]{10,512}"
        ),
        REDACTED,
        False,
        is_random,
    ),
)


# People

_PERSON = rb"""[^\s/\\:"'<>,;()\[\]]{1,64}"""
PEOPLE = (
    secret("/home/ /users/", rb"(?P<kept>/(?:home|users)/)" + _PERSON, b"[user]"),
    secret("\\users :/users", rb"(?P<kept>\b[a-z]:(?:\\{1,2}|/)users(?:\\{1,2}|/))" + _PERSON, b"[user]"),
)
