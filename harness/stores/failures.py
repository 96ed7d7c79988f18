"""What a service's refusal means, for a person: what happened, why, and what to do."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    InvalidConfigError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from harness.errors import StoreError
from harness.stores.addresses import masked
from harness.terminal import harmless

KEYS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; every service here takes its keys in these."
AGAIN = "Call again later; it goes on where it broke off."
ENDPOINT = "Compare service, region and endpoint with the address; ./inv upload --help shows some."
CONSOLE = (
    "Is it the port of the service's S3, not of its console? Does a login page of the network (a captive portal) or a "
    f"proxy stand between? {ENDPOINT}"
)


class NotS3(Exception):
    """An answer that S3 does not give."""


class Damaged(Exception):
    """The service has another content than was sent to it, and did not say so."""


CODES: dict[str, tuple[str, str]] = {
    "InvalidAccessKeyId": ("The service does not know this access key.", KEYS),
    "SignatureDoesNotMatch": ("The secret does not belong to the access key.", KEYS),
    "ExpiredToken": ("The session's token has expired.", "Get a new one, then call again."),
    "InvalidToken": ("The session's token is not valid.", "Get a new one, then call again."),
    "RequestTimeTooSkewed": (
        "This machine's clock is wrong by many minutes.",
        "Set it (timedatectl), then call again.",
    ),
    "AccessDenied": (
        "The keys lack a right on this bucket.",
        "Its owner has to allow listing, reading and writing: s3:ListBucket, s3:GetObject, s3:PutObject.",
    ),
    "NoSuchBucket": ("The bucket does not exist.", "Make it with the service's own tools, or name another."),
    "NoSuchKey": (
        "An object is not there, though it was listed or named by a record.",
        "Upload it again from its machine.",
    ),
    "PermanentRedirect": ("The bucket is in another region.", ENDPOINT),
    "AuthorizationHeaderMalformed": ("The bucket is in another region.", ENDPOINT),
    "NotImplemented": (
        "The service does not know a header or call.",
        "Try ?conditional=no or ?checksum=md5 in the address.",
    ),
    "BadDigest": (
        "What arrives differs from what is sent, each time.",
        "Look for a proxy that changes what it passes.",
    ),
    "SlowDown": ("The service asks for fewer requests.", AGAIN),
    "ServiceUnavailable": ("The service is overloaded.", AGAIN),
    "InternalError": ("The service has a defect or no space.", "Ask whoever runs it, then call again."),
    "QuotaExceeded": ("The bucket's quota is used up.", "Ask its owner for space, then call again."),
}
SAME = {
    "XAmzContentSHA256Mismatch": "BadDigest",
    "InvalidDigest": "BadDigest",
    "XAmzContentChecksumMismatch": "BadDigest",
    "503": "ServiceUnavailable",
    "500": "InternalError",
    "507": "QuotaExceeded",
    "InsufficientStorage": "QuotaExceeded",
    "XMinioStorageFull": "QuotaExceeded",
    "404": "NoSuchKey",
    "429": "SlowDown",
    "TooManyRequests": "SlowDown",
    "TooManyRequestsException": "SlowDown",
    "501": "NotImplemented",
    "MethodNotAllowed": "NotImplemented",
    "405": "NotImplemented",
    "502": "ServiceUnavailable",
    "504": "ServiceUnavailable",
    "307": "PermanentRedirect",
    "TemporaryRedirect": "PermanentRedirect",
    "403": "AccessDenied",
    "301": "PermanentRedirect",
}
CAUSES: tuple[tuple[type[Exception], str, str], ...] = (
    (Damaged, *CODES["BadDigest"]),
    (NotS3, "What answers there is no S3, or only its first version.", CONSOLE),
    (ResponseParserError, "What answers there is no S3.", CONSOLE),
    (RecursionError, "What answers there leads elsewhere: no S3, or the bucket is in another region.", CONSOLE),
    (KeyError, "What answers there is no S3, or lacks a part of its answers.", CONSOLE),
    (NoCredentialsError, "There are no credentials.", KEYS),
    (PartialCredentialsError, "A key has no secret, or a secret no key.", KEYS),
    (
        ProfileNotFound,
        "There is no such profile in ~/.aws.",
        "See `aws configure list-profiles`, or leave profile= out.",
    ),
    (InvalidConfigError, "~/.aws has a mistake.", "Mend the line that is named, then call again."),
    (SSLError, "The certificate of the endpoint cannot be trusted.", "AWS_CA_BUNDLE names an own authority's file."),
    (ConnectTimeoutError, "Nothing answers there.", f"Is there a network? {ENDPOINT}"),
    (EndpointConnectionError, "Nothing answers there.", f"Is there a network? {ENDPOINT}"),
    (ReadTimeoutError, "The service stopped answering.", AGAIN),
    (ConnectionClosedError, "The connection broke off each time.", AGAIN),
    (BotoCoreError, "The request could not be made or answered.", ENDPOINT),
    (ValueError, "The address does not fit the service.", ENDPOINT),
    (Exception, "The connection broke off each time.", AGAIN),
)


def explain(address: str, error: Exception) -> StoreError:
    """The error a person reads in place of the library's."""
    what = f"{address}: {_first_line(error)}"
    if isinstance(error, ClientError) and 300 <= _status(error) < 400 and _known(error) != "PermanentRedirect":
        why, remedy = "What answers there is no S3: it sends a browser elsewhere.", CONSOLE
    elif isinstance(error, ClientError):
        why, remedy = CODES.get(_known(error), ("The service refused the request.", ENDPOINT))
    else:
        why, remedy = next((why, remedy) for kind, why, remedy in CAUSES if isinstance(error, kind))
    return StoreError(what, why, remedy)


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def is_taken(error: ClientError) -> bool:
    """Whether the key has an object already (409: one is being written to it at this moment)."""
    return _status(error) in (409, 412)


def is_denied(error: ClientError) -> bool:
    """Whether the keys lack a right, and not that they are wrong."""
    return _status(error) == 403 and _known(error) == "AccessDenied"


def is_missing(error: ClientError) -> bool:
    return _status(error) == 404 and code_of(error) != "NoSuchBucket"


def is_damaged(error: ClientError) -> bool:
    """Whether what arrived did not have the checksum of what was sent."""
    return _known(error) == "BadDigest"


def _known(error: ClientError) -> str:
    return SAME.get(code_of(error), code_of(error))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _first_line(error: Exception) -> str:
    text = masked(harmless((str(error) or type(error).__name__).splitlines()[0][:300]))
    return text if text.endswith(".") else f"{text}."
