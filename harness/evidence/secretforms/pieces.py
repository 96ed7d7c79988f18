"""What forms are put together from: names of secrets, quotes, what assigns, and values, in small letters.

A form names a piece in angle brackets: (?P<kept>password(?:<QUOTE>)?[:=])<VALUE>
"""

import re


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
WORDS = (
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
ASSIGNED = (
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
VALUE = rb"""(?(quote)(?:(?!(?P=quote))[^\r\n]){1,4096}|[^\s,;&"'`}\]\\<]{1,4096})"""
LONG = rb"""(?=[^\s"',;]{0,64}[0-9])(?=[^\s"',;]{0,64}[a-z])[\w.~+/=-]{16,4096}"""
CHINESE = ("密码", "口令", "密钥", "秘钥", "密匙", "令牌", "授权码", "私钥", "凭据", "凭证", "提取码")
OTHERS = ("パスワード", "비밀번호", "contraseña", "Пароль", "пароль", "mot de passe")  # the same in other languages
BY_WORD = b"|".join(
    [word.encode(encoding) for word in CHINESE for encoding in ("utf-8", "gb18030")]
    + [word.encode() for word in OTHERS]
)
WIDE = (
    rb"(?:\xef\xbc\x9a|\xef\xbc\x9d|\xa3\xba|\xa3\xbd|\xe4\xb8\xba|\xe6\x98\xaf|"
    rb"\xce\xaa|\xca\xc7|[:=])"
)  # ：＝为是
OPENED = rb"(?:\\{0,7}[\"'`]|\xe2\x80\x9c|\xe3\x80\x8c|\xe2\x80\x98)?"
ENTRIES = rb"(?:[ \t]{1,20}[\w.-]{1,253}:[ \t][^\r\n]{0,8192}\r?\n){1,64}"
PERSON = rb"""[^\s/\\:"'<>,;()\[\]]{1,64}"""
PIECES = {
    b"QUOTE": QUOTE,
    b"NEXT": NEXT,
    b"SOMETHING": SOMETHING,
    b"WORD": WORD,
    b"LIST": LIST,
    b"WORDS": WORDS,
    b"ASSIGNED": ASSIGNED,
    b"VALUE": VALUE,
    b"LONG": LONG,
    b"BY_WORD": BY_WORD,
    b"WIDE": WIDE,
    b"OPENED": OPENED,
    b"ENTRIES": ENTRIES,
    b"PERSON": PERSON,
}


def filled(looks: bytes) -> bytes:
    """A form with its pieces in their places."""
    return re.sub(rb"<([A-Z_]{3,})>", lambda named: PIECES[named[1]], looks)
