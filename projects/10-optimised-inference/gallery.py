"""The pictures that requests bring: out of a data URL, decoded, and through the vision tower.

One thread takes one picture at a time, beside the event loop and the engine, so that neither waits for a photo and the
memory has room for one. What came out is kept while a request reads it, and longer while there is room: a conversation
brings its pictures again with every turn. Nothing is fetched from anywhere.
"""

import asyncio
import base64
import binascii
import hashlib
import io
import itertools
import re
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import llm
import numpy as np
from llm.pictures import Picture as Patches
from llm.vision import SCORES, VisionTower
from PIL import Image, ImageOps
from protocol import Refusal, too_long
from sight import Picture

FORMATS = ("PNG", "JPEG", "WEBP")
DATA = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)
SCHEME = re.compile(r"([a-z][a-z0-9.+-]*):", re.IGNORECASE)
MOST_PIXELS = 2**25  # of a picture before it is resized: 33 million, and 8 bytes of each while it is decoded
QUOTED = re.compile(rb'"data:image[^"]*"')
MOST_PICTURES = 64  # of a request
MOST_WAITING = 16  # requests whose pictures are not read yet: each holds its body


class Gallery:
    """Reads pictures for a decoder whose cache has `room` for so many tokens; `begin` is called first in its thread.

    As many tokens of pictures again may be held for requests that wait.
    """

    def __init__(self, vision: llm.Vision, room: int, longest: int, begin: Callable[[], object]) -> None:
        self.vision, self.longest, self._most, self._waiting = vision, longest, 2 * room, 0
        self._tower = VisionTower(vision.config, vision.weights)
        self._thread = ThreadPoolExecutor(1, "pictures", initializer=begin)
        self._alive: weakref.WeakValueDictionary[int, Picture] = weakref.WeakValueDictionary()
        self._recent: OrderedDict[int, Picture] = OrderedDict()

    async def read(self, urls: Sequence[tuple[str, str]]) -> list[Picture]:
        """The pictures of these places in a request and their URLs. Raises Refusal."""
        if len(urls) > MOST_PICTURES:
            raise Refusal(400, f"Invalid 'messages': {len(urls)} pictures are more than {MOST_PICTURES}.", "messages")
        if self._waiting >= MOST_WAITING:
            raise Refusal(429, f"The pictures of {MOST_WAITING} requests wait: try again later", code="queue_full")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, urls)
        finally:
            self._waiting -= 1

    def _read(self, urls: Sequence[tuple[str, str]]) -> list[Picture]:
        found: list[Picture] = []
        for place, url in urls:
            found.append(self._picture(content(url, place), place, sum(len(each.vectors) for each in found)))
        return found

    def _picture(self, data: bytes, place: str, before: int) -> Picture:
        key = -1 - int.from_bytes(hashlib.sha256(data).digest(), "big")
        picture = self._alive.get(key)
        if picture is None:
            picture = self._seen(key, data, place, before)
            self._alive[key] = picture
        self._fits(before + len(picture.vectors))
        self._recent[key] = picture
        self._recent.move_to_end(key)
        return picture

    def _seen(self, key: int, data: bytes, place: str, before: int) -> Picture:
        image = decoded(data, place)
        merge = self.vision.config.merge
        try:
            down, across = self.vision.preparation.grid(image.height, image.width)
            count = down * across // merge**2
            self._fits(before + count)
            self._make_room(count)
            patches: Patches = self.vision.preparation.patches(image)
        except llm.ModelError as error:
            raise Refusal(400, f"Invalid '{place}': {error}", place, "invalid_value") from None
        vectors = self._tower(patches).numpy()
        if not np.isfinite(vectors).all():
            raise Refusal(500, "the model's numbers for this picture are not finite", place)
        return Picture(key, (down // merge, across // merge), vectors)

    def _fits(self, count: int) -> None:
        if count >= self.longest:
            raise too_long(self.longest, f"at least {count}", 1, "messages")

    def _make_room(self, count: int) -> None:
        """Forget what nobody reads, the oldest first, until so many tokens more may be held. Raises Refusal."""
        while (held := sum(len(picture.vectors) for picture in self._alive.values())) + count > self._most:
            if not self._recent:
                raise Refusal(429, f"{held} tokens of pictures wait to be answered: try again later", code="queue_full")
            self._recent.popitem(last=False)


def bytes_beside(body: bytes) -> int:
    """How much of a request's body is none of its pictures."""
    return len(body) - sum(len(found[0]) for found in itertools.islice(QUOTED.finditer(body), MOST_PICTURES))


def content(url: str, place: str) -> bytes:
    """What a data URL holds. Raises Refusal for any other URL."""
    head, scheme = DATA.match(url), SCHEME.match(url)
    if head is None:
        kind = "is no URL" if scheme is None else f"has the scheme {scheme[1][:20]!r}, and nothing is fetched here"
        if scheme and scheme[1].lower() == "data":
            kind = "is no picture in base64"
        raise Refusal(400, f"Invalid '{place}': it {kind}. Send data:image/png;base64,…", place, "invalid_value")
    try:
        return base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(
            400, f"Invalid '{place}': its base64 is damaged: send it again.", place, "invalid_value"
        ) from None


def decoded(data: bytes, place: str) -> Image.Image:
    """The picture, turned as it is to be seen. Raises Refusal."""

    def refusal(why: str) -> Refusal:
        return Refusal(400, f"Invalid '{place}': {why}.", place, "invalid_value")

    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MOST_PIXELS:
            raise refusal(f"{image.width} x {image.height} are more than {MOST_PIXELS} pixels: send a smaller picture")
        if image.format != "JPEG" and getattr(image, "n_frames", 1) > 1:
            raise refusal("it moves, and a film is not read here: send one picture of it")
        if image.mode.startswith(("I", "F")):
            raise refusal(f"its colours are {image.mode}: send 8 bits a colour")
        ImageOps.exif_transpose(image, in_place=True)
        return image
    except Refusal:
        raise
    except Image.DecompressionBombError:  # Pillow's own limit, of more pixels
        raise refusal(f"it has more than {MOST_PIXELS} pixels: send a smaller picture") from None
    except Exception as error:  # of many kinds, by what is wrong in which format
        reason = str(error)[:200] if isinstance(error, (OSError, ValueError, SyntaxError)) else type(error).__name__
        raise refusal(f"it is no whole {', '.join(FORMATS)} ({without_address(reason)})") from None


def without_address(reason: str) -> str:
    """Pillow names the object in memory that it could not read."""
    return re.sub(r"\s*<[^>]*>", "", reason)


def bytes_of(vision: llm.Vision, room: int) -> float:
    """What the tower, its largest picture and the tokens of pictures take, where the cache has `room` for tokens."""
    c, p = vision.config, vision.preparation
    weights = 4 * sum(int(np.prod(shape)) for shape in vision.weights.shapes.values())
    patches = min(p.most // p.patch**2, room * p.merge**2)
    working = 4 * patches * (2 * 3 * p.times * p.patch**2 + 12 * c.width + 3 * c.inner) + 2 * 4 * SCORES
    return weights + working + 8 * MOST_PIXELS + 4 * 2 * room * c.hidden
