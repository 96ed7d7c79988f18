"""Keys and tokens of services, which tell themselves by how they begin.

Those that detect-secrets knows come from there; those that are told by how they begin are in tokens.yaml; here are the
others: of a certain form, or beside one.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module

from harness.evidence.secretforms.form import Secret, decodes_to, has_cases, is_mixed, is_random, secret
from harness.evidence.secretforms.names import QUOTE

MAINTAINED = {  # detectors of detect-secrets, and the signs of what they look for
    "aws.AWSKeyDetector": "a3t abia acca akia asia",
    "azure_storage_key.AzureStorageKeyDetector": "accountkey=",
    "discord.DiscordBotTokenDetector": "",
    "github_token.GitHubTokenDetector": "ghp_ gho_ ghu_ ghs_ ghr_",
    "gitlab_token.GitLabTokenDetector": "glpat- gldt- glft- glsoat- glrt- glcbt- glimt- glptt- glagent- gloas- gr134",
    "mailchimp.MailchimpDetector": "",
    "openai.OpenAIDetector": "t3blbkfj",
    "pypi_token.PypiTokenDetector": "pypi-age",
    "sendgrid.SendGridDetector": "sg.",
    "slack.SlackDetector": "xox hooks.slack.com",
    "square_oauth.SquareOAuthDetector": "sq0csp-",
    "stripe.StripeDetector": "k_live_",
    "telegram_token.TelegramBotTokenDetector": "",
    "twilio.TwilioKeyDetector": "",
}


def maintained() -> Iterator[Secret]:
    for name, signs in MAINTAINED.items():
        module, _, detector = name.partition(".")
        for pattern in getattr(import_module(f"detect_secrets.plugins.{module}"), detector).denylist:
            is_one = None if signs else has_cases if "Bot" in name else is_random
            yield replace(secret(signs, _bounded(pattern), cased=True, is_one=is_one), begins_word=True)


def _bounded(pattern: re.Pattern[str]) -> str:
    """A pattern of detect-secrets, each repetition of a class or a group with a bound."""
    text = re.sub(r"(?<=[\])])\+", "{1,4096}", pattern.pattern)
    return f"(?i:{text})" if pattern.flags & re.IGNORECASE else text


PREFIXED = (
    secret(  # beside the name of a key, in a pair
        "akia asia ltai akid altak aklt jdc_",
        rb"(?P<kept>(?<![A-Za-z0-9])(?:A(?:KIA|SIA|KID|LTAK|KLT)|LTAI|JDC_)[A-Za-z0-9_-]{8,96}(?:"
        + QUOTE
        + rb")?[ \t]{0,4}[,:;/| \t][ \t]{0,4}(?:"
        + QUOTE
        + rb")?)[A-Za-z0-9+/]{28,64}={0,2}(?![\w+/.-])",
        cased=True,
        is_one=is_mixed,
    ),
    secret("akia asia abia acca", rb"(?<![A-Z0-9])A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Z0-9])", cased=True),
    secret("aiza", rb"\bAIza[A-Za-z0-9_-]{35}", cased=True),
    secret("ya29. gocspx-", rb"\b(?:ya29\.|GOCSPX-)[A-Za-z0-9_-]{20,1024}", cased=True),
    # Chinese clouds: Alibaba, Tencent, Baidu, Volcengine and Kingsoft, JD, and what Baidu's OAuth gives
    secret("ltai", rb"(?<![A-Za-z0-9])LTAI[A-Za-z0-9]{12,40}", cased=True),
    secret("|sts.", rb"(?<![A-Za-z0-9])STS\.[A-Za-z0-9]{20,128}", cased=True),
    secret("akid", rb"(?<![A-Za-z0-9])AKID[A-Za-z0-9_-]{13,96}", cased=True),
    secret("altak", rb"(?:bce-v3/)?(?<![A-Za-z0-9])ALTAK-?[A-Za-z0-9]{8,64}(?:/[0-9a-f]{20,64})?", cased=True),
    secret("bce-v3/", rb"bce-v3/[a-z0-9-]{8,64}/[0-9a-f]{20,64}"),
    secret("bce-auth-v1/", rb"bce-auth-v1/[^\s\"'\\&]{20,1024}"),
    secret("aklt aktp", rb"(?<![A-Za-z0-9])AK(?:LT|TP)[A-Za-z0-9_-]{16,128}={0,2}", cased=True),
    secret("jdc_", rb"(?<![A-Za-z0-9])JDC_[A-Z0-9]{20,40}", cased=True),
    secret("", rb"(?<![\d.])2[45]\.[0-9a-f]{32}\.\d{5,8}\.\d{9,12}\.\d{6}-\d{4,12}"),
    # Models' and other services
    secret("|pat", rb"(?<![A-Za-z0-9])pat[A-Za-z0-9]{14}\.[0-9a-f]{64}", cased=True),  # Airtable
    secret("dapi", rb"(?<![a-z0-9])dapi[0-9a-f]{32}(?![a-z0-9])"),
    secret("age-secret-key-1", rb"age-secret-key-1[a-z0-9]{40,80}"),
    secret("q~", rb"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}", cased=True),
    secret("ms-", rb"(?<![a-z0-9-])ms-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    secret("", rb"(?<![A-Za-z0-9.])[0-9a-f]{32}\.[A-Za-z0-9]{16}(?![A-Za-z0-9.])", cased=True),  # Zhipu
    secret("", rb"(?<![A-Za-z0-9])SCT\d{3,10}T[A-Za-z0-9]{16,64}", cased=True),
    secret("", rb"(?<![A-Za-z0-9])SEC[0-9a-f]{64}(?![0-9a-f])", cased=True),  # DingTalk
    secret("eyj", rb"\beyJ[A-Za-z0-9_-]{8,8192}\.eyJ[A-Za-z0-9_-]{8,8192}(?:\.[A-Za-z0-9_-]{0,8192})?", cased=True),
    secret("eyj", rb"\beyJ[A-Za-z0-9_-]{8,8192}(?:\.[A-Za-z0-9_-]{6,8192}){2,4}", cased=True),
    secret(
        "$1$ $2a$ $2b$ $2x$ $2y$ $5$ $6$ $7$ $y$ $apr1$ $argon2",
        rb"\$(?:1|2[abxy]|5|6|7|y|apr1|argon2[id]{1,2})\$[a-z0-9./$,=+]{20,256}",
    ),  # hashes of passwords
    secret(
        "ls0tls1crudjt",
        rb"LS0tLS1CRUdJT[A-Za-z0-9+/]{20,16384}={0,2}",
        cased=True,
        is_one=decodes_to(b"PRIVATE KEY"),
    ),
)
