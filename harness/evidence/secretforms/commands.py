"""Secrets in commands and in what configures servers: options, their lists, and words that stand before one."""

import re

from harness.evidence.secretforms.form import is_random, secret

NO_SECRET = re.compile(rb"[\"'\\]*(?:[./~]\S*|\d{1,9}|\S*\.(?:pem|key|crt|cer|txt|json|ya?ml))[\"']?", re.IGNORECASE)
COMMANDS = (
    secret(
        "-password -passphrase -passwd -pass",
        rb"(?P<kept>(?<![\w-])--?(?:[a-z][\w-]{0,63}-)?(?:password|passwd|passphrase|pass)<LIST>)(?!-)<WORD>",
    ),
    secret(
        "-token -secret -key -apikey",
        rb"(?P<kept>(?<![\w-])--?(?:[a-z][\w-]{0,63}-)?(?:token|secret|api-?key|secret-?key|access-?key|key)<LIST>)"
        rb"(?!-)<WORD>",
        is_one=lambda text, start, end: not NO_SECRET.fullmatch(text, start, end),
    ),
    secret(
        "|-u --user --proxy-user",
        rb"(?P<kept>\b(?:curl|wget|https?|svn)\b[^\r\n|;]{0,400}?(?<![\w-])(?:-u|--user|--proxy-user)(?:<LIST>)?"
        rb"(?:\\{0,7}[\"'`])?[^\s:\"'/]{1,128}:)[^\s\"'`\\\[/]{1,512}",
    ),
    secret(
        "|-u --user --proxy-user",
        rb"(?P<kept>(?<![\w-])(?:-u|--user|--proxy-user)<LIST>(?:\\{0,7}[\"'`])?[^\s:\"'/]{1,128}:)"
        rb"(?=[^\s\"'`/]{0,60}[a-z])(?=[^\s\"'`/]{0,60}\d)[^\s\"'`\\\[/]{6,512}",
    ),
    secret(
        "|mysql |mariadb |7z| |7za| |rar| |unrar|",
        rb"(?P<kept>\b(?:mysql(?:dump|admin|import|sh)?|mariadb(?:-dump|-admin)?|7za?|rar|unrar)\b[^\r\n|;]{0,400}?"
        rb"(?<![\w-])-p)(?P<quote><QUOTE>)?(?!\[redacted)(?(quote)[^\r\n\"'`]{1,256}|[^\s\"'`=,]{3,256})",
        cased=True,
    ),
    secret("smbclient mount.cifs", rb"(?P<kept>\bsmbclient\b[^\r\n|;]{0,200}?-u[ \t]?[^\s%]{1,64}%)[^\s\"']{1,256}"),
    secret("-passin -passout -pass", rb"(?P<kept>-pass(?:in|out)?[ \t]{1,4}pass:)[^\s\"'\[]{1,256}"),
    secret(
        "htpasswd",
        (
            rb"(?P<kept>\bhtpasswd[ \t]{1,4}-[a-z]{0,8}b[a-z]{0,8}[ \t]{1,4}\S{1,256}[ \t]{1,4}\S{1,128}"
            rb"[ \t]{1,4})[^\s\[]{1,256}"
        ),
    ),
    secret(
        "|echo|",
        (
            rb"(?P<kept>\becho[ \t]{1,4}(?:-n[ \t]{1,4})?(?P<quote>[\"'])?)(?!\[redacted|\$)[^\r\n\"'|]{1,256}?"
            rb"(?=[\"']?[ \t]{0,4}\|[ \t]{0,4}(?:su\b|sudo[^\r\n|]{0,40}[ \t]-s|[a-z]{1,16}"
            rb"[ \t]login\b|passwd\b|chpasswd\b|kinit\b|cryptsetup\b))"
        ),
    ),
    secret("<<<", rb"(?P<kept>\b(?:sudo\b[^\r\n|;]{0,80}-s|su|passwd|login)\b[^\r\n|;]{0,80}<<<[ \t]{0,4})<WORD>"),
    secret(
        "|send|",
        rb"(?P<kept>\bsend[ \t]{1,4}(?:--[ \t]{1,4})?\")[^\"\r\n\\\s]{8,64}(?=\\{1,4}[rn]\")",
        is_one=is_random,
    ),
    secret(
        "|auth|",
        rb"(?P<kept>\bAUTH\"?[ \t]{1,4}(?:\"?default\"?[ \t]{1,4})?\"?)[\w+/=-]{12,512}",
        cased=True,
        is_one=is_random,
    ),
    secret(
        "|sqlplus| |sqlldr| |expdp| |impdp| |rman|",
        rb"(?P<kept>\b(?:sqlplus|sqlldr|expdp|impdp|rman)\b[^\r\n|;]{0,100}?[ \t'\"][\w$#]{1,30}/)[^\s@/'\"]{3,64}"
        rb"(?=[@\s'\"]|\Z)",
    ),
    secret("lftp", rb"(?P<kept>\blftp\b[^\r\n|;]{0,200}?-u[ \t]{1,4}[^\s,]{1,128},)[^\s\"']{1,256}"),
    secret(
        "|-a| --auth",
        rb"(?P<kept>\b(?:https?|xhs?)[ \t][^\r\n|;]{0,200}?(?<![\w-])"
        rb"(?:-a|--auth)[ \t=]{1,4}[^\s:]{1,128}:)[^\s\"']{1,256}",
    ),
    secret("wifi:", rb"(?P<kept>\bwifi:[^\r\n]{0,128}?\bp:)[^;\r\n]{4,128}(?=;)"),
    secret(
        "key token secret passw credential",
        rb"(?P<kept>\b(?:setenv|setx|set[ \t]-gx|setenvironmentvariable\(|configure[ \t]set)[ \t]{0,4}(?:/m[ \t])?"
        rb"(?:<QUOTE>)?[a-z0-9_.]{0,64}(?:key|token|secret|password|passwd|credential)s?(?:<QUOTE>)?[ \t,]{1,8})"
        rb"<WORD>",
    ),
    secret(
        "converttosecure convertto-secure",
        rb"(?P<kept>convertto-securestring[ \t]{1,4}(?:-string[ \t]{1,4})?)(?!-)<WORD>",
    ),
    secret(
        "password",
        rb"(?P<kept>(?:login|account)[ \t]{1,8}[^\s\\]{1,128}(?:[ \t]{1,8}|<NEXT>)password[ \t]{1,8})"
        rb"(?!\[redacted)[^\s\\\"']{1,256}",
    ),
    secret(
        "password",
        (
            rb"(?m)(?P<kept>^[ \t]{0,16}password[ \t]{1,8})(?=[^\s]{0,64}[\d!-/@#$%^&*_+])"
            rb"(?![=:\[(\"'-])[^\s\[=:]{4,256}(?=[ \t]{0,8}\r?$)"
        ),
    ),
    secret(":5432:", rb"(?P<kept>:5432:[^:\s]{1,64}:[^:\s]{1,64}:)[^\s\[]{1,256}"),
    secret(
        "identified",
        (
            rb"(?P<kept>identified[ \t]{1,4}(?:with[ \t]{1,4}\w{1,40}[ \t]{1,4})?by[ \t]{1,4}(?:password"
            rb"[ \t]{1,4})?[\"'])[^\"'\r\n\[]{1,256}"
        ),
    ),
    secret("password", rb"(?P<kept>\b(?:with|encrypted)[ \t]{1,4}password[ \t]{1,4}')[^'\r\n\[]{1,256}"),
    secret(
        "requirepass masterauth",
        (rb"(?P<kept>\b(?:requirepass|masterauth)[ \t]{1,4}(?:[\"'])?)(?!\[redacted)[^\s\"']{1,256}"),
    ),
)
