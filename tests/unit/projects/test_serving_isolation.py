"""./inv serve: what one request sends or runs into is its own, and nobody else waits for it."""

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import llm
import numpy as np
import pytest
import uvicorn
from test_engine import SETTINGS, Echo
from test_llm import write_folder
from test_serving import running

LARGE = {
    "a text of 4 MB": {"prompt": "word " * 800_000},
    "4 MB without spaces": {"prompt": "a" * 4_000_000},
    "a million tokens": {"prompt": [1] * 1_000_000},
    "stops of 150 kB": {"stop": ["a" * 150_000] * 4},
    "a million wrong prompts": {"prompt": [{}] * 1_000_000},
    "the coldest draw": {"temperature": 1e-308, "seed": 1},
    "a hostile pattern": {"structured_outputs": {"regex": "(a|b)*c{1,1000}" * 20}},
    "a deep schema": {"structured_outputs": {"json": json.loads('{"items":' * 60 + "{}" + "}" * 60)}},
}
STALL = 1.5  # seconds, where processors are shared with other tests; 4 MB stopped every stream for 11 to 17


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "tiny"
    write_folder(folder, SETTINGS)
    with running(folder, "--weights", "float32", "--batch", "4") as process:
        yield process
        process.kill()
        assert "Traceback" not in process.stdout.read(), "its log, of all that these tests send"


def answer(server, **wishes):
    """The status and the JSON of a completion."""
    body = json.dumps({"prompt": "one", "max_tokens": 4, "temperature": 0, **wishes}).encode()
    try:
        with urllib.request.urlopen(f"{server.address}/completions", body, timeout=60) as found:
            return found.status, json.load(found)
    except urllib.error.HTTPError as error:
        with error:
            return error.status, json.load(error)


@pytest.mark.parametrize("kind", LARGE)
def test_nobody_waits_for_what_another_sends(server, kind):
    before = answer(server)
    worst, done = [0.0], threading.Event()

    def watch():
        while not done.is_set():
            began = time.perf_counter()
            urllib.request.urlopen(server.address.removesuffix("/v1") + "/health", timeout=60).close()
            worst[0] = max(worst[0], time.perf_counter() - began)
            time.sleep(0.01)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        status, found = answer(server, **LARGE[kind])
    finally:
        done.set()
        watching.join()
    assert worst[0] < STALL
    assert status in (200, 400), found
    assert answer(server)[1]["choices"] == before[1]["choices"]


def test_logits_that_are_no_numbers_end_one_answer(load):
    class Broken(Echo):
        def step(self, tokens, sequences, positions, tables, wanted):
            logits = super().step(tokens, sequences, positions, tables, wanted)
            if len(tokens) == 6:  # the step that reads the three prompts
                logits[np.asarray(sequences)[wanted] == 1] = np.nan
            return logits

    engine = load("10-optimised-inference/engine.py")
    requests = [engine.Request([2, 3 + number], 6) for number in range(3)]
    machine = engine.Engine(Broken(20), frozenset())
    for request in requests:
        machine.add(request)
    machine.run()
    assert [bool(request.error) for request in requests].count(True) == 1 and not requests[0].error
    assert [len(request.answer) for request in requests] == [6, 0, 6]
    assert machine.pool.free == 20


def test_an_error_in_choosing_is_the_requests_own(load, capsys):
    class Wrong(llm.Sampler):
        def choose(self, logits):
            raise ZeroDivisionError("planted")

    engine = load("10-optimised-inference/engine.py")
    requests = [engine.Request([2], 3, Wrong()), engine.Request([3], 3)]
    machine = engine.Engine(Echo(20), frozenset())
    for request in requests:
        machine.add(request)
    machine.run()
    assert requests[0].error == "planted" and len(requests[1].answer) == 3
    assert "planted" in capsys.readouterr().err, "the log has the traceback"


async def hello(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def talks(module, firsts):
    """What each connection of a server with `module`'s protocol answers to these bytes, until it closes."""

    async def talk(port, first):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first)
        found = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return found

    bound = module.listen("127.0.0.1", 0)
    said = {"lifespan": "off", "log_level": "error", "timeout_keep_alive": 1}
    server = uvicorn.Server(uvicorn.Config(hello, http=module.Connection, **said))
    serving = asyncio.create_task(server.serve([bound]))
    found = await asyncio.gather(*(talk(bound.getsockname()[1], first) for first in firsts))
    server.should_exit = True
    await serving
    return found


def test_a_request_whose_headers_do_not_come_is_ended(load, monkeypatch):
    module = load("10-optimised-inference/server.py")
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.2)

    whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    nothing, half, second = asyncio.run(talks(module, (b"", b"GET / HT", whole + b"GET /")))
    assert nothing == half == b"" and second.endswith(b"ok")


def test_a_connection_is_read_in_small_turns(load, monkeypatch):
    module = load("10-optimised-inference/server.py")
    turns, plain = [], module.H11Protocol.data_received

    def counting(self, data):
        turns.append(len(data))
        plain(self, data)

    monkeypatch.setattr(module.H11Protocol, "data_received", counting)
    pieces = b"1\r\n \r\n" * 50_000 + b"0\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    (found,) = asyncio.run(talks(module, (head + pieces,)))
    assert found.endswith(b"ok") and sum(turns) == len(head + pieces)
    assert max(turns) <= module.TURN == 16384


def test_a_body_that_does_not_come_is_refused(load, monkeypatch):
    module = load("10-optimised-inference/service.py")
    monkeypatch.setattr(module, "BODY_SECONDS", 0.1)

    async def slowly():
        yield b"{"
        await asyncio.sleep(60)

    with pytest.raises(module.Refusal) as refusal:
        asyncio.run(module.whole_body(SimpleNamespace(stream=slowly, headers={})))
    assert refusal.value.status == 408


def test_a_piece_that_the_model_knows_nothing_of_is_refused(load, tmp_path):
    write_folder(tmp_path / "m", SETTINGS)
    path = tmp_path / "m" / "tokenizer.json"
    says, asking = json.loads(path.read_text()), load("10-optimised-inference/asking.py")
    beyond = {"id": SETTINGS["vocab_size"], "content": "[PAD]", "special": True, "normalized": False}
    says["added_tokens"].append({**beyond, "single_word": False, "lstrip": False, "rstrip": False})
    path.write_text(json.dumps(says))
    asked = asking.Asking(llm.open_model(str(tmp_path / "m")), 64, 8)
    for read in (lambda: asked.prompt("one [PAD]", "prompt"), lambda: asked.prompt_of_chat("one [PAD]")):
        with pytest.raises(asking.Refusal, match=f"none of the model's {SETTINGS['vocab_size']}"):
            read()
    assert asked.prompt("one", "prompt").tokens


def test_a_tokenizer_that_grammars_cannot_be_made_of_serves_without_them(tmp_path):
    write_folder(tmp_path / "m", SETTINGS)
    path = tmp_path / "m" / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "decoder": None}))
    with running(tmp_path / "m", "--weights", "float32") as process:
        assert "NOTE: This model answers in no format" in process.words
        assert answer(process)[0] == 200
        for wish in ({"structured_outputs": {"regex": "a*"}}, {"logprobs": 1}):
            status, found = answer(process, **wish)
            assert status == 400 and "in no format and with no log probabilities" in found["error"]["message"]
