"""./inv serve: the real server process with a tiny random model, asked by the official client of OpenAI's API."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import llm
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as some
from test_engine import SETTINGS
from test_llm import write_folder

KEY = "a-key-of-the-tests"
GREEDY = {"model": "tiny", "temperature": 0}
SERVER = Path(__file__).resolve().parents[3] / "projects" / "10-optimised-inference" / "server.py"


@contextlib.contextmanager
def running(folder, *words, **environment):
    command = [sys.executable, str(SERVER), "--model", str(folder), "--port", "0", "--isa", "none", *words]
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("ready: "):
                break
        assert lines and lines[-1].startswith("ready: "), "".join(lines)
        process.address, process.words = lines[-1].split()[1], "".join(lines)
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "tiny"
    write_folder(folder, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    words = ("--blocks", "40", "--batch", "4", "--queue", "12", "--weights", "float32")
    with running(folder, *words, PADDLEHOMEWORK_API_KEY=KEY) as process:
        yield process


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.address, api_key=KEY, max_retries=0, timeout=60)


def health(server):
    with urllib.request.urlopen(server.address.removesuffix("/v1") + "/health", timeout=30) as answer:
        return json.load(answer)


def wait_until_idle(server):
    for _ in range(100):
        state = health(server)
        if state["open"] == 0 and state["free_blocks"] == state["blocks"]:
            return
        time.sleep(0.05)
    raise AssertionError(f"requests or blocks were not freed: {state}")


def complete(client, prompt="one two", limit=8, **wishes):
    return client.completions.create(prompt=prompt, max_tokens=limit, **{**GREEDY, **wishes})


def test_it_says_when_it_is_ready_and_how_long_the_first_token_took(server):
    assert "first token: " in server.words and "a context of 512 tokens" in server.words
    assert health(server)["status"] == "ok"


def test_its_model_is_listed(client):
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").object == "model"


def test_a_chat_is_answered_whole_and_streamed_alike(client):
    asked = {**GREEDY, "messages": [{"role": "user", "content": "Hello"}], "max_completion_tokens": 12}
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].message.role == "assistant" and whole.choices[0].message.content
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (5, 12)
    assert whole.choices[0].finish_reason == "length"
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks[:-1]) == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage
    options = {"include_usage": True, "continuous_usage_stats": True}  # as guidellm asks
    counts = [
        c.usage.completion_tokens for c in client.chat.completions.create(**asked, stream=True, stream_options=options)
    ]
    assert counts[0] == 0 and counts == sorted(counts) and counts[-1] == whole.usage.completion_tokens


def test_a_completion_is_the_models_own_text(client, load, folder):
    import llm
    from llm.decoder import Llama

    model = llm.open_model(str(folder))
    network = Llama(model.config, model.weights)
    prompt = model.tokenizer.encode("one two")
    generate = load("09-inference/generation.py").generate
    expected = generate(network, prompt, 8, llm.Sampler(), model.tokenizer.stops).tokens
    answer = complete(client)
    assert answer.choices[0].text == model.tokenizer.decode(expected)
    assert complete(client, prompt=prompt).choices[0].text == answer.choices[0].text
    assert "".join(chunk.choices[0].text for chunk in complete(client, stream=True)) == answer.choices[0].text


def test_tokens_are_counted_and_read_back(server, load, folder):
    def post(path, status=200, **body):
        head = {"Authorization": f"Bearer {KEY}"}
        found = httpx.post(server.address.removesuffix("/v1") + path, json=body, headers=head, timeout=60)
        assert found.status_code == status
        return found.json()

    tokenizer = llm.open_model(str(folder)).tokenizer
    found = post("/tokenize", prompt="one two", return_token_strs=True)
    assert found["tokens"] == tokenizer.encode_raw("one two") and found["count"] == len(found["tokens"])
    assert "".join(found["token_strs"]).split() == post("/detokenize", tokens=found["tokens"])["prompt"].split()
    assert post("/tokenize", prompt="one two", add_special_tokens=False)["tokens"] == tokenizer.encode("one two")
    assert post("/tokenize", prompt="")["tokens"] == tokenizer.begins
    assert "none of the model's" in post("/detokenize", 400, tokens=[10**6])["error"]["message"]
    assert post("/tokenize", 400, prompt="a", content="a")["error"]["code"] == "unknown_parameter"
    assert "maximum context length" in post("/tokenize", 400, prompt="a" * 10**6)["error"]["message"]


def test_many_at_once_are_answered_as_each_alone(client, server):
    prompts = [f"question {number} " * (1 + number % 5) for number in range(16)]
    alone = [complete(client, prompt, 20).choices[0].text for prompt in prompts]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda prompt: complete(client, prompt, 20).choices[0].text, prompts))
    assert together == alone
    wait_until_idle(server)


def test_a_seed_gives_the_same_answer_and_another_one_another(client):
    def drawn(seed, **wishes):
        return complete(client, limit=20, temperature=1.5, seed=seed, **wishes).choices[0].text

    assert drawn(1) == drawn(1) != drawn(2)
    assert drawn(1, extra_body={"top_k": 1}) == drawn(2, top_p=1e-9) == complete(client, limit=20).choices[0].text


def test_a_stop_string_ends_the_answer_and_is_not_in_it(client, server):
    text = complete(client, limit=30).choices[0].text
    stop = text[4:6]
    answer = complete(client, limit=30, stop=["never there", stop])
    assert answer.choices[0].text == text[: text.index(stop)]
    assert answer.choices[0].finish_reason == "stop" and answer.usage.completion_tokens < 30
    wait_until_idle(server)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_blocks(client, server, stream):
    body = json.dumps({**GREEDY, "prompt": "one", "max_tokens": 500, "stream": stream}).encode()
    host, port = server.address.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}"
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        for _ in range(200):
            if (state := health(server))["running"]:
                break
            time.sleep(0.01)
        assert state["running"] == 1 and state["free_blocks"] < state["blocks"]
    began = time.perf_counter()
    wait_until_idle(server)
    assert time.perf_counter() - began < 2, "it went on to the end"


WRONG = [
    ({"extra_body": {"grammer": "x"}}, 400, "unknown_parameter", "Unknown parameter: 'grammer'"),
    ({"suffix": "x"}, 400, "unknown_parameter", "Unknown parameter: 'suffix'"),
    ({"temperature": 3}, 400, "invalid_value", "Invalid 'temperature': .* less than or equal to 2"),
    ({"temperature": "hot"}, 400, "invalid_value", "Invalid 'temperature': .* valid number"),
    ({"max_tokens": True}, 400, "invalid_value", "Invalid 'max_tokens': .* valid integer"),
    ({"logit_bias": {"a": 1}}, 400, "invalid_value", "Invalid 'logit_bias.a': String"),
    ({"stream_options": {"include": 1}}, 400, "unknown_parameter", "'stream_options.include'"),
    ({"model": "gpt-4o"}, 404, "model_not_found", "`gpt-4o` does not exist; there is `tiny`"),
    ({"prompt": "x" * 510}, 400, "context_length_exceeded", "This model's maximum context length is 512 tokens"),
    ({"prompt": "x" * 100_000}, 400, "context_length_exceeded", "maximum context length is 512 tokens.*at least"),
    ({"max_tokens": 600}, 400, "context_length_exceeded", "reduce the length"),
    ({"prompt": [300]}, 400, None, "none of the model's 256"),
    ({"prompt": ["a"] * 17}, 400, None, "17 answers are more than 16"),
    ({"prompt": []}, 400, "invalid_value", "it is empty"),
    ({"stop": ["a"] * 17}, 400, "invalid_value", "at most 16"),
    ({"stop": "a" * 150_000}, 400, "invalid_value", "Invalid 'stop'"),
    ({"logit_bias": {"999": 1}}, 400, None, "none of the model's 256"),
    ({"max_tokens": 0}, 400, None, "unless echo"),
    ({"extra_body": {"structured_outputs": {"regex": "("}}}, 400, "invalid_value", "structured_outputs.regex"),
    ({"extra_body": {"ignore_eos": True, "structured_outputs": {"regex": "a"}}}, 400, None, "exclude"),
]


@pytest.mark.parametrize(("wishes", "status", "code", "words"), WRONG)
def test_what_cannot_be_answered_is_refused_in_openais_shape(client, wishes, status, code, words):
    with pytest.raises(openai.APIStatusError, match=words) as refusal:
        client.completions.create(**{**GREEDY, "prompt": "one", "max_tokens": 8, **wishes})
    assert (refusal.value.status_code, refusal.value.code) == (status, code)


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"chat_template_kwargs": {"enable_thinking": False}}, "Unknown parameter: 'chat_template_kwargs.enable_thin"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "b": 1}]}]}, r"content\[0\]\.b'"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens and max_completion_tokens differ"),
    ],
)
def test_what_a_chat_asks_in_vain_is_refused_by_its_name(client, wishes, words):
    asked = {"messages": [{"role": "user", "content": "one"}], **wishes}
    with pytest.raises(openai.BadRequestError, match=words):
        client.chat.completions.create(**GREEDY, messages=asked.pop("messages"), extra_body=asked)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b'{"model": 3}', b"\xff", b"[" * 100_000, b'{"messages": [' + b"{}," * 1_000_000 + b"{}]}"],
)
def test_malformed_json_is_refused(server, body):
    headers = {"Authorization": f"Bearer {KEY}"}
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(urllib.request.Request(f"{server.address}/chat/completions", body, headers))
    with refusal.value as answer:
        assert answer.status == 400 and json.load(answer)["error"]["type"] == "invalid_request_error"


def test_a_wrong_key_and_a_wrong_path_are_refused(client, server):
    with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
        complete(openai.OpenAI(base_url=server.address, api_key="wrong", max_retries=0))
    with pytest.raises(openai.NotFoundError):
        client.images.generate(model="tiny", prompt="one")


def test_a_full_queue_is_429_and_passes(server, client):
    def asked(number):
        try:
            return len(complete(client, f"number {number}", 60).choices[0].text)
        except openai.RateLimitError as error:
            return error.code

    with ThreadPoolExecutor(40) as pool:
        found = list(pool.map(asked, range(40)))
    assert found.count("queue_full") > 0, "4 + 12 are answered or wait, 40 came"
    assert len(found) - found.count("queue_full") >= 16
    wait_until_idle(server)


def test_a_thousand_connections_are_survived(server, client):
    host, port = server.address.removeprefix("http://").removesuffix("/v1").split(":")

    async def ask(number):
        reader, writer = await asyncio.open_connection(host, int(port))
        opened.append(number)
        while len(opened) < 1000:  # all stand open before the first asks
            await asyncio.sleep(0.01)
        body = json.dumps({**GREEDY, "prompt": f"{number}", "max_tokens": 2}).encode()
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}"
        writer.write(head.encode() + b"\r\n\r\n" + body)
        status = int((await reader.readline()).split()[1])
        writer.close()
        return status

    async def all_of_them():
        return await asyncio.wait_for(asyncio.gather(*map(ask, range(1000))), 60)

    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip(f"only {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    opened = []
    found = asyncio.run(all_of_them())
    assert set(found) <= {200, 429} and found.count(200) >= 16
    wait_until_idle(server)
    assert complete(client).choices[0].text


def test_a_second_signal_stops_at_once(folder):
    with running(folder) as process:
        client = openai.OpenAI(base_url=process.address, api_key="none", max_retries=0)
        chunks = iter(complete(client, limit=500, stream=True))
        next(chunks)
        process.send_signal(signal.SIGINT)
        assert "stopping" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130


def test_another_host_than_loopback_wants_a_key(load, monkeypatch, capsys):
    module = load("10-optimised-inference/server.py")
    monkeypatch.delenv(module.KEY, raising=False)
    with pytest.raises(SystemExit) as ending:
        module.arguments(["--host", "0.0.0.0"])
    assert ending.value.code == 2 and module.KEY in capsys.readouterr().err
    monkeypatch.setenv(module.KEY, "secret")
    assert module.arguments(["--host", "0.0.0.0"]).port == 8000


def test_a_port_in_use_is_said(load, server):
    port = int(server.address.removesuffix("/v1").rpartition(":")[2])
    with pytest.raises(ValueError, match="choose another --port"):
        load("10-optimised-inference/server.py").listen("127.0.0.1", port)


@given(text=some.text("ab<|", max_size=30), stops=some.lists(some.text("ab<|", min_size=1, max_size=3), max_size=4))
def test_text_ends_before_the_first_stop_however_it_comes(load, text, stops):
    ending = load("10-optimised-inference/stopping.py").StopStrings(stops)
    found = ""
    for character in text:
        found += ending.add(character)
        if ending.reached is not None:
            break
    found += ending.finish()
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    if not ends:
        assert found == text and ending.reached is None
    else:  # the stop that is complete first ends it; of several at that place the longest
        end = min(ends)
        longest = max(len(stop) for stop in stops if text[:end].endswith(stop))
        assert found == text[: end - longest] and len(ending.reached) == longest


def test_a_signal_lets_the_running_answer_end(server, client):
    """The last that is asked of the server which the other tests share."""
    chunks = iter(complete(client, limit=100, stream=True))
    next(chunks)
    server.send_signal(signal.SIGTERM)
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] in ("length", "stop")
    assert server.wait(20) == 0
    assert server.stdout.read().splitlines()[-1] == "stopped"
