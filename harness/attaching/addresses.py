"""Addresses: is one public, is it where the organisers ask for it, and does it answer?

An address that nobody could reach earns nothing: it waits, and is asked again. What can never be reached by the
organisers, such as a host on this machine or in its network, is refused.
"""

import http.client
import ipaddress
import re
import socket
import string
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from harness.errors import UsageError

KINDS = ("link", "article", "pull request")
LONGEST = 2000
SECONDS = 10
PULL_REQUEST = re.compile(
    r"https://(?:github\.com/[\w.-]+/[\w.-]+/pull/\d+|(?:gitee\.com|gitcode\.com)/[\w.-]+/[\w.-]+/(?:pulls|merge_requests)/\d+|"
    r"[\w.-]+/[\w./-]+/-/merge_requests/\d+)(?:[/?#]\S*)?"
)
NOWHERE = (
    "localhost", "localdomain", "local", "internal", "intranet", "lan", "home",
    "corp", "invalid", "test", "example", "onion",
)  # fmt: skip
KNOWN = ("aistudio.baidu.com", "github.com")  # one that resolves shows that there is a network
FAKE = ipaddress.ip_network("198.18.0.0/15")  # what proxies of a whole machine answer for every public host
EMBEDDING = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))  # their ends are addresses of IPv4
UNKNOWN = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
GONE = (404, 410)


def refuse(url: str, kind: str, hosts: Sequence[str]) -> None:
    """Say what is wrong with an address before anybody is asked.

    Raises:
        UsageError: it is none, not of its kind, not public, or not where its part asks for it.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # such as half a bracket
        parts = urlsplit("")
    if not parts.hostname or any(letter.isspace() for letter in url) or len(url) > LONGEST:
        raise UsageError(
            f"{url[:200]}: not an address.",
            "It begins with https:// and has a host.",
            "For example https://aistudio.baidu.com/projectdetail/1",
        )
    if kind == "pull request" and not PULL_REQUEST.fullmatch(url):
        raise UsageError(
            f"{url}: not a pull request.",
            "One is https://github.com/OWNER/NAME/pull/NUMBER, or its like at Gitee, GitCode or GitLab.",
            "Attach the address of the request itself.",
        )
    host = parts.hostname.rstrip(".")
    if hosts and not any(host == each or host.endswith(f".{each}") for each in hosts):
        raise UsageError(
            f"{url}: not at {' or '.join(hosts)}.",
            "The organisers ask for an address there.",
            "Publish it there first.",
        )
    refuse_private(url)


def refuse_private(url: str) -> None:
    """Hold a host, and every address that its name has here, against what is public.

    Raises:
        UsageError: it is this machine, a private network, or no host at all.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")
    literal = _literal(host)
    named = "." in host and host.rpartition(".")[2] not in NOWHERE
    if (literal and not _is_public(literal)) or not (literal or named):
        raise _private(url, "this machine or a private network" if literal or not named else host)
    if literal or urllib.request.getproxies().get(urlsplit(url).scheme):
        return  # a proxy resolves names itself
    for address in _resolved(url, host):
        if not _is_public(address) and address not in FAKE:
            raise _private(url, f"{host} is {address}")


def _private(url: str, why: str) -> UsageError:
    return UsageError(
        f"{url}: no public address.", f"Nobody else can open it: {why}.", "Attach the address that others open."
    )


def _is_public(address: Any) -> bool:
    """Whether an address is everybody's, and so is the one of IPv4 that it stands for (NAT64, 6to4, Teredo)."""
    if not address.is_global or address.is_multicast:
        return False
    inner = getattr(address, "sixtofour", None) or (getattr(address, "teredo", None) or ("", None))[1]
    if address.version == 6 and any(address in network for network in EMBEDDING):
        inner = ipaddress.ip_address(int(address) & 0xFFFFFFFF)
    return inner is None or _is_public(inner)


def _literal(host: str) -> Any:
    """The host as an IP address, also as inet_aton reads one (0x7f.1, 2130706433); None for a name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    return getattr(address, "ipv4_mapped", None) or address


def _resolved(url: str, host: str) -> list[Any]:
    """The addresses of a host; none where there is no network to ask.

    Raises:
        UsageError: there is a network, and no such host.
    """
    try:
        return [_literal(str(found[4][0])) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (socket.gaierror, UnicodeError) as error:
        if isinstance(error, UnicodeError) or (error.errno in UNKNOWN and any(map(_resolves, KNOWN))):
            raise UsageError(f"{url}: there is no host {host}.", f"{error}.", "Look at the address.") from None
        return []


def _resolves(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None))
    except OSError:
        return False


# Asking


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        refuse_private(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def in_ascii(url: str) -> str:
    """The address as it goes over the wire: a host of other letters in IDNA, a path in percents."""
    parts = urlsplit(url)
    if not parts.netloc.isascii():
        port = f":{parts.port}" if parts.port else ""
        parts = parts._replace(netloc=f"{(parts.hostname or '').encode('idna').decode()}{port}")
    return quote(urlunsplit(parts), safe=string.punctuation)


def answer(url: str, seconds: float = SECONDS) -> str:
    """What the address answers, "answered 200", or "unchecked: " and why it was not reached.

    Raises:
        UsageError: the server says that there is no such page, or sends on to a private one.
    """
    headers = {"User-Agent": "Mozilla/5.0 (compatible; PaddleHomework; asks whether a link answers)"}
    try:
        request = urllib.request.Request(in_ascii(url), headers=headers)
        with urllib.request.build_opener(_Redirects).open(request, timeout=seconds) as page:
            page.read(2**16)
            return f"answered {page.status}"
    except urllib.error.HTTPError as error:
        if error.code in GONE:
            raise UsageError(
                f"{url}: there is no such page.", f"It answered {error.code}.", "Look at the address."
            ) from None
        return f"unchecked: it answered {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:  # no network, or a certificate that nobody signed
        return f"unchecked: {getattr(error, 'reason', error) or type(error).__name__}"
