"""uv: pip's settings are its own, it runs in the checkout, and what it says is seen only where it fails."""

import sys

import pytest

from harness.checkout import ROOT
from harness.environments import uv

PIP = {
    "index-url": "https://a/", "extra-index-url": "https://b/ https://c/", "cert": "/ca",
    "find-links": "/usr https://w/ /not/there",
    "client-cert": "/me", "trusted-host": "a b", "timeout": "60", "retries": "2", "proxy": "http://p:3128",
    "keyring-provider": "subprocess", "no-index": "true",
}  # fmt: skip


def test_pip_s_settings_become_uv_s():
    assert uv.settings(PIP, {}) == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_DEFAULT_INDEX": "https://a/",
        "UV_INDEX": "https://b/ https://c/",
        "UV_FIND_LINKS": "/usr,https://w/",
        "SSL_CERT_FILE": "/ca",
        "SSL_CLIENT_CERT": "/me",
        "UV_INSECURE_HOST": "a b",
        "UV_HTTP_TIMEOUT": "60",
        "UV_HTTP_RETRIES": "2",
        "ALL_PROXY": "http://p:3128",
        "UV_KEYRING_PROVIDER": "subprocess",
        "UV_NO_INDEX": "1",
    }
    assert uv.settings({"no-index": "false"}, {}) == {"UV_INDEX_STRATEGY": "unsafe-best-match"}


def test_what_a_person_has_set_for_uv_stands():
    assert "UV_DEFAULT_INDEX" not in uv.settings(PIP, {"UV_DEFAULT_INDEX": "https://mine/"})
    assert "ALL_PROXY" not in uv.settings(PIP, {"all_proxy": "http://mine"})


def test_pip_s_own_list_is_read(monkeypatch, tmp_path):
    lines = [
        "[global]",
        "index-url = https://a/",
        "timeout = 90",
        "extra-index-url =",
        "    https://b/",
        "    https://c/",
    ]
    (tmp_path / "pip.conf").write_text("\n".join(lines))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    found = uv.pip_settings()
    assert found["index-url"] == "https://a/" and found["extra-index-url"] == "https://b/ https://c/"
    assert found["timeout"] == "90"


@pytest.fixture
def without_pip(monkeypatch):
    monkeypatch.setattr(uv, "pip_settings", dict)


def test_a_command_that_ends_well_is_a_line_when_it_starts_and_one_when_it_ends(
    without_pip, capfd, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    here = tmp_path / "where"
    program = f"import os; print('noise'); open({str(here)!r}, 'w').write(os.getcwd())"
    assert uv.run([[sys.executable, "-c", program]], "it") == ""
    said = capfd.readouterr()
    assert said.out == "" and said.err.startswith("Installing it\n✓ Installed it (") and said.err.count("\n") == 2
    assert here.read_text() == str(ROOT), "no settings of the folder that somebody calls from"


def test_of_a_command_that_fails_the_end_is_seen_and_none_follows(without_pip, tmp_path):
    fails = "for n in range(100): print('line', n)\nraise SystemExit(3)"
    later = f"open({str(tmp_path / 'later')!r}, 'w')"
    said = uv.run([[sys.executable, "-c", fails], [sys.executable, "-c", later]], "it")
    assert "line 99" in said and "line 50" not in said and not (tmp_path / "later").exists()
