"""Which libraries multiply matrices in this process, by which code, on how many threads.

OpenBLAS, MKL and oneDNN each choose their code by the processor, and two processors' codes add up in different orders:
that is where two runs of one program first differ. Each is asked what it chose, through the library that is loaded.
"""

import ctypes
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Of MKL 2019, as MKL_DEBUG_CPU_TYPE counts them; https://github.com/oneapi-src/oneDNN, dnnl_cpu_isa_t, for the others.
OF_MKL = {0: "default", 4: "AVX", 5: "AVX2", 6: "AVX-512 of Xeon Phi", 7: "AVX-512"}
OF_ONEDNN = {
    0x1: "SSE4.1",
    0x3: "AVX",
    0x7: "AVX2",
    0xF: "AVX2, VNNI",
    0x27: "AVX-512",
    0x67: "AVX-512, VNNI",
    0xE7: "AVX-512, bfloat16",
    0x1EF: "AVX-512, float16",
    0xFEF: "AMX",
    0x1FEF: "AMX, float16",
}


def libraries() -> list[dict[str, Any]]:
    """One entry for each library that is loaded: name, of (its package), version, kernel and threads; None: not known.

    Empty where the system does not say what is loaded (/proc), or nothing was.
    """
    found = {}
    for path in loaded():
        for name, describe in (("openblas", _openblas), ("libphi", _openblas), ("mkl", _mkl), ("dnnl", _onednn)):
            try:
                facts = describe(ctypes.CDLL(str(path))) if name in path.name else None
            except (OSError, AttributeError):  # not what its name says
                facts = None
            if facts:
                found[facts["name"], _package(path)] = {**facts, "of": _package(path)}
    return list(found.values())


def _package(path: Path) -> str:
    """Whose a library is: numpy of numpy.libs/libopenblas.so, paddle of paddle/libs/libdnnl.so."""
    return path.parent.parent.name if path.parent.name == "libs" else path.parent.name.removesuffix(".libs")


def loaded() -> Iterator[Path]:
    """The files of the shared libraries in this process, each once, in the order of their names."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text(errors="replace").splitlines() if maps.exists() else []
    yield from sorted({Path(line.split(maxsplit=5)[5]) for line in lines if ".so" in line and "/" in line})


def _openblas(library: ctypes.CDLL) -> dict[str, Any] | None:
    """Its functions bear a prefix and an ending of whoever built it."""
    corename = _text(_function(library, "get_corename"))
    config = _text(_function(library, "get_config")) or ""
    threads = _function(library, "get_num_threads")
    if corename is None:
        return None
    version = re.search(r"OpenBLAS (\S+)", config)
    count = threads() if threads else None
    return {"name": "OpenBLAS", "version": version[1] if version else None, "kernel": corename, "threads": count}


def _function(library: ctypes.CDLL, name: str) -> Any:
    for prefix in ("", "scipy_"):
        for ending in ("", "64_", "_64"):
            if hasattr(library, f"{prefix}openblas_{name}{ending}"):
                return getattr(library, f"{prefix}openblas_{name}{ending}")
    return None


def _text(function: Any) -> str | None:
    if function is None:
        return None
    function.restype = ctypes.c_char_p
    return bytes(function() or b"").decode(errors="replace") or None


def _mkl(library: ctypes.CDLL) -> dict[str, Any]:
    buffer = ctypes.create_string_buffer(256)
    library.MKL_Get_Version_String(buffer, len(buffer))
    version = re.search(r"Version (\S+)", buffer.value.decode(errors="replace"))
    kind = _number(lambda: library.mkl_serv_cpu_detect())
    kernel = None if kind is None else OF_MKL.get(kind, f"type {kind}")
    threads = _number(lambda: library.MKL_Get_Max_Threads())
    return {"name": "MKL", "version": version[1] if version else None, "kernel": kernel, "threads": threads}


def _number(ask: Callable[[], int]) -> int | None:
    try:
        return ask()
    except AttributeError:  # a library without that function
        return None


class _Version(ctypes.Structure):
    _fields_ = (("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int))


def _onednn(library: ctypes.CDLL) -> dict[str, Any]:
    library.dnnl_version.restype = ctypes.POINTER(_Version)
    version, level = library.dnnl_version().contents, library.dnnl_get_effective_cpu_isa()
    named = f"{version.major}.{version.minor}.{version.patch}"
    return {"name": "oneDNN", "version": named, "kernel": OF_ONEDNN.get(level, f"level {level:#x}"), "threads": None}
