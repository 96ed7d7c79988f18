"""./inv serve with pictures: what Qwen2-VL and Qwen2.5-VL answer over HTTP is what transformers answers."""

import base64
import io
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import llm
import numpy as np
import openai
import pytest
from PIL import Image
from test_engine import SETTINGS
from test_llm import write_folder
from test_serving import running, wait_until_idle
from test_serving_http import ask as raw
from test_serving_http import talk
from test_serving_isolation import STALL
from test_vision import REFERENCE, cases, tokens, write

ASKED = {"model": "m", "temperature": 0, "max_tokens": cases.STEPS}
MODELS = {  # of each family, with plain operators and with the kernels
    "qwen2-vl": ("qwen2-vl", "none"),
    "qwen2.5-vl": ("qwen2.5-vl", "best"),
}


@pytest.fixture(scope="module", params=list(MODELS))
def case(request):
    return MODELS[request.param]


@pytest.fixture(scope="module")
def server(case, tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("served") / "m", case[0])
    with running(folder, "--weights", "float32", "--cache", "float32", "--isa", case[1], "--blocks", "64") as process:
        yield process
        process.kill()
        assert "Traceback" not in process.stdout.read(), "its log, of all that these tests send"


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.address, api_key="none", max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def text_of(case, tmp_path_factory):
    tokenizer = llm.open_model(str(write(tmp_path_factory.mktemp("read") / "m", case[0]))).tokenizer
    return lambda name: tokenizer.decode(tokens(case[0], name))


def ask(client, messages, **wishes):
    return client.chat.completions.create(messages=messages, extra_body={"ignore_eos": True}, **{**ASKED, **wishes})


def answer(client, name, **wishes):
    return ask(client, cases.for_clients(cases.CONVERSATIONS[name]), **wishes)


def test_every_conversation_is_answered_as_by_transformers(client, case, text_of):
    for name in cases.CONVERSATIONS:
        found = answer(client, name)
        assert found.choices[0].message.content == text_of(name), name
        assert found.usage.prompt_tokens == len(REFERENCE[f"{case[0]}.{name}.prompt"]), name
        assert found.usage.completion_tokens == cases.STEPS


def test_and_all_of_them_at_the_same_time_streamed_or_whole(client, text_of):
    def streamed(name):
        chunks = answer(client, name, stream=True, stream_options={"include_usage": True})
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    asked = [*cases.CONVERSATIONS] * 2
    with ThreadPoolExecutor(8) as pool:
        whole = pool.map(lambda name: answer(client, name).choices[0].message.content, asked)
        pieces = pool.map(streamed, asked)
        expected = [text_of(name) for name in asked]
        assert list(whole) == expected and list(pieces) == expected


def test_a_picture_that_was_read_is_known_and_another_of_its_size_is_not(server):
    before, picture = len("<system\nSee.<\n<user\n<"), 15  # tokens, a byte each
    found = [post(server, shown(saved(Image.new("RGB", (40, 24), colour))))[1] for colour in ("lime", "navy", "lime")]
    cached = [each["usage"]["prompt_tokens_details"]["cached_tokens"] for each in found]
    assert max(cached[:2]) <= before < before + picture - 4 <= cached[2]
    assert found[0]["choices"] == found[2]["choices"] != found[1]["choices"]


def for_responses(conversation):
    """As clients of the newer API send it: its instructions beside it, where they are first."""

    def parts(content, role):
        kind = "output_text" if role == "assistant" else "input_text"
        return content if isinstance(content, str) else [
            {"type": kind, "text": each["text"]} if "text" in each
            else {"type": "input_image", "image_url": each["image_url"]["url"], "detail": "auto"}
            for each in content
        ]  # fmt: skip

    messages = cases.for_clients(conversation)
    own = messages.pop(0)["content"] if messages[0]["role"] == "system" else None
    said = [{"role": each["role"], "content": parts(each["content"], each["role"])} for each in messages]
    return {"input": said, "instructions": own}


def test_the_newer_api_answers_each_conversation_as_chats_are_answered(client, text_of):
    asked = {"model": "m", "temperature": 0, "max_output_tokens": cases.STEPS}
    for name, conversation in cases.CONVERSATIONS.items():
        chat = client.chat.completions.create(messages=cases.for_clients(conversation), **ASKED)
        whole = client.responses.create(**asked, **for_responses(conversation))
        assert whole.output_text == chat.choices[0].message.content, name
        assert text_of(name).startswith(whole.output_text), "or an end of the turn came first"
        assert whole.usage.input_tokens == chat.usage.prompt_tokens
        with client.responses.stream(**asked, **for_responses(conversation)) as stream:
            pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert "".join(pieces) == whole.output_text


def test_several_answers_read_the_same_pictures(client, text_of):
    found = answer(client, "two", n=3)
    assert [choice.message.content for choice in found.choices] == [text_of("two")] * 3


def test_tools_may_be_called_about_a_picture(client):
    tool = {"type": "function", "function": {"name": "look"}}
    assert answer(client, "a picture", tools=[tool]).usage.completion_tokens == cases.STEPS


