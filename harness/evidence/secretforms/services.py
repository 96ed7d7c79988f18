"""Keys and tokens of services, which tell themselves by how they begin.

Those that detect-secrets knows are taken from there, and a test holds them against it: the package itself brings an
HTTP client, whose start costs a run more than its record. Those that are told by how they begin are in lists.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from harness.evidence.secretforms.form import Secret, decodes_to, has_cases, is_mixed, is_random, secret

# Detectors of detect-secrets 1.5.0: the signs of what they look for, and their patterns, bounded.
MAINTAINED: Mapping[str, tuple[str, Sequence[bytes]]] = {
    "aws.AWSKeyDetector": (
        "a3t abia acca akia asia",
        [
            rb"(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}",
            rb"(?i:aws.{0,20}?(?:key|pwd|pw|password|pass|token).{0,20}?[\'\"]([0-9a-zA-Z/+]{40})[\'\"])",
        ],
    ),
    "azure_storage_key.AzureStorageKeyDetector": ("accountkey=", [rb"AccountKey=[a-zA-Z0-9+\/=]{88}"]),
    "discord.DiscordBotTokenDetector": ("", [rb"[MNO][a-zA-Z\d_-]{23,25}\.[a-zA-Z\d_-]{6}\.[a-zA-Z\d_-]{27}"]),
    "github_token.GitHubTokenDetector": ("ghp_ gho_ ghu_ ghs_ ghr_", [rb"(ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9_]{36}"]),
    "gitlab_token.GitLabTokenDetector": (
        "glpat- gldt- glft- glsoat- glrt- glcbt- glimt- glptt- glagent- gloas- gr134",
        [
            rb"(glpat|gldt|glft|glsoat|glrt)-[A-Za-z0-9_\-]{20,50}(?!\w)",
            rb"GR1348941[A-Za-z0-9_\-]{20,50}(?!\w)",
            rb"glcbt-([0-9a-fA-F]{2}_)?[A-Za-z0-9_\-]{20,50}(?!\w)",
            rb"glimt-[A-Za-z0-9_\-]{25}(?!\w)",
            rb"glptt-[A-Za-z0-9_\-]{40}(?!\w)",
            rb"glagent-[A-Za-z0-9_\-]{50,1024}(?!\w)",
            rb"gloas-[A-Za-z0-9_\-]{64}(?!\w)",
        ],
    ),
    "mailchimp.MailchimpDetector": ("", [rb"[0-9a-z]{32}-us[0-9]{1,2}"]),
    "openai.OpenAIDetector": ("t3blbkfj", [rb"sk-[A-Za-z0-9-_]*[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"]),
    "pypi_token.PypiTokenDetector": (
        "pypi-age",
        [
            rb"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9-_]{70,}",
            rb"pypi-AgENdGVzdC5weXBpLm9yZw[A-Za-z0-9-_]{70,}",
        ],
    ),
    "sendgrid.SendGridDetector": ("sg.", [rb"SG\.[a-zA-Z0-9_-]{22}\.[a-zA-Z0-9_-]{43}"]),
    "slack.SlackDetector": (
        "xox hooks.slack.com",
        [
            rb"(?i:xox(?:a|b|p|o|s|r)-(?:\d+-){1,4096}[a-z0-9]{1,4096})",
            rb"(?i:https://hooks\.slack\.com/services/T[a-zA-Z0-9_]{1,4096}/B[a-zA-Z0-9_]{1,4096}/[a-zA-Z0-9_]{1,4096})",
        ],
    ),
    "square_oauth.SquareOAuthDetector": ("sq0csp-", [rb"sq0csp-[0-9A-Za-z\\\-_]{43}"]),
    "stripe.StripeDetector": ("k_live_", [rb"(?:r|s)k_live_[0-9a-zA-Z]{24}"]),
    "telegram_token.TelegramBotTokenDetector": ("", [rb"\d{8,10}:[0-9A-Za-z_-]{35}"]),
    "twilio.TwilioKeyDetector": ("", [rb"AC[a-z0-9]{32}", rb"SK[a-z0-9]{32}"]),
}


def maintained() -> Iterator[Secret]:
    for name, (signs, patterns) in MAINTAINED.items():
        is_one = None if signs else has_cases if "Bot" in name else is_random
        for pattern in patterns:
            yield replace(secret(signs, pattern, cased=True, is_one=is_one), begins_word=True)


PREFIXED = (
    secret(  # beside the name of a key, in a pair
        "akia asia ltai akid altak aklt jdc_",
        rb"(?P<kept>(?<![A-Za-z0-9])(?:A(?:KIA|SIA|KID|LTAK|KLT)|LTAI|JDC_)[A-Za-z0-9_-]{8,96}(?:<QUOTE>)?"
        rb"[ \t]{0,4}[,:;/| \t][ \t]{0,4}(?:<QUOTE>)?)[A-Za-z0-9+/]{28,64}={0,2}(?![\w+/.-])",
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
