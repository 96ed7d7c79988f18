"""From a picture to the patches that a vision tower reads, as transformers' Qwen2VLImageProcessorPil cuts them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from .errors import ModelError
from .unknown import refuse_settings
from .values import integer, numbers_of

Array = np.ndarray[Any, np.dtype[Any]]
Picture = tuple[Array, tuple[int, int]]  # patches (P, 3 · times · p · p), and how many down and across
FILE = "preprocessor_config.json"
READ = "feature_extractor_type processor_class min_pixels max_pixels size patch_size temporal_patch_size merge_size"
SAYS: Mapping[str, tuple[Any, ...]] = {
    "image_processor_type": (
        "Qwen2VLImageProcessor",
        "Qwen2VLImageProcessorFast",
        "Qwen2VLImageProcessorPil",
        "Qwen2_5_VLImageProcessor",
    ),
    "do_convert_rgb": (True,),
    "do_normalize": (True,),
    "do_rescale": (True,),
    "do_resize": (True,),
    "rescale_factor": (1 / 255, 0.00392156862745098),
    "resample": (3,),  # PIL's bicubic
    "data_format": ("channels_first",),
}
DEFAULTS = {  # what transformers takes where a file has none
    "patch_size": 14,
    "merge_size": 2,
    "temporal_patch_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
NEEDED = ("do_normalize", "do_rescale", "do_resize", "rescale_factor", "resample")
NAMES = {"shortest_edge": "min_pixels", "longest_edge": "max_pixels"}  # in older files
PIXELS = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280}


def smart_resize(height: int, width: int, factor: int, fewest: int, most: int) -> tuple[int, int]:
    """The nearest height and width in multiples of `factor`, with `fewest` to `most` pixels in all.

    Raises ModelError for a strip more than 200 times as long as wide.
    """
    if max(height, width) > 200 * min(height, width):
        raise ModelError(f"the image is {width} x {height}: at most 200 times as long as wide is possible; crop it")
    rows, columns = round(height / factor) * factor, round(width / factor) * factor
    if rows * columns > most:
        shrink = math.sqrt(height * width / most)
        rows, columns = (max(factor, math.floor(side / shrink / factor) * factor) for side in (height, width))
    elif rows * columns < fewest:
        grow = math.sqrt(fewest / (height * width))
        rows, columns = (math.ceil(side * grow / factor) * factor for side in (height, width))
    return rows, columns


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How the pictures of a model are resized, scaled and cut."""

    patch: int  # pixels
    merge: int  # patches down and across that become one token
    times: int  # moments of a film in a patch
    fewest: int  # pixels of a picture
    most: int
    mean: tuple[float, ...]  # of red, green and blue, which are 0 to 1
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Preparation":
        """Of the dictionary of a preprocessor_config.json. Raises ModelError for what is not computed here."""
        refuse_settings(FILE, settings, (*READ.split(), "image_mean", "image_std"), SAYS)
        for name in (*DEFAULTS, *NEEDED):
            if name in settings and settings[name] is None:
                raise ModelError(f"{FILE} has {name!r}: None, where a value must be: fetch the file again")
        says = DEFAULTS | {name: value for name, value in settings.items() if value is not None}
        size = says.get("size", PIXELS)
        if not isinstance(size, Mapping) or set(size) - set(PIXELS):
            raise ModelError(f"{FILE} has 'size': {size!r}, which is not computed here: take another model")
        size = {**size, **{edge: says[name] for edge, name in NAMES.items() if name in says}}
        return cls(
            patch=integer(says, "patch_size"),
            merge=integer(says, "merge_size"),
            times=integer(says, "temporal_patch_size"),
            fewest=integer(size, "shortest_edge"),
            most=integer(size, "longest_edge"),
            mean=tuple(numbers_of(says, "image_mean", 3, -math.inf)),
            deviation=tuple(numbers_of(says, "image_std", 3)),
        )

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """The patches down and across of a picture of so many pixels. Raises ModelError for a strip."""
        rows, columns = smart_resize(height, width, self.patch * self.merge, self.fewest, self.most)
        return rows // self.patch, columns // self.patch

    def patches(self, image: Image.Image) -> Picture:
        """The patches of an image. Raises ModelError for a strip."""
        image, p, m = image.convert("RGB"), self.patch, self.merge
        down, across = self.grid(image.height, image.width)
        pixels = np.asarray(image.resize((across * p, down * p), Image.Resampling.BICUBIC), "float32") / 255
        pixels = (pixels - np.array(self.mean, "float32")) / np.array(self.deviation, "float32")  # (rows, columns, 3)
        # The patches of a merged square follow each other, (down / m, across / m, m, m, 3, p, p).
        patches = pixels.reshape(down // m, m, p, across // m, m, p, 3).transpose(0, 3, 1, 4, 6, 2, 5)
        # The tower expects moments of a film; an image is a moment that stays: (P, 3, times, p, p).
        patches = np.repeat(patches.reshape(down * across, 3, 1, p, p), self.times, 2)
        return patches.reshape(down * across, -1), (down, across)
