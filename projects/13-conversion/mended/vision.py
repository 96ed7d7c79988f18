"""What projects take of torchvision: data sets as their files lie, and transforms of single pictures."""

import pickle
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


class CIFAR10(Dataset):
    """Its pickled batches under ROOT/cifar-10-batches-py; nothing is downloaded."""

    FOLDER, NAMES, LABELS = "cifar-10-batches-py", ("batches.meta", "label_names"), "labels"
    TRAIN, TEST = tuple(f"data_batch_{each}" for each in range(1, 6)), ("test_batch",)

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        self.root, self.train, self.transform, self.target_transform = root, train, transform, target_transform
        folder = Path(root) / self.FOLDER
        batches = [
            pickle.loads(_read(folder / name), encoding="latin1") for name in (self.TRAIN if train else self.TEST)
        ]
        rows = np.vstack([each["data"] for each in batches]).reshape(-1, 3, 32, 32)
        self.data = rows.transpose(0, 2, 3, 1)
        self.targets = [label for each in batches for label in each[self.LABELS]]
        self.classes = pickle.loads(_read(folder / self.NAMES[0]), encoding="latin1")[self.NAMES[1]]
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        from PIL import Image

        picture, label = Image.fromarray(self.data[index]), self.targets[index]
        picture = self.transform(picture) if self.transform else picture
        return picture, self.target_transform(label) if self.target_transform else label


class CIFAR100(CIFAR10):
    """The same under cifar-100-python, with a hundred fine labels."""

    FOLDER, NAMES, LABELS = "cifar-100-python", ("meta", "fine_label_names"), "fine_labels"
    TRAIN, TEST = ("train",), ("test",)


class FakeData(Dataset):
    """Noise in place of pictures, each by its own seed."""

    def __init__(
        self,
        size=1000,
        image_size=(3, 224, 224),
        num_classes=10,
        transform=None,
        target_transform=None,
        random_offset=0,
    ):
        self.size, self.image_size, self.num_classes = size, image_size, num_classes
        self.transform, self.target_transform, self.random_offset = transform, target_transform, random_offset

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        from PIL import Image

        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        generator = chance.Generator().manual_seed(index + self.random_offset)
        values = chance.randn(*self.image_size, generator=generator).numpy()
        label = int(chance.randint(0, self.num_classes, (1,), generator=generator))
        picture = Image.fromarray((values * np.float32(255)).astype("int64").astype("uint8").transpose(1, 2, 0))
        picture = self.transform(picture) if self.transform else picture
        return picture, self.target_transform(label) if self.target_transform else label


def _read(path):
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there, and nothing is downloaded: put the unpacked file of the set there"
        )
    return path.read_bytes()


def _idx(path):
    content = _read(path)
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


def _is_picture(picture, transform):
    if isinstance(picture, paddle.Tensor):
        raise NotImplementedError(f"{type(transform).__name__} of a tensor is not converted, only of a picture")
    return picture


class Resize:
    """A picture to (height, width), or by a whole number to that shorter edge."""

    def __init__(self, size, interpolation=2, max_size=None, antialias=True):
        if max_size is not None:
            raise NotImplementedError("Resize with max_size is not converted")
        self.size = [size] if isinstance(size, int) else list(size)
        self.interpolation = getattr(interpolation, "value", interpolation)

    def __call__(self, picture):
        width, height = _is_picture(picture, self).size
        if len(self.size) == 2:
            return picture.resize((self.size[1], self.size[0]), self.interpolation)
        (edge,), short = self.size, min(width, height)
        if short == edge:
            return picture
        longer = int(edge * max(width, height) / short)
        return picture.resize((edge, longer) if width <= height else (longer, edge), self.interpolation)


class CenterCrop:
    """The middle of a picture; one that is smaller gets black around it first."""

    def __init__(self, size):
        self.size = (size, size) if isinstance(size, int) else (*size, *size)[:2]

    def __call__(self, picture):
        from PIL import ImageOps

        (width, height), (rows, columns) = _is_picture(picture, self).size, self.size
        if columns > width or rows > height:
            wide, high = max(columns - width, 0), max(rows - height, 0)
            picture = ImageOps.expand(picture, (wide // 2, high // 2, (wide + 1) // 2, (high + 1) // 2))
            width, height = picture.size
        top, left = round((height - rows) / 2.0), round((width - columns) / 2.0)
        return picture.crop((left, top, left + columns, top + rows))


class RandomCrop:
    """A part of a picture, which may get an edge of one colour first."""

    def __init__(self, size, padding=None, pad_if_needed=False, fill=0, padding_mode="constant"):
        if pad_if_needed or padding_mode != "constant" or not (padding is None or isinstance(padding, int)):
            raise NotImplementedError("RandomCrop is converted with one padding, of one colour")
        self.size, self.padding, self.fill = (size, size) if isinstance(size, int) else tuple(size), padding, fill

    def __call__(self, picture):
        from PIL import ImageOps

        if self.padding is not None:
            picture = ImageOps.expand(_is_picture(picture, self), self.padding, self.fill)
        (width, height), (rows, columns) = _is_picture(picture, self).size, self.size
        if (height, width) == self.size:
            return picture
        top = int(chance.randint(0, height - rows + 1, (1,)))
        left = int(chance.randint(0, width - columns + 1, (1,)))
        return picture.crop((left, top, left + columns, top + rows))
