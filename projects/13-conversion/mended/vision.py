"""What projects take of torchvision: MNIST's files as they lie, and transforms of single pictures."""

import struct
from pathlib import Path

import numpy as np
import paddle

from . import chance
from .data import Dataset


class MNIST(Dataset):
    """The four files under ROOT/NAME/raw, unpacked; nothing is downloaded."""

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        folder = Path(root) / type(self).__name__ / "raw"
        stem = "train" if train else "t10k"
        self.data = paddle.to_tensor(_idx(folder / f"{stem}-images-idx3-ubyte"))
        self.targets = paddle.to_tensor(_idx(folder / f"{stem}-labels-idx1-ubyte").astype("int64"))
        self.train, self.transform, self.target_transform = train, transform, target_transform
        self._pictures, self._labels = self.data.numpy(), self.targets.tolist()

    def __len__(self):
        return len(self._labels)

    def __getitem__(self, index):
        from PIL import Image

        picture, label = Image.fromarray(self._pictures[index]), self._labels[index]
        picture = self.transform(picture) if self.transform else picture
        return picture, self.target_transform(label) if self.target_transform else label


class FashionMNIST(MNIST):
    """The same files under another name."""


class KMNIST(MNIST):
    """The same files under another name."""


def _idx(path):
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there, and nothing is downloaded: put the unpacked file of the set there"
        )
    content = path.read_bytes()
    axes = content[3]
    shape = struct.unpack(f">{axes}i", content[4 : 4 + 4 * axes])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()


class Compose:
    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, picture):
        for each in self.transforms:
            picture = each(picture)
        return picture


class Lambda:
    def __init__(self, lambd):
        self.lambd = lambd

    def __call__(self, picture):
        return self.lambd(picture)


class ToTensor:
    """Channels first; bytes become shares of 255."""

    def __call__(self, picture):
        values = np.asarray(picture)
        if values.dtype == bool:
            values = values.astype("uint8") * 255
        values = (values[:, :, None] if values.ndim == 2 else values).transpose(2, 0, 1)
        made = paddle.to_tensor(np.ascontiguousarray(values))
        return made.astype(paddle.get_default_dtype()) / 255 if values.dtype == np.uint8 else made


class Normalize:
    def __init__(self, mean, std, inplace=False):
        self.mean, self.std = mean, std

    def __call__(self, picture):
        mean, std = (paddle.to_tensor(each, picture.dtype).reshape([-1, 1, 1]) for each in (self.mean, self.std))
        return (picture - mean) / std


class RandomHorizontalFlip:
    def __init__(self, p=0.5):
        self.p = p

    def __call__(self, picture):
        if float(chance.rand(1)) >= self.p:
            return picture
        from PIL import Image, ImageOps

        return ImageOps.mirror(picture) if isinstance(picture, Image.Image) else paddle.flip(picture, [-1])
