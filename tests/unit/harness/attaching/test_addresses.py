"""Addresses: what nobody else can open is refused, what was not reached waits, and nothing private is ever asked."""

import http.server
import ipaddress
import socket
import threading

import pytest

from harness.attaching import addresses
from harness.errors import UsageError

PRIVATE = (
    "http://127.0.0.1/",
    "http://2130706433/",
    "http://0x7f.1/x",
    "http://10.0.0.1/",
    "http://192.168.1.2:8080/",
    "http://[::1]/",
    "http://[fe80::1]/",
    "http://169.254.169.254/",
    "http://[::ffff:127.0.0.1]/",
    "http://localhost/",
    "https://localhost.localdomain/",
    "http://printer/",
    "http://a.internal/",
    "https://x.invalid/",
    "https://198.18.0.1/",
    "http://224.0.0.1/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:a00:1::]/",
    "http://[::10.0.0.1]/",
)


def resolving(monkeypatch, **known):
    def ask(host, *_, **__):
        if host.replace(".", "_") in known:
            return [(0, 0, 0, "", (known[host.replace(".", "_")], 0))]
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(addresses.socket, "getaddrinfo", ask)


@pytest.mark.parametrize("url", PRIVATE)
def test_this_machine_and_private_networks_are_refused(url):
    with pytest.raises(UsageError, match="no public address"):
        addresses.refuse(url, "link", [])


def test_a_public_name_of_a_private_address_is_refused_and_a_whole_machines_proxy_is_none(monkeypatch):
    resolving(monkeypatch, inside_example_org="10.1.2.3", proxied_example_org="198.18.0.7")
    with pytest.raises(UsageError, match=r"10\.1\.2\.3"):
        addresses.refuse("https://inside.example.org/", "link", [])
    addresses.refuse("https://proxied.example.org/", "link", [])


def test_a_host_that_is_none_is_refused_only_where_there_is_a_network_to_say_so(monkeypatch):
    resolving(monkeypatch)
    addresses.refuse("https://nowhere.example.org/", "link", [])
    resolving(monkeypatch, github_com="20.205.243.166")
    with pytest.raises(UsageError, match="there is no host"):
        addresses.refuse("https://nowhere.example.org/", "link", [])


def test_a_part_may_name_where_its_address_has_to_be(monkeypatch):
    resolving(monkeypatch)
    addresses.refuse("https://www.aistudio.baidu.com/projectdetail/1", "link", ["aistudio.baidu.com"])
    for url in ("https://example.org/", "https://notaistudio.baidu.com/", "https://aistudio.baidu.com.example.org/"):
        with pytest.raises(UsageError, match=r"not at aistudio\.baidu\.com"):
            addresses.refuse(url, "link", ["aistudio.baidu.com"])


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        code = {"/here": 200, "/%E6%96%87?%E4%B8%80=%2F": 200, "/shut": 403, "/on": 302}.get(self.path, 404)
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "http://169.254.169.254/latest")
        self.end_headers()

    def log_message(self, *words):
        pass


def test_a_host_in_other_letters_is_asked_by_its_name_in_ascii():
    assert addresses.in_ascii("https://飞桨.中国:8443/a%20b/文") == (
        f"https://{'飞桨'.encode('idna').decode()}.xn--fiqs8s:8443/a%20b/%E6%96%87"
    )


def test_what_a_page_answers():
    assert ipaddress.ip_address("127.0.0.1").is_loopback, "the server of this test, which is asked without refuse()"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        assert addresses.answer(f"{place}/here") == "answered 200"
        assert addresses.answer(f"{place}/文?一=%2F#二") == "answered 200"
        assert addresses.answer(f"{place}/shut") == "unchecked: it answered 403"
        with pytest.raises(UsageError, match="no such page"):
            addresses.answer(f"{place}/gone")
        with pytest.raises(UsageError, match="no public address"):
            addresses.answer(f"{place}/on")
        server.shutdown()
    assert addresses.answer("http://127.0.0.1:9/closed").startswith("unchecked: ")
