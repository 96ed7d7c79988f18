"""Positions of three axes, by which the tokens of pictures stand in rows and columns (https://arxiv.org/abs/2409.12191)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import ModelError

Array = np.ndarray[Any, np.dtype[Any]]


def positions(tokens: Array, real: Array, image_token: int, grids: Sequence[tuple[int, int]]) -> tuple[Array, Array]:
    """Time, row and column of each token (3, B, T), and the position after the last (B,).

    Text goes on by 1 on all three axes. An image's tokens stand at one time, in `grids` rows and columns; the text
    after it begins behind the longer of the two. Raises ModelError for an image whose tokens are not all there.
    """
    found = np.zeros((3, *tokens.shape), int)
    after, images = [], iter(grids)
    for b, row in enumerate(tokens):
        place, left = 0, list(np.flatnonzero(real[b]))
        while left:
            if row[left[0]] == image_token:
                down, across = next(images)
                here, left = left[: down * across], left[down * across :]
                if len(here) != down * across or (row[here] != image_token).any():
                    raise ModelError(
                        f"an image of {down} x {across} tokens has fewer in its sequence: give it them all"
                    )
                found[1, b, here], found[2, b, here] = np.divmod(np.arange(down * across), across)
                found[:, b, here] += place
                place += max(down, across)
            else:
                found[:, b, left.pop(0)] = place
                place += 1
        after.append(place)
    return found, np.array(after)


def by_pair(places: Array, sections: Sequence[int]) -> Array:
    """The position (..., D/2) that each pair of a head turns by, of time, row and column (3, ...).

    The first so many pairs turn by time, then by row, then by column: `sections`.
    """
    found: Array = np.moveaxis(places[np.repeat([0, 1, 2], sections)], 0, -1)
    return found
