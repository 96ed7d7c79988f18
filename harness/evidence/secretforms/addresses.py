"""Secrets in addresses, headers and cookies."""

from harness.evidence.secretforms.form import decodes_to, is_random, secret

_SIGNED = (
    rb"x-(?:amz|goog|tos|obs|oss|bce|cos)-(?:signature|credential|security-token)"
    rb"|(?:oss|aws|obs)?accesskeyid|signature|"
    rb"q-signature|q-ak|sign|sig|access_token|accesstoken|refresh_token|id_token|"
    rb"token|key|auth_key|apikey|api_key|"
    rb"security-token|authorization|client_secret|appsecret|secret|password|passwd|"
    rb"pwd|ticket|code_verifier"
)
_PARAMETERS = "signature credential id ak sign sig token key authorization secret password passwd pwd ticket verifier"
ADDRESSES = (
    secret("bearer", rb"(?P<kept>bearer(?:[ \t]|%20|\+){1,8})[a-z0-9._~+/=-]{12,8192}"),
    secret(
        "|basic|",
        rb"(?P<kept>(?<![A-Za-z])[Bb](?:asic|ASIC)[ \t]{1,4})[A-Za-z0-9+/]{8,4096}={0,2}",
        cased=True,
        is_one=decodes_to(b":"),
    ),
    secret(  # parameters: Digest username="…", response="…"
        "authorization",
        rb"(?P<kept>authorization(?:<QUOTE>)?[ \t]{0,8}[:=,][ \t]{0,8}(?:<QUOTE>)?)(?:[a-z0-9-]{2,32}"
        rb"[ \t]{1,4})?[a-z_-]{1,32}=\\{0,7}\"[^\"\r\n]{0,1024}\"(?:,[ \t]{0,4}[a-z_-]{1,32}="
        rb"(?:\\{0,7}\"[^\"\r\n]{0,1024}\"|[^\s,\"]{1,256})){0,16}",
    ),
    secret(
        "authorization",
        rb"""(?P<kept>authorization(?:\\{0,7}["'`])?[ \t]{0,8}(?:[:=,]|=>)[ \t]{0,8}(?:\\{0,7}["'`])?)"""
        rb"""(?!bearer|none|null|true|false)[^\s"'\[\\][^\r\n"'\\]{4,8192}""",
    ),
    secret(
        "signature= sign= sig=",
        rb"(?P<kept>(?<![a-z0-9_.-])(?:signature|sign|sig)=)[a-z0-9%+/_-]{16,1024}={0,2}",
        is_one=is_random,
    ),
    secret("://", rb"""(?P<kept>://)[^\s/@:"'<>]{0,256}:[^\s/"'<>]{1,1024}(?=@)"""),
    secret(  # a token for a user; a mail address and a nameInWords are none
        "://",
        rb"""(?P<kept>://)(?![A-Za-z][a-z]{1,15}(?:[A-Z][a-z]{2,15}){1,5}@|[^\s/@:"'<>]{0,128}%40)[^\s/@:"'<>]{20,1024}(?=@)""",
        cased=True,
    ),
    secret("/bot", rb"(?P<kept>/bot\d{6,12}:)[a-z0-9_-]{30,64}"),
    secret(":thin:", rb"(?P<kept>jdbc:oracle:thin:[^\s/@]{1,64}/)[^\s@\"']{1,256}(?=@)"),
    secret(
        [f"{name}{equals}" for name in _PARAMETERS.split() for equals in ("=", "%3d")],
        rb"(?P<kept>(?:[?&;]|\\u0026|&amp;|%26|%3f)(?:" + _SIGNED + rb")(?:=|%3d))"
        rb"""(?!\[redacted)[^\s&"'<>\\;]{1,4096}""",
    ),
    secret("q-signature= q-ak=", rb"(?P<kept>q-(?:signature|ak)=)[^\s&\"'\[]{8,256}"),
    secret("/hook/", rb"(?P<kept>open-apis/bot/(?:v\d/)?hook/)[a-z0-9-]{16,64}"),
    secret("discord", rb"(?P<kept>discord(?:app)?\.com/api/webhooks/\d{8,24}/)[a-z0-9_-]{20,128}"),
    secret("webhookb2/", rb"(?P<kept>\.webhook\.office\.com/webhookb2/)[a-z0-9@/_-]{20,512}"),
    secret("hooks.slack.com", rb"(?P<kept>hooks\.slack\.com/(?:services|workflows|triggers)/)[a-z0-9_/-]{16,256}"),
    secret("api.day.app/", rb"(?P<kept>api\.day\.app/)[a-z0-9]{16,64}"),
    secret(
        "cookie",
        (
            rb"""(?P<kept>\bcookie(?:\\{0,7}["'])?[ \t]{0,4}[:=][ \t]{0,4}"""
            rb"""(?:\\{0,7}["'])?)[^\s"'\\;=\[]{1,256}=[^\r\n"'\\]{1,8192}"""
        ),
    ),
    secret(
        "cookie",
        (
            rb"""(?P<kept>\bset-cookie2?(?:\\{0,7}["'])?[ \t]{0,4}[:=][ \t]{0,4}"""
            rb"""(?:\\{0,7}["'])?[^\s"'\\;=\[]{1,256}=)[^\s;"'\\\[]{1,8192}"""
        ),
    ),
    secret(
        "sess bduss stoken ptoken connect.sid csrf xsrf z_c0",
        (
            rb"(?P<kept>(?:bduss(?:_bfess)?|[sp]token(?:_bfess)?|sess(?:ion)?[_-]?"
            rb"(?:id|data|key)|connect\.sid|[cx]srf[_-]?token|z_c0)(?:\\{0,7}[\"'])?[ \t]{0,4}[:=][ \t]{0,4}"
            rb"(?:\\{0,7}[\"'])?)(?!0x[0-9a-f]{1,16}\b)[a-z0-9%._~+/|-]{16,4096}={0,2}"
        ),
    ),
    secret("<cookie", rb"(?P<kept><cookie [^=\s<>]{1,64}=)[^\s<>]{8,4096}(?= for )"),
    secret("crumb", rb"(?P<kept>\b[a-z]{0,32}-?crumb(?:<QUOTE>)?[ \t]{0,4}[:=][ \t]{0,4})[0-9a-f]{32,128}"),
    secret(  # a line of a jar of cookies, in which \\t may be two letters
        ["\ttrue", "\tfalse", "\\ttrue", "\\tfalse"],
        (
            rb"(?P<kept>@(?:true|false)@/[^\t\n\\]{0,256}@(?:true|false)@\d{1,20}@[^\t\n\\]"
            rb"{1,256}@)[^\t\r\n\[\\\"']{1,4096}"
        ).replace(b"@", rb"(?:\t|\\{1,4}t)"),
    ),
)
