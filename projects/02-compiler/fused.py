"""A function of tensors as one generated kernel, and one of its gradient, called as any operator of Paddle is.

    @fused
    def gelu(x):
        return F.gelu(x, approximate=True)

A kernel is host code in float32, and pays where a gradient is computed. Elsewhere the function itself is called, as it
is where no compiler is installed or where it does not become one kernel. Kernels are called by their addresses: the
carrier is not needed, for Paddle's own way to a custom operator takes longer than a small kernel.
"""

import ctypes
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import folding
import paddle
from entry import Recorded, Step
from generator import Generator
from outlining import Group
from toolchain import NoCompiler, threads
from tracing import static_mode

Tensors = Sequence[paddle.Tensor]


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which takes tensors and returns one or a tuple of them, by kernels made at the first call.

    Tensors of other shapes, or of which others ask for a gradient, get kernels of their own.
    """
    kernels: dict[Any, Pair | None] = {}

    @functools.wraps(function)
    def call(*tensors: paddle.Tensor) -> Any:
        wanted = paddle.is_grad_enabled() and not all(tensor.stop_gradient for tensor in tensors)
        if not wanted or not all(map(suits, tensors)):
            return function(*tensors)
        key = tuple((*tensor.shape, tensor.stop_gradient) for tensor in tensors)
        if key not in kernels:
            kernels[key] = pair(function, tensors)
        made = kernels[key]
        return made(*tensors) if made else function(*tensors)

    return call


def suits(tensor: paddle.Tensor) -> bool:
    return tensor.dtype == paddle.float32 and tensor.place.is_cpu_place() and tensor.is_contiguous()


class Kernel:
    """A compiled kernel for tensors of given shapes."""

    def __init__(self, path: Path, taken: list[list[int]], given: list[list[int]]) -> None:
        library = ctypes.CDLL(str(path))
        axes = ctypes.c_int64.in_dll(library, "interface").value  # for each of them an input and its axis, carrier.cc
        words = (ctypes.c_int64 * (1 + 2 * axes)).in_dll(library, "interface")
        sizes = [taken[words[1 + 2 * n]][words[2 + 2 * n]] for n in range(axes)]
        self.name = path.stem.rpartition("-")[0]
        self.run, self.given, self.threads = library.run, given, threads()
        self.sizes = (ctypes.c_int64 * axes)(*sizes)

    def __call__(self, tensors: Tensors) -> tuple[paddle.Tensor, ...]:
        results = tuple([paddle.empty(shape) for shape in self.given])
        self.run(addresses(tensors), addresses(results), self.sizes, self.threads)
        return results


@dataclass(frozen=True)
class Pair:
    """The kernels of a function and of its gradient, and what they take and give in the function's own order.

    `inputs` says which of the function's tensors each input is, the `variable` ones that ask for a gradient first;
    `results` which of the kernel's results each of the function's is.
    """

    forward: Kernel
    backward: Kernel
    inputs: list[int]
    variable: int
    results: list[int]
    alone: bool  # the function returns one tensor, no tuple

    def __call__(self, *tensors: paddle.Tensor) -> Any:
        given = [tensors[place] for place in self.inputs]
        found = Recorded.apply(Step(self, self.forward(given)), given[: self.variable], *given[self.variable :])
        return found[0] if self.alone else tuple(found[place] for place in self.results)

    def launch(self, kernel: Kernel, tensors: Tensors) -> tuple[paddle.Tensor, ...]:
        """The kernel's results, or nothing where a tensor has gaps."""
        return kernel(tensors) if all(tensor.is_contiguous() for tensor in tensors) else ()


@functools.cache
def tell(words: str) -> None:
    """Print them, once."""
    print(words)


def addresses(tensors: Tensors) -> Any:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def pair(function: Callable[..., Any], tensors: Tensors) -> Pair | None:
    """The kernels of `function` for tensors like these, or None; prints why."""
    program, hook = paddle.static.Program(), Generator(function.__name__)
    with static_mode(program):
        inputs = [paddle.static.data(str(place), tensor.shape, tensor.dtype) for place, tensor in enumerate(tensors)]
        for value, tensor in zip(inputs, tensors, strict=True):
            value.stop_gradient = tensor.stop_gradient
        results = function(*inputs)
    targets = list(results) if isinstance(results, tuple) else [results]
    folding.fold(program)
    groups = hook.groups(program, targets)
    if len(groups) != 1 or hook.report.left:
        print(f"{function.__name__} stays with Paddle, for it is not one kernel: {hook.report.left}")
        return None
    group = Group(program, groups[0], targets)
    try:
        kernels = hook.generate(function.__name__, group)
    except NoCompiler as error:
        tell(f"Paddle's own operators are taken instead of kernels. {error}")
        return None
    order = [int(value.get_defining_op().attrs()["name"]) for value in group.inputs]
    places = [[target.is_same(output) for output in group.outputs].index(True) for target in targets]
    taken, given = ([list(value.shape) for value in values] for values in (group.inputs, group.outputs))
    return Pair(
        Kernel(kernels[0].library.path, taken, given),
        Kernel(kernels[1].library.path, [*taken, *given], taken[: len(group.variable)]),
        order,
        len(group.variable),
        places,
        not isinstance(results, tuple),
    )
