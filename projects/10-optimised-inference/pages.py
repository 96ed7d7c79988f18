"""Memory that the processor reads fast."""

import contextlib
import mmap
from collections.abc import Sequence

import numpy as np
import paddle


def in_large_pages(arrays: Sequence[np.ndarray]) -> tuple[paddle.Tensor, paddle.Tensor]:
    """The bytes of the arrays, side by side in memory for which the system is asked for pages of 2 MB.

    A step reads every weight once. In pages of 4 kB it would look a page up for every 64 lines it reads, and the
    processor's own reading ahead would end with each.

    Returns:
        The memory (bytes,) as uint8, and of each array its first byte and how many it has, (arrays, 2) int64.
    """
    sizes = np.array([array.nbytes for array in arrays])
    ends = np.cumsum(-(-sizes // 64) * 64)
    starts = np.r_[0, ends[:-1]]
    # Shared memory, Python's default, would obey another setting of the system's, by which it has no large pages.
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    memory = mmap.mmap(-1, int(ends[-1]), **private)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # Linux
        with contextlib.suppress(OSError):  # a kernel without them: the pages are small
            memory.madvise(mmap.MADV_HUGEPAGE)
    for array, start in zip(arrays, starts, strict=True):
        np.frombuffer(memory, array.dtype, array.size, start)[...] = array.ravel()
    data = paddle.utils.dlpack.from_dlpack(np.frombuffer(memory, "uint8"))  # shares the memory, and keeps it alive
    return data, paddle.to_tensor(np.stack([starts, sizes], 1))
