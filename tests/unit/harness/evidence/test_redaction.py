"""Redaction: no secret of a usual form gets through, however the output is cut; other words are left alone."""

import json
import secrets
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.redaction import LONGEST_LINE, Redactor, after_gap, secret_values

ALPHANUMERIC = string.ascii_letters + string.digits
HOME = "/home/anna"


def of(alphabet: str, least: int, most: int | None = None) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=least, max_size=most or least)


FORMS = {  # longer than the words around it: a secret that is one of them would be found there
    "AWS access key": of(string.ascii_uppercase + string.digits, 16).map(lambda text: (f"AKIA{text}", text)),
    "AWS temporary key": of(string.ascii_uppercase + string.digits, 16).map(lambda text: (f"ASIA{text}", text)),
    "AWS secret, a setting": of(ALPHANUMERIC + "/+", 40).map(lambda text: (f"aws_secret_access_key = {text}", text)),
    "AWS secret, JSON": of(ALPHANUMERIC + "/+", 40).map(lambda text: (json.dumps({"SecretAccessKey": text}), text)),
    "AWS session, exported": of(ALPHANUMERIC + "/+", 60).map(lambda text: (f"export AWS_SESSION_TOKEN={text}", text)),
    "GitHub": of(ALPHANUMERIC, 36).map(lambda text: (f"ghp_{text}", text)),
    "GitHub, fine-grained": of(ALPHANUMERIC + "_", 59).map(lambda text: (f"github_pat_{text}", text)),
    "GitLab": of(ALPHANUMERIC, 20).map(lambda text: (f"glpat-{text}", text)),
    "Hugging Face": of(string.ascii_letters, 34).map(lambda text: (f"hf_{text}", text)),
    "a model service": of(ALPHANUMERIC, 40).map(lambda text: (f"sk-proj-{text}", text)),
    "Baidu": of("0123456789abcdef", 40).map(lambda text: (f"bce-v3/ALTAK-Abcdefgh/{text}", text)),
    "bearer": of(ALPHANUMERIC, 16, 80).map(lambda text: (f"Authorization: Bearer {text}", text)),
    "bearer, JSON": of(ALPHANUMERIC, 16).map(lambda text: (json.dumps({"authorization": f"Bearer {text}"}), text)),
    "basic": of(ALPHANUMERIC, 14, 40).map(lambda text: (f"authorization: basic {text}==", text)),
    "JSON web token": of(ALPHANUMERIC, 20).map(lambda text: (f"eyJhbGciOiJI.eyJ{text}.{text}", text)),
    "user in an address": of(ALPHANUMERIC, 8, 30).map(lambda text: (f"https://anna:{text}@example.org/x", text)),
    "token in an address": of(ALPHANUMERIC, 24).map(lambda text: (f"git+https://{text}@example.org/x", text)),
    "signed address": of("0123456789abcdef", 64).map(lambda text: (f"http://x/y?a=1&X-Amz-Signature={text}&b=2", text)),
    "password, env": of(ALPHANUMERIC, 9, 30).map(lambda text: (f"DB_PASSWORD={text}", text)),
    "password, quoted": of(ALPHANUMERIC, 9).map(lambda text: (f"password: '{text} and more {text}'", text)),
    "password, JSON in JSON": of(ALPHANUMERIC, 9).map(lambda t: (json.dumps(json.dumps({"password": t})), t)),
    "password, option": of(ALPHANUMERIC, 9, 30).map(lambda text: (f"login --password {text}", text)),
    "API key, JSON": of(ALPHANUMERIC, 9, 50).map(lambda text: (json.dumps({"api_key": text}, indent=1), text)),
    "API key, YAML": of(ALPHANUMERIC, 9, 50).map(lambda text: (f"apiKey: {text}", text)),
    "token": of(ALPHANUMERIC, 32).map(lambda text: (f"token = {text}", text)),
    "private key": of(ALPHANUMERIC + "/+", 64).map(
        lambda t: (f"-----BEGIN OPENSSH PRIVATE KEY-----\n{t}\n{t[::-1]}\n-----END OPENSSH PRIVATE KEY-----", t)
    ),
    "private key, JSON": of(ALPHANUMERIC + "/+", 64).map(
        lambda t: (json.dumps(f"-----BEGIN PRIVATE KEY-----\n{t}\n-----END PRIVATE KEY-----\n"), t)
    ),
}
around = st.text(" .,\n\r\té中", max_size=60)  # nothing that a secret is made of


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=20)
@given(data=st.data(), before=around, after=around, sizes=st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_no_secret_of_a_usual_form_gets_through_in_any_chunks(form, data, before, after, sizes):
    whole, secret = data.draw(FORMS[form])
    output = f"{before}\n{whole}\n{after}\n".encode()
    written = in_chunks(Redactor(), output, sizes)
    assert secret.encode() not in written and b"[redacted]" in written
    assert written == in_chunks(Redactor(), output, [len(output)]), "the chunks make no difference"
    assert written.startswith(f"{before}\n".encode()) and written.endswith(f"{after}\n".encode())


def in_chunks(redactor: Redactor, output: bytes, sizes: list[int]) -> bytes:
    written, number = b"", 0
    while output:
        size = sizes[number % len(sizes)]
        written += redactor.feed(output[:size])
        output, number = output[size:], number + 1
    return written + redactor.flush()


@pytest.mark.parametrize(
    "line",
    [
        "step 12 loss 0.123 tokens_per_second: 123456.7 num_tokens=512",
        "pad_token='<pad>' eos_token_id=2 tokenizer=/data/tokenizer.json token: yes",
        "key=value sort_key: name keyboard monkey=1",
        "Inter-token Latency, non-secret values",
        "---------------Inter-token Latency----------------",
        "password: None, secret = null, api_key=$API_KEY, password=*** token=<your token>",
        "ssh://git@github.com/PaddlePaddle/Paddle.git and https://example.org/a@b",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "the secret of success; a basic representation; bearer of news",
        "https://example.org/login?next=/home and /homework/x",
        "-----BEGIN CERTIFICATE-----\nMIIabc\n-----END CERTIFICATE-----",
        "飞桨 3.0 安装成功 ✓",
    ],
)
def test_what_a_program_usually_prints_is_left_alone(line):
    assert Redactor().text(line) == line


def test_values_of_secret_variables_are_known_in_their_usual_writings():
    environment = {"AISTUDIO_TOKEN": 'pa"ss/wörd', "MY_API_KEY": "x" * 30, "SHORT_KEY": "abc", "PATH": "/usr/bin:/bin"}
    environment |= {"SSH_AUTH_SOCK": "/tmp/ssh-agent", "AWS_SHARED_CREDENTIALS_FILE": "/etc/credentials"}
    assert secret_values(environment) == ['pa"ss/wörd', "x" * 30]
    redactor = Redactor.here(environment)
    for writing in ('pa"ss/wörd', "pa%22ss%2Fw%C3%B6rd", json.dumps('pa"ss/wörd')[1:-1]):
        assert redactor.text(f"it is {writing}!") == "it is [redacted]!"
    assert redactor.text("/usr/bin:/bin /tmp/ssh-agent abc") == "/usr/bin:/bin /tmp/ssh-agent abc"


def test_homes_are_not_told():
    redactor = Redactor(home=HOME)
    assert redactor.text(f"{HOME}/x {HOME} {HOME}bel /data{HOME}") == "~/x ~ /home/[user] /data/home/[user]"
    assert redactor.text('"/Users/bert/x", /home/carla: C:\\Users\\dora\\x c:\\\\users\\\\dora') == (
        '"/Users/[user]/x", /home/[user]: C:\\Users\\[user]\\x c:\\\\users\\\\[user]'
    )


@given(st.text(string.ascii_letters + " =:\"'/\\\n-_@[]{}?&.中", max_size=200))
def test_redacting_twice_changes_nothing_more(text):
    redactor = Redactor(["hush-hush"], HOME)
    once = redactor.text(f"password=x {text} hush-hush {HOME}")
    assert redactor.text(once) == once


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(json_values)
def test_a_tree_keeps_its_shape_and_is_redacted_once(tree):
    redactor = Redactor(["hush-hush"], HOME)
    clean = redactor.tree({"values": tree, "password": "x", "note": "so hush-hush", "deep": [{"api_key": "y"}]})
    assert clean["password"] == clean["deep"][0]["api_key"] == "[redacted]" and clean["note"] == "so [redacted]"
    assert redactor.tree(clean) == clean


@pytest.mark.parametrize("gap", [0, 1, 30, 5000])
def test_a_secret_in_an_endless_line_does_not_get_through(gap):
    secret = f"ghp_{secrets.token_hex(18)}"
    for place in (0, LONGEST_LINE // 2 - gap, LONGEST_LINE - gap, LONGEST_LINE * 2 - gap):
        output = b"x" * place + b" " + secret.encode() + b" " + b"y" * LONGEST_LINE * 2
        written = in_chunks(Redactor(), output, [4096])
        assert secret.encode() not in written and written.replace(b"[redacted]", secret.encode()) == output


def test_an_endless_line_is_not_kept_in_memory_for_ever():
    redactor = Redactor()
    got = sum(len(redactor.feed(b"x" * 2**16)) for _ in range(64))
    assert got >= 62 * 2**16


def test_a_key_that_never_ends_takes_only_its_own_lines():
    text = "-----BEGIN PRIVATE KEY-----\nMIIabcdef\nloss is 0.1, all is well\n"
    assert Redactor().text(text) == "[redacted]\nloss is 0.1, all is well\n"


def test_behind_the_end_of_a_stream_another_begins():
    redactor = Redactor()
    assert redactor.feed(b"-----BEGIN PRIVATE KEY-----\nMIIabcdef") == b"[redacted]\n"
    assert redactor.text("well") == "well", "a text beside it is no line of its key"
    assert redactor.flush() == b""
    assert redactor.feed(b"well\n") == b"well\n", "which is no line of that key"


def test_the_end_behind_a_gap_has_no_half_of_a_line_or_key():
    assert after_gap(b"half of a secret\nwhole\n") == b"whole\n"
    assert after_gap(b"\nwhole\n") == b"whole\n", "the gap ended with a line"
    assert after_gap(b"Ab/+\nCd\n-----END PRIVATE KEY-----\nwhole\n") == b"whole\n"
    key = b"-----BEGIN PRIVATE KEY-----\nAb\n-----END PRIVATE KEY-----\n"
    assert after_gap(b"x\n" + key) == key
    assert len(after_gap(bytes(10**6))) >= 10**6 - LONGEST_LINE


@pytest.mark.parametrize(
    "text", ["password", "secret key token ", "x://", "https://aaaaaaaa:", "bearer  ", "eyJaaaaaaaa.eyJ"]
)
def test_no_output_makes_it_slow(text):
    """Otherwise an output can be made on which a pattern takes hours. A mebibyte takes a second or two."""
    output = (text * (2**18 // len(text))).encode()
    start = time.process_time()
    in_chunks(Redactor(), output, [2**16])
    assert time.process_time() - start < 5