def test_it_says_that_it_sees(client, server):
    assert client.models.list().data[0].input_modalities == ["text", "image"]
    assert "for pictures, with the tower in float32" in server.words


# ---- what is refused


def data_url(data, kind="png"):
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def saved(image, format="PNG", **more):
    file = io.BytesIO()
    image.save(file, format, **more)
    return data_url(file.getvalue(), format.lower())


SMALL, WHOLE = Image.new("RGB", (24, 40), "red"), cases.png(Image.new("RGB", (40, 40), "red"))
FRAMES = [Image.new("RGB", (24, 24), colour) for colour in ("red", "blue")]
REFUSED = {
    "http": ("http://127.0.0.1:1/a.png", "the scheme 'http', and nothing is fetched"),
    "https": ("https://example.org/a.png", "the scheme 'https', and nothing is fetched"),
    "a file": ("file:///etc/passwd", "the scheme 'file'"),
    "a path": ("/etc/passwd", "it is no URL"),
    "another kind of data": ("data:text/plain;base64,QQ==", "is no picture in base64"),
    "data without base64": ("data:image/png,abc", "is no picture in base64"),
    "broken base64": (data_url(WHOLE)[:-3] + "*=", "its base64 is damaged"),
    "no picture": (data_url(b"Hello"), "it is no whole PNG, JPEG, WEBP"),
    "nothing": ("data:image/png;base64,", "it is no whole PNG"),
    "half a picture": (data_url(WHOLE[: len(WHOLE) // 2]), "it is no whole PNG"),
    "SVG": (data_url(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "svg+xml"), "it is no whole PNG"),
    "a GIF": (saved(SMALL, "GIF"), "it is no whole PNG"),
    "a film": (saved(FRAMES[0], save_all=True, append_images=FRAMES[1:]), "a film is not read here"),
    "16 bits": (saved(Image.fromarray(np.zeros((40, 40), "uint16"))), "its colours are I;16"),
    "too many pixels": (saved(Image.new("1", (8192, 4100))), "8192 x 4100 are more than 33554432 pixels"),
    "a strip": (saved(Image.new("RGB", (1001, 5))), "at most 200 times as long as wide"),
}


def post(server, messages, **wishes):
    return sent(server, "chat/completions", {**ASKED, "messages": messages, **wishes})


def sent(server, path, says):
    body = json.dumps(says).encode()
    try:
        with urllib.request.urlopen(f"{server.address}/{path}", body, timeout=60) as found:
            return found.status, json.load(found)
    except urllib.error.HTTPError as error:
        with error:
            return error.status, json.load(error)


def shown(*urls, text="What?", **more):
    parts = [{"type": "image_url", "image_url": {"url": url, **more}} for url in urls]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_picture_is_refused_where_it_stands(server, client, text_of, kind):
    url, words = REFUSED[kind]
    status, found = post(server, shown(saved(SMALL), url))
    assert status == 400 and words in found["error"]["message"], found
    assert found["error"]["param"] == "messages[0].content[1].image_url.url"
    assert "0x" not in found["error"]["message"], "no address in memory"
    assert answer(client, "a picture").choices[0].message.content == text_of("a picture")


@pytest.mark.parametrize("kind", REFUSED)
def test_and_by_the_newer_api_too_in_its_own_names(server, kind):
    url, words = REFUSED[kind]
    parts = [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": url}]
    for instructions in ({}, {"instructions": "See."}):
        said = {"model": "m", "input": [{"role": "user", "content": parts}], **instructions}
        status, found = sent(server, "responses", said)
        assert status == 400 and words in found["error"]["message"], found
        assert found["error"]["param"] == "input[0].content[1].image_url"
        assert "messages" not in found["error"]["message"]


IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,QQ=="}
WRONG_INPUTS = {
    "a small look": ([{**IMAGE, "detail": "low"}], "input[0].content[0].detail", "'auto' or 'high'"),
    "an original": ([{**IMAGE, "detail": "original"}], "input[0].content[0].detail", "'auto' or 'high'"),
    "a kept file": ([{"type": "input_image", "file_id": "f"}], "input[0].content[0].file_id", "Unknown parameter"),
    "no picture": ([{"type": "input_image"}], "input[0].content[0]", "has the field image_url alone"),
    "both": ([{**IMAGE, "text": "a"}], "input[0].content[0]", "has the field image_url alone"),
    "a text's detail": (
        [{"type": "input_text", "text": "a", "detail": "auto"}], "input[0].content[0]", "detail belongs to"
    ),
    "a chat's": ([{"type": "image_url", "image_url": {"url": "a"}}], "input[0].content[0].type", "input_image'"),
    "a file": ([{"type": "input_file", "file_data": "a"}], "input[0].content[0].file_data", "Unknown parameter"),
    "a mark of a picture": ([{"type": "input_text", "text": "<|image_pad|>"}], "input", "1 places of pictures for 0"),
    "more pictures than may be": ([IMAGE] * 65, "input", "65 pictures are more than 64"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG_INPUTS)
def test_what_the_newer_api_cannot_be_asked_is_refused_by_name(server, kind):
    parts, place, words = WRONG_INPUTS[kind]
    status, found = sent(server, "responses", {"model": "m", "input": [{"role": "user", "content": parts}]})
    assert status == 400 and words in found["error"]["message"], found
    assert found["error"]["param"] == place
    status, found = sent(server, "responses", {"model": "m", "input": [{"role": "system", "content": [IMAGE]}]})
    assert status == 400 and "pictures belong to the role user" in found["error"]["message"]


def part(**fields):
    return [{"role": "user", "content": [fields]}]


WRONG = {
    "a mark of a picture in the text": (shown(text="<|image_pad|>"), "1 places of pictures for 0: <|image_pad|>"),
    "one beside a picture": (shown(saved(SMALL), text="<|image_pad|>"), "2 places of pictures for 1"),
    "a mark of a film": (shown(text="<|video_pad|>"), "<|video_pad|> cannot stand in a text"),
    "a small look": (shown(saved(SMALL), detail="low"), "image_url.detail"),
    "a bare URL": (part(type="image_url", image_url=saved(SMALL)), "messages[0].content[0].image_url"),
    "a film": (part(type="video_url", video_url={"url": "data:video/mp4;base64,AA"}), "video_url"),
    "a sound": (part(type="input_audio", input_audio={"data": "AA", "format": "wav"}), "input_audio"),
    "both": (part(type="text", text="a", image_url={"url": "b"}), "the field text, and no other"),
    "a system's": ([{**shown(saved(SMALL))[0], "role": "system"}], "pictures belong to the role user"),
    "more pictures than may be": (shown(*[saved(SMALL)] * 65), "65 pictures are more than 64"),
    "more pictures than the context": (shown(*[saved(SMALL)] * 40), "maximum context length is 512 tokens"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_asked_is_refused(server, kind):
    messages, words = WRONG[kind]
    status, found = post(server, messages)
    assert status == 400 and words in found["error"]["message"], found


def test_a_text_without_a_template_cannot_have_the_marks_either(client):
    for prompt in ("<|image_pad|>", [260], [261]):
        with pytest.raises(openai.BadRequestError, match="cannot stand in a text"):
            client.completions.create(model="m", prompt=prompt)


def test_a_body_larger_than_photos_is_not_read(server):
    assert post(server, shown("data:image/png;base64," + "A" * 5 * 2**20))[0] == 400  # a photo's size, and none
    assert post(server, shown(saved(SMALL), text="a" * 5 * 2**20))[0] == 413
    head = raw("Content-Length: 17000000", path="/v1/chat/completions", body=b"", length=False)
    assert talk(server, head).startswith(b"HTTP/1.1 413")


def test_nobody_waits_for_a_large_picture(server, client, text_of):
    noise = np.random.default_rng(1).integers(0, 256, (500, 700, 3), "uint8")
    large = saved(Image.fromarray(noise).resize((7000, 4700)), "JPEG", quality=75)
    worst, done = [0.0], threading.Event()

    def watch():
        while not done.is_set():
            began = time.perf_counter()
            urllib.request.urlopen(server.address.removesuffix("/v1") + "/health", timeout=60).close()
            worst[0] = max(worst[0], time.perf_counter() - began)
            time.sleep(0.01)

    with ThreadPoolExecutor(5) as pool:
        watching = pool.submit(watch)
        asked = [pool.submit(post, server, shown(large, text=str(number))) for number in range(3)]
        assert answer(client, "text").choices[0].message.content == text_of("text")
        assert [each.result()[0] for each in asked] == [200] * 3
        done.set()
        watching.result()
    assert worst[0] < STALL
    wait_until_idle(server)


def test_a_client_that_leaves_its_pictures_behind_is_forgotten(server, client, text_of):
    body = json.dumps({**ASKED, "messages": shown(saved(SMALL.resize((5000, 5000))))}).encode()
    host, port = re.fullmatch(r"http://(.+):(\d+)/v1", server.address).groups()
    for _ in range(20):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(raw(path="/v1/chat/completions", body=body))
    patient = client.with_options(max_retries=10)  # until the server has seen that they left, 16 may wait
    assert answer(patient, "two").choices[0].message.content == text_of("two")
    wait_until_idle(server)


def test_a_photo_is_turned_as_its_camera_says(server, client):
    """As transformers' load_image does."""
    picture = cases.pictures()[3]
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees
    plain, camera = (
        post(server, shown(saved(each, **more)))[1]
        for each, more in ((picture.rotate(-90, expand=True), {}), (picture, {"exif": turned.tobytes()}))
    )
    assert plain["choices"] == camera["choices"] and plain["usage"]["prompt_tokens"] == camera["usage"]["prompt_tokens"]


def test_a_model_that_reads_text_alone_says_so(tmp_path):
    write_folder(tmp_path / "m", SETTINGS)
    with running(tmp_path / "m") as server:
        status, found = post(server, shown(saved(SMALL)))
        assert (status, found["error"]["param"]) == (400, "messages[0].content[0].image_url.url")
        assert "the model reads text alone" in found["error"]["message"]
        assert post(server, shown())[0] == 200
