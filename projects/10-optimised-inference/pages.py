"""Memory that the processor reads fast."""

import contextlib
import mmap
from pathlib import Path

import numpy as np

HUGE = 2**21  # bytes


def large_memory(size: int) -> np.ndarray:
    """So many bytes, zeros, for which the system is asked for pages of 2 MB.

    A step reads every weight once. In pages of 4 kB it would look a page up for every 64 lines it reads, and the
    processor's own reading ahead would end with each.
    """
    # Shared memory, Python's default, would obey another setting of the system's, by which it has no large pages.
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    memory = mmap.mmap(-1, max(size, 1), **private)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # Linux
        with contextlib.suppress(OSError):  # a kernel without them: the pages are small
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, "uint8")[:size]


def huge_bytes(memory: np.ndarray, smaps: Path = Path("/proc/self/smaps")) -> int | None:
    """How much of the memory lies in pages of 2 MB, as the kernel counts (proc(5)); none where it does not say."""
    address, found, inside = memory.ctypes.data, None, False
    try:
        lines = smaps.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        first = line.split(" ", 1)[0]
        if "-" in first and not first.endswith(":"):
            start, _, end = first.partition("-")
            # Neighbouring mappings of a kind are one to the kernel, and a part of one may be another.
            inside = int(start, 16) < address + memory.nbytes and address < int(end, 16)
        elif inside and first == "AnonHugePages:":
            found = (found or 0) + 1024 * int(line.split()[1])
    return None if found is None else min(found, memory.nbytes)


def page_kinds(memory: np.ndarray) -> str:
    """In words, which pages the memory lies in, and why not in large ones."""
    found = huge_bytes(memory)
    if found is None:
        return "pages unknown: this system does not say"
    share = found / max(memory.nbytes, 1)
    if share >= 0.5 or memory.nbytes < 2 * HUGE:
        return f"{share:.0%} in pages of 2 MB"
    setting, why = Path("/sys/kernel/mm/transparent_hugepage/enabled"), "this kernel has no others"
    with contextlib.suppress(OSError):
        why = f"{setting} says {setting.read_text().strip()}"
    return f"NOTE: {share:.0%} in pages of 2 MB, the rest in small ones, which are slower: {why}"
