"""A prompt with pictures: what enters the decoder in their tokens' place, and by which positions all of it turns.

A picture's tokens are all the same one, so a beginning that two prompts share is told by more: in `keys`, by which the
cache knows its blocks (blocks.py), each token of a picture is the picture's own number, which no token has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from decoder import Seen
from llm.places import positions


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as the decoder reads it."""

    key: int  # below 0, of its content
    grid: tuple[int, int]  # tokens down and across
    vectors: np.ndarray  # (down · across, hidden)


class Sight:
    """The pictures of a prompt, which has `image_token` for each of their tokens. Raises ModelError if it has not."""

    def __init__(self, prompt: Sequence[int], image_token: int, pictures: Sequence[Picture]) -> None:
        tokens = np.array([prompt])
        places, after = positions(tokens, np.ones_like(tokens, bool), image_token, [each.grid for each in pictures])
        self._places, self._shift = places[:, 0], int(after[0]) - len(prompt)
        counts = [len(picture.vectors) for picture in pictures]
        rows = np.flatnonzero(tokens[0] == image_token)
        self._pictures = list(zip(rows[np.cumsum([0, *counts[:-1]])].tolist(), pictures, strict=True))
        self.keys = list(prompt)
        for first, picture in self._pictures:
            self.keys[first : first + len(picture.vectors)] = [picture.key] * len(picture.vectors)

    def places(self, start: int, end: int) -> np.ndarray:
        """Time, row and column (3, end - start) of these positions, of the prompt and of the answer behind it."""
        behind = np.arange(max(start, len(self.keys)), end) + self._shift
        return np.concatenate([self._places[:, start:end], np.broadcast_to(behind, (3, len(behind)))], 1)

    def vectors(self, start: int, end: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """Which of these positions are a picture's, counted from `start`, and their vectors in pieces."""
        rows, found = [np.zeros(0, int)], [self._pictures[0][1].vectors[:0]]
        for first, picture in self._pictures:
            low, high = max(start, first), min(end, first + len(picture.vectors))
            if low < high:
                rows.append(np.arange(low, high) - start)
                found.append(picture.vectors[low - first : high - first])
        return np.concatenate(rows), found


def seen_by(spans: Sequence[tuple[Sight | None, int, int]]) -> Seen | None:
    """What a step over these spans of texts, one behind another, is given beside tokens; None without pictures."""
    if not any(sight for sight, _, _ in spans):
        return None
    places, rows, vectors, done = [], [], [], 0
    for sight, start, end in spans:
        if sight is None:
            places.append(np.broadcast_to(np.arange(start, end), (3, end - start)))
        else:
            places.append(sight.places(start, end))
            own, found = sight.vectors(start, end)
            rows.append(own + done)
            vectors += found
        done += end - start
    return Seen(np.concatenate(places, 1), np.concatenate(rows), np.concatenate(vectors))
