"""A function that became one kernel, called past Paddle's executor.

C++ (`launch` in carrier.cc) holds the tensors against what the kernel takes and runs it; PyLayer records it where
gradients are wanted. What is not like the traced tensors goes the usual way.
"""

import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paddle
import toolchain

Tensors = tuple[Any, ...]


@dataclass(frozen=True)
class Whole:
    """A program that is one kernel: that and the one of its gradient if it has one; by their names what it takes, which
    of these have no gradient (they come last), and which of the kernel's results each result of the program is."""

    kernels: tuple[Path, ...]
    inputs: tuple[str, ...]
    constant: tuple[bool, ...]
    results: tuple[int, ...]


class Call:
    """`usual`, the traced function, at once where `hook`, a Generator, made one kernel of all of it.

    Tensors without a number in them go to the `plain` function: Paddle hands them to kernels without memory.
    """

    def __init__(self, usual: Callable[..., Any], partial: Any, hook: Any, plain: Callable[..., Any]) -> None:
        self.usual, self.partial, self.hook, self.plain = usual, partial, hook, plain

    def __call__(self, *tensors: Any, **named: Any) -> Any:
        results = self._direct(*tensors) if self._direct and not named else None
        if results is not None:
            return results
        empty = any(isinstance(one, paddle.Tensor) and 0 in one.shape for one in (*tensors, *named.values()))
        return (self.plain if empty else self.usual)(*tensors, **named)

    def vjp(self, tensors: Tensors, slopes: Tensors) -> tuple[Any, list[Any]]:
        """What the function returns, and for a slope of each result the gradient of each tensor that asks for one.

        As jax.vjp: one call without a graph, so without Paddle's engine, which takes longer than a small kernel. A
        layer's parameters get no gradient.
        """
        found = self._direct.vjp(tensors, slopes) if self._direct else None
        if found is None:
            with paddle.enable_grad():
                results = self(*tensors)
                ends = [leaf for leaf in paddle.utils.flatten(results) if isinstance(leaf, paddle.Tensor)]
                asking = [tensor for tensor in tensors if not tensor.stop_gradient]
                gradients = iter(paddle.grad(ends, asking, list(slopes), allow_unused=True))
            each = [None if tensor.stop_gradient else next(gradients) for tensor in tensors]
            found = paddle.utils.map_structure(detached, results), each
        return found

    @functools.cached_property
    def _direct(self) -> "Direct | None":
        _ = self.partial.train_program  # the hook makes its kernels here
        return Direct(self.partial, self.hook.report.whole) if self.hook.report.whole else None


class Direct:
    """The kernel and that of its gradient, on the tensors that a program takes."""

    def __init__(self, partial: Any, whole: Whole) -> None:
        self.launch = carrier().launch
        self.forward, self.backward = (*map(pointer, whole.kernels), None)[:2]
        self.parameters = tuple(partial._params)
        names = [*(value.name for value in partial._inputs.var_list), *(one.name for one in self.parameters)]
        self.order = [names.index(name) for name in whole.inputs]
        self.constant = list(whole.constant)
        self.variable = self.constant.count(False)
        self.results, self.partial = whole.results, partial
        self.taken = len(names) - len(self.parameters)

    def __call__(self, *tensors: Any) -> Any:
        """The results, or None where the kernel was not generated for these tensors."""
        if len(tensors) != self.taken:
            return None
        given = (*tensors, *self.parameters)
        given = tuple([given[place] for place in self.order])
        found = self.launch(self.forward, given)
        if not found:
            return None
        constant = [tensor.stop_gradient for tensor in given]
        if not all(constant) and paddle.is_grad_enabled():
            if self.backward is None or constant != self.constant:
                return None
            found = Recorded.apply(Step(self, found), list(given[: self.variable]), *given[self.variable :])
        return self._restored(found)

    def vjp(self, tensors: Tensors, slopes: Tensors) -> tuple[Any, list[Any]] | None:
        """Results and gradients of the tensors, or None where the kernels were not generated for these."""
        if self.backward is None or len(tensors) != self.taken or sorted(self.results) != list(range(len(slopes))):
            return None
        given = (*tensors, *self.parameters)
        given = tuple([given[place] for place in self.order])
        if [tensor.stop_gradient for tensor in given] != self.constant:
            return None
        found = self.launch(self.forward, given)
        inverse = sorted(range(len(slopes)), key=self.results.__getitem__)
        computed = found and self.launch(self.backward, (*given, *[slopes[place] for place in inverse]))
        if not computed:
            return None
        gradients: list[Any] = [None] * self.taken
        for place, gradient in zip(self.order, computed, strict=False):
            if place < self.taken:
                gradients[place] = gradient
        return self._restored(found), gradients

    @functools.cached_property
    def _restored(self) -> Callable[[Tensors], Any]:
        """From the kernel's results to what the function returns."""
        probes = [object() for _ in self.results]
        if self.partial._restore_out(probes) is probes[0]:
            return lambda found: found[0]
        return lambda found: self.partial._restore_out([found[place] for place in self.results])


class Step:
    """What one call hands to PyLayer, which would take a tuple of tensors for inputs.

    `direct` launches the kernels, and knows that of the gradient: a Direct, or a Pair of fused.py.
    """

    __slots__ = ("direct", "found")

    def __init__(self, direct: Any, found: Tensors) -> None:
        self.direct, self.found = direct, found


class Recorded(paddle.autograd.PyLayer):
    """A kernel's call in a graph.

    What has a gradient comes as a list: of single tensors Paddle refuses a gradient that paddle.grad was not asked for.
    """

    @staticmethod
    def forward(context: Any, step: Step, variable: list[Any], *constant: Any) -> Tensors:
        given = (*variable, *constant)
        context.direct, context.versions = step.direct, [tensor.inplace_version for tensor in given]
        context.save_for_backward(*given)
        return step.found

    @staticmethod
    def backward(context: Any, *slopes: Any) -> Any:
        direct = context.direct
        if paddle.is_grad_enabled():
            raise NotImplementedError(
                "A generated kernel has no second derivative.\nIts gradient is a kernel, and no rule has its own.\n"
                "Call the function itself where create_graph=True."
            )
        given = context.saved_tensor()
        if [tensor.inplace_version for tensor in given] != context.versions:
            raise RuntimeError(
                "A tensor was changed in place before its gradient was computed.\n"
                "The kernel of the gradient begins from the tensors that the function was given.\n"
                "Change a copy: x.clone()."
            )
        found = direct.launch(direct.backward, (*given, *slopes))
        if not found:
            found = direct.launch(direct.backward, (*given, *(slope.contiguous() for slope in slopes)))
        return (list(found), *[None] * (len(given) - direct.variable))


@functools.cache
def carrier() -> ctypes.PyDLL:
    """carrier.cc, with what its functions for Python take and give."""
    library = ctypes.PyDLL(str(toolchain.load_carrier().path))
    library.load_kernel.argtypes, library.load_kernel.restype = [ctypes.c_char_p], ctypes.c_void_p
    library.launch.argtypes, library.launch.restype = [ctypes.c_void_p, ctypes.py_object], ctypes.py_object
    return library


def detached(leaf: Any) -> Any:
    return leaf.detach() if isinstance(leaf, paddle.Tensor) else leaf


def pointer(kernel: Path) -> ctypes.c_void_p:
    return ctypes.c_void_p(carrier().load_kernel(str(kernel).encode()))
