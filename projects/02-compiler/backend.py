"""Which compiler takes the program from PIR to the machine: CINN where Paddle has it, else this project's generator."""

import ctypes
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle

ABSENT = "not in this wheel"


class NoBackend(Exception):
    """Neither CINN nor the generator can make code for the device."""

    exit_code = 3


class SilentFallback(Exception):
    """A program that was to run generated code did not."""

    exit_code = 1


def choose(cinn: bool, host_memory: bool, device: str) -> str:
    """ "cinn" or "generated". A generated kernel is host code: it needs tensors in the host's memory."""
    if cinn:
        return "cinn"
    if host_memory:
        return "generated"
    raise NoBackend(
        f"No compiler makes code for {device}.\n"
        "Paddle was built without CINN, and this project's generator makes code for the host's memory only.\n"
        "Take a Paddle that has CINN, or the CPU or simulated cards, whose tensors lie there."
    )


def in_host_memory(tensor: paddle.Tensor) -> bool:
    """Whether this process can read the tensor's memory where it lies: then a kernel on the host may compute on it.

    Nothing is read before the system has said that the address may be, so that a card's address does no harm.
    """
    if tensor.place.is_cpu_place():
        return True
    address, size = tensor.data_ptr(), tensor.size * 4
    try:
        ranges = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw", Path("/proc/self/maps").read_text(), re.MULTILINE)
    except OSError:
        return False
    if not any(int(first, 16) <= address and address + size <= int(last, 16) for first, last in ranges):
        return False
    there = np.frombuffer(ctypes.string_at(address, size), dtype="float32")
    return bool(np.array_equal(there, tensor.numpy().ravel()))


def require_cinn(backend: str, program: str, flags: Mapping[str, Any]) -> None:
    """Raise SilentFallback unless CINN really took the program: `backend='CINN'` falls back without a word."""
    if "CINN" not in backend.upper():
        raise SilentFallback(f"CINN was asked for and the program's backend is {backend!r}")
    if "cinn_runtime.jit_kernel" not in program and "cinn_op.group" not in program:
        raise SilentFallback("CINN was asked for and the program holds no group of it")
    off = [name for name, value in flags.items() if not value]
    if off:
        raise SilentFallback(f"CINN was asked for and {', '.join(off)} is off")


def require_generated(operators: list[str], kernels: int, changed: bool) -> None:
    """Raise SilentFallback unless the executed program holds the kernels, and wrong ones change its output."""
    carried = sum(name.startswith("custom_op.generated_kernel") for name in operators)
    if not kernels or carried < kernels:
        raise SilentFallback(f"{kernels} kernels were generated and {carried} stand in the program that runs")
    if not changed:
        raise SilentFallback("kernels that are wrong on purpose do not change the output: others ran")


def proven(require: Callable[..., None], *arguments: Any) -> bool:
    """Whether `require` finds no fallback; says which one it finds."""
    try:
        require(*arguments)
    except SilentFallback as error:
        print(f"  not proven: {error}")
        return False
    return True
