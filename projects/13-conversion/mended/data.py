"""torch.utils.data: sets, samplers and loaders, in one process and in PyTorch's order."""

import bisect
from collections.abc import Mapping

import numpy as np
import paddle

from . import chance
from .kinds import tensor
from .shapes import stack


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Of different lengths, in one tensor, filled up at their ends or at their starts."""
    longest, padded = max(each.shape[0] for each in sequences), []
    for each in sequences:
        fill = paddle.full([longest - each.shape[0], *each.shape[1:]], padding_value, each.dtype)
        padded.append(paddle.concat([each, fill] if padding_side == "right" else [fill, each]))
    return paddle.stack(padded, 0 if batch_first else 1)


class Dataset:
    def __getitem__(self, index):
        raise NotImplementedError

    def __add__(self, other):
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    def __iter__(self):
        raise NotImplementedError


class TensorDataset(Dataset):
    def __init__(self, *tensors):
        assert all(len(tensors[0]) == len(each) for each in tensors), "Size mismatch between tensors"
        self.tensors = tensors

    def __getitem__(self, index):
        return tuple(each[index] for each in self.tensors)

    def __len__(self):
        return len(self.tensors[0])


class ConcatDataset(Dataset):
    def __init__(self, datasets):
        self.datasets = list(datasets)
        self.cumulative_sizes = list(np.cumsum([len(each) for each in self.datasets]))

    def __len__(self):
        return int(self.cumulative_sizes[-1])

    def __getitem__(self, index):
        index = index + len(self) if index < 0 else index
        number = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[number][index - (self.cumulative_sizes[number - 1] if number else 0)]


class Subset(Dataset):
    def __init__(self, dataset, indices):
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index):
        return self.dataset[self.indices[index]]

    def __len__(self):
        return len(self.indices)


def random_split(dataset, lengths, generator=None):
    if all(isinstance(each, float) for each in lengths):
        sizes = [int(len(dataset) * each) for each in lengths]
        for number in range(len(dataset) - sum(sizes)):
            sizes[number % len(sizes)] += 1
        lengths = sizes
    if sum(lengths) != len(dataset):
        raise ValueError("Sum of input lengths does not equal the length of the input dataset!")
    order, parts, start = chance.randperm(len(dataset), generator=generator).tolist(), [], 0
    for length in lengths:
        parts.append(Subset(dataset, order[start : start + length]))
        start += length
    return parts


class Sampler:
    def __init__(self, data_source=None):
        pass


class SequentialSampler(Sampler):
    def __init__(self, data_source):
        self.data_source = data_source

    def __iter__(self):
        return iter(range(len(self.data_source)))

    def __len__(self):
        return len(self.data_source)


class RandomSampler(Sampler):
    def __init__(self, data_source, replacement=False, num_samples=None, generator=None):
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self.num_samples = num_samples or len(data_source)

    def __iter__(self):
        count = len(self.data_source)
        seed = int(chance.of(None).integers(0, 2**24, []))
        generator = self.generator or chance.Generator().manual_seed(seed)
        if self.replacement:
            for _ in range(self.num_samples // 32):
                yield from chance.randint(0, count, (32,), generator=generator).tolist()
            yield from chance.randint(0, count, (self.num_samples % 32,), generator=generator).tolist()
            return
        for _ in range(self.num_samples // count):
            yield from chance.randperm(count, generator=generator).tolist()
        yield from chance.randperm(count, generator=generator).tolist()[: self.num_samples % count]

    def __len__(self):
        return self.num_samples


class SubsetRandomSampler(Sampler):
    def __init__(self, indices, generator=None):
        self.indices, self.generator = indices, generator

    def __iter__(self):
        for index in chance.randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[index]

    def __len__(self):
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    def __init__(self, weights, num_samples, replacement=True, generator=None):
        self.weights = tensor(weights, dtype=paddle.float64)
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self):
        yield from chance.multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        ).tolist()

    def __len__(self):
        return self.num_samples


class BatchSampler(Sampler):
    def __init__(self, sampler, batch_size, drop_last):
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self):
        batch = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self):
        whole, more = divmod(len(self.sampler), self.batch_size)
        return whole + bool(more and not self.drop_last)


def default_collate(batch):
    first = batch[0]
    if isinstance(first, paddle.Tensor):
        return stack(batch)
    if isinstance(first, (np.ndarray, np.generic)):
        return paddle.to_tensor(np.stack([np.asarray(each) for each in batch]))
    if isinstance(first, bool):
        return tensor(batch)
    if isinstance(first, float):
        return tensor(batch, dtype=paddle.float64)
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return {key: default_collate([each[key] for each in batch]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(list(each)) for each in zip(*batch, strict=False)))
    if isinstance(first, (tuple, list)):
        return [default_collate(list(each)) for each in zip(*batch, strict=False)]
    raise TypeError(f"default_collate: batch must contain tensors, numbers, dicts or lists; found {type(first)}")


class DataLoader:
    """Workers, pinned memory and prefetching make PyTorch faster and change nothing; here they are not needed."""

    def __init__(
        self, dataset, batch_size=1, shuffle=None, sampler=None, batch_sampler=None, num_workers=0, collate_fn=None,
        pin_memory=False, drop_last=False, timeout=0, worker_init_fn=None, multiprocessing_context=None,
        generator=None, **_,
    ):  # fmt: skip
        self.dataset, self.batch_size, self.drop_last, self.generator = dataset, batch_size, drop_last, generator
        self.collate_fn = collate_fn or (
            default_collate if batch_size is not None or batch_sampler else lambda each: each
        )
        if isinstance(dataset, IterableDataset):
            self.batch_sampler = None
            return
        self.sampler = (
            sampler
            if sampler is not None
            else RandomSampler(dataset, generator=generator)
            if shuffle
            else SequentialSampler(dataset)
        )
        if batch_sampler is None and batch_size is not None:
            batch_sampler = BatchSampler(self.sampler, batch_size, drop_last)
        self.batch_sampler = batch_sampler

    def __iter__(self):
        chance.of(self.generator).integers(0, 2**24, [])  # PyTorch draws a seed for its workers
        if isinstance(self.dataset, IterableDataset):
            yield from self._stream()
        elif self.batch_sampler is None:
            yield from (self.collate_fn(self.dataset[index]) for index in self.sampler)
        else:
            for batch in self.batch_sampler:
                yield self.collate_fn([self.dataset[index] for index in batch])

    def _stream(self):
        batch = []
        for each in self.dataset:
            if self.batch_size is None:
                yield each
                continue
            batch.append(each)
            if len(batch) == self.batch_size:
                yield self.collate_fn(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.collate_fn(batch)

    def __len__(self):
        return len(self.batch_sampler if self.batch_sampler is not None else self.sampler)


def get_worker_info():
    return None
