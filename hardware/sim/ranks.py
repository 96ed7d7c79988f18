"""Call the plug-in from forked ranks: for tests and measurements, where starting Paddle in each would take long.

The table of functions that Paddle would call is read by the names and in the order of Paddle's own header.
"""

import ctypes
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import paddle  # the plug-in is linked against its libraries

LIBRARY = "libpaddle-sim.so"
TYPES = ["", "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32"]
TYPES += ["float64", "bfloat16", "complex64", "complex128"]  # C_DataType, in order
OPERATIONS = ["sum", "avg", "max", "min", "prod"]  # C_CCLReduceOp, in order


class RootId(ctypes.Structure):
    _fields_ = (("size", ctypes.c_size_t), ("data", ctypes.c_void_p))


class Parameters(ctypes.Structure):
    """CustomRuntimeParams of device_ext.h."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("interface", ctypes.c_void_p),
        ("version", ctypes.c_size_t * 3),
        ("device_type", ctypes.c_char_p),
        ("sub_device_type", ctypes.c_char_p),
        ("passes", ctypes.c_void_p),
        ("reserved", ctypes.c_char * 32),
    )


class Plugin:
    """The plug-in's functions as methods: `plugin.xccl_barrier(...)`. A status that is not success raises OSError."""

    def __init__(self, folder: Path) -> None:
        header = Path(paddle.__file__).parent / "include" / "paddle" / "phi" / "backends" / "device_ext.h"
        body = header.read_text().split("struct C_DeviceInterface {")[1].split("\n};")[0]
        slots: list[str] = []
        for function, reserved, count in re.findall(r"C_Status \(\*(\w+)\)|void\* (\w+)\[(\d)\]", body):
            slots += [function] if function else [reserved] * int(count)
        self._library = ctypes.CDLL(str(folder / LIBRARY))
        self._table = (ctypes.c_void_p * (1 + len(slots)))()
        self._table[0] = ctypes.sizeof(self._table)
        self._slots = {name: number for number, name in enumerate(slots, start=1)}
        parameters = Parameters(size=ctypes.sizeof(Parameters), interface=ctypes.addressof(self._table))
        self._library.InitPlugin(ctypes.byref(parameters))

    def __getattr__(self, name: str) -> Callable[..., None]:
        function = ctypes.CFUNCTYPE(ctypes.c_int)(self._table[self._slots[name]])

        def call(*arguments: Any) -> None:
            if status := function(*arguments):
                raise OSError(f"{name}: status {status}")

        return call

    def on_card(self, card: int, values: Any) -> Any:
        """A copy of a numpy array in the memory of a card."""
        address = ctypes.c_void_p()
        number = ctypes.c_int(card)
        self.device_memory_allocate(ctypes.byref(number), ctypes.byref(address), size(values.nbytes))
        if not address:
            raise MemoryError(f"no room for {values.nbytes} bytes on card {card}")
        memory = (ctypes.c_char * values.nbytes).from_address(address.value or 0)
        array = numpy.frombuffer(memory, values.dtype).reshape(values.shape)
        array[...] = values
        return array

    def new_id(self) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        root = RootId(64, ctypes.cast(buffer, ctypes.c_void_p))
        self.xccl_get_unique_id(ctypes.byref(root))
        return buffer.raw

    def join(self, identity: bytes, ranks: int, rank: int) -> ctypes.c_void_p:
        buffer = ctypes.create_string_buffer(identity, 64)
        root = RootId(64, ctypes.cast(buffer, ctypes.c_void_p))
        communicator = ctypes.c_void_p()
        self.xccl_comm_init_rank(size(ranks), ctypes.byref(root), size(rank), ctypes.byref(communicator))
        return communicator


def size(number: int) -> ctypes.c_size_t:
    return ctypes.c_size_t(number)


def pointer(array: Any) -> ctypes.c_void_p:
    """The address of a numpy array's data."""
    return ctypes.c_void_p(array.ctypes.data)


def built() -> Path:
    """The plug-in's folder, built if need be, for the Paddle of this Python."""
    specification = importlib.util.spec_from_file_location("build", Path(__file__).parent / "build.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return Path(module.build())


def run(plugin: Plugin, ranks: int, work: Callable[[Any, int], None]) -> list[int]:
    """Fork `ranks` processes and let each do work(communicator, rank).

    Returns:
        Their exit codes: 0, 1 for an exception, or minus a signal.
    """
    identity, children = plugin.new_id(), []
    sys.stdout.flush()
    for rank in range(ranks):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                communicator = plugin.join(identity, ranks, rank)
                work(communicator, rank)
                plugin.xccl_destroy_comm(communicator)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
