"""Pictures of requests: each is read once while it is kept, and no more of them are held than there is room for."""

import asyncio
import io
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import llm
import numpy as np
import pytest
from PIL import Image
from test_serving_pictures import data_url
from test_vision import cases, write

URLS = [data_url(cases.png(picture)) for picture in cases.pictures()]  # of 15, 15, 6, 18 and 24 tokens


@pytest.fixture(scope="module")
def module(load):
    return load("10-optimised-inference/gallery.py")


@pytest.fixture(scope="module")
def vision(tmp_path_factory):
    return llm.open_model(str(write(tmp_path_factory.mktemp("seeing") / "m", "qwen2.5-vl"))).vision


@pytest.fixture
def gallery(module, vision):
    return module.Gallery(vision, 20, 512, lambda: None)


def read(gallery, *numbers):
    return asyncio.run(gallery.read([(f"picture {number}", URLS[number]) for number in numbers]))


def test_a_picture_is_read_once_and_no_other_has_its_number(gallery, monkeypatch):
    first, second, again = read(gallery, 0, 1, 0)
    assert first is again and first is read(gallery, 0)[0]
    assert 0 > first.key != second.key < 0
    assert first.grid == second.grid == (3, 5) and first.vectors.shape == (15, 64)
    assert abs(first.vectors - second.vectors).max() > 0.1


def test_what_nobody_reads_any_more_is_forgotten_for_room(gallery):
    kept = read(gallery, 0)
    read(gallery, 4)  # 39 tokens are held
    assert len(gallery._alive) == 2
    other = read(gallery, 1)  # for which the fourth had to go
    assert len(gallery._alive) == 2 and kept and other


def test_more_than_there_is_room_for_waits_for_another_time(gallery, module):
    held = read(gallery, 0) + read(gallery, 4)
    with pytest.raises(module.Refusal, match="39 tokens of pictures wait") as refusal:
        read(gallery, 1)
    assert refusal.value.status == 429
    del held
    assert read(gallery, 1)


def test_more_than_the_context_is_refused_before_the_tower_sees_it(gallery, module, monkeypatch):
    monkeypatch.setattr(gallery, "longest", 30)
    read(gallery, 0)
    monkeypatch.setattr(gallery, "_tower", None)  # which could not be called
    with pytest.raises(module.Refusal, match="maximum context length is 30 tokens"):
        read(gallery, 0, 1)


def test_few_requests_wait_with_their_pictures(gallery, module, monkeypatch):
    going = threading.Event()
    monkeypatch.setattr(gallery, "_read", lambda urls: going.wait(10))

    async def ask():
        asked = [asyncio.create_task(gallery.read([])) for _ in range(module.MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(module.Refusal, match="16 requests wait"):
            await gallery.read([])
        going.set()
        await asyncio.gather(*asked)
        await gallery.read([])

    asyncio.run(ask())


def test_many_threads_are_one(gallery):
    """A picture at a time, whoever asks."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: read(gallery, number % 2)[0].key, range(16)))
    assert len(set(found)) == 2


def test_what_a_body_has_beside_its_pictures_is_counted(module):
    body = b'{"a": "data:image/png;base64,AAAA", "b": "data:image\\/png;base64,A\\/A", "c": "text"}'
    assert module.bytes_beside(body) == len(b'{"a": , "b": , "c": "text"}')
    assert module.bytes_beside(b'["data:image"]' * 100) == 64 * 2 + 36 * 14  # no more count than a request may have


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of EXIF that is damaged
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_damaged_picture_is_a_refusal_or_still_a_picture(module, kind):
    numbers, file, turned = np.random.default_rng(5), io.BytesIO(), Image.Exif()
    turned[0x0112] = 3
    picture = Image.fromarray(numbers.integers(0, 256, (60, 80, 3), "uint8"))
    picture.save(file, kind, exif=turned.tobytes())
    refused = 0
    for _ in range(300):
        data = bytearray(file.getvalue())
        at = int(numbers.integers(0, 400))
        data[at : at + int(numbers.integers(0, 9))] = numbers.bytes(int(numbers.integers(0, 9)))
        try:
            module.decoded(bytes(data), "here").convert("RGB")
        except module.Refusal as refusal:
            refused += 1
            assert refusal.status == 400 and "0x" not in refusal.message
    assert 30 < refused < 300


def test_more_pixels_than_pillow_reads_are_said_to_be_too_many(module):
    def chunk(name, data):
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    header = b"\x00\x00\xff\xff\x00\x00\xff\xff\x08\x02\x00\x00\x00"  # 65,535 x 65,535
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")
    with pytest.raises(module.Refusal, match="more than 33554432 pixels: send a smaller"):
        module.decoded(data, "here")
