"""Python to PIR by Paddle's dy2st, with a hook in the path; how a PIR program is entered, decomposed and cleaned."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import paddle
from paddle import pir

CONSTANTS = {"full", "full_int_array", "shape64", "shape"}  # operators that compute nothing


class Hook:
    """What stands in the path of to_static: `before_append_backward` rewrites the program before it is differentiated.

    (What `after_infer` is given is not the program that is run.)
    """

    def before_append_backward(self, program: Any, targets: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Rewrite `program` in place; returns it and its targets."""
        return program, list(targets)

    def after_append_backward(
        self, program: Any, inputs: Any, targets: Any, slopes: Any, forward_end: int, backward_start: int
    ) -> tuple[Any, int, Any]:
        return program, forward_end, targets

    def after_infer(self, program: Any) -> None:
        """Nothing is done to it."""

    def called(self, usual: Callable[..., Any], _: Any, __: Callable[..., Any]) -> Callable[..., Any]:
        """How a program calls what `usual` and the partial program compute, and the function from which they come."""
        return usual


def to_static(
    function: Callable[..., Any], arguments: Sequence[Any], hook: Any = None
) -> tuple[Callable[..., Any], Any]:
    """`function` through Paddle's dy2st and PIR, with `hook` in the path; returns it, and its partial program.

    `arguments` are tensors, or `paddle.static.InputSpec` with None where a size is not fixed.
    """
    specification = None if all(isinstance(argument, paddle.Tensor) for argument in arguments) else list(arguments)
    static = paddle.jit.to_static(function, input_spec=specification, full_graph=True, backend=None)
    if specification is None:
        _, partial = static.get_concrete_program(*arguments)
    else:
        static.concrete_program_specify_input_spec(input_spec=None)
        _, (_, partial) = static._program_cache.last()
    if hook is None:
        return static, partial
    partial._hookers.insert(0, hook)
    usual = guarded(static, partial, arguments) if specification is None else static
    return hook.called(usual, partial, function), partial


def guarded(static: Callable[..., Any], partial: Any, traced: Sequence[Any]) -> Callable[..., Any]:
    """`static`, at once where the tensors are like the `traced` ones: Paddle's own search costs each call 0.1 ms."""

    def kind(tensor: Any) -> Any:
        return (tensor.shape, tensor.dtype, tensor.stop_gradient) if isinstance(tensor, paddle.Tensor) else None

    expected = [kind(tensor) for tensor in traced]

    def call(*tensors: Any, **named: Any) -> Any:
        like = not named and [kind(tensor) for tensor in tensors] == expected
        return partial(tensors) if like else static(*tensors, **named)

    return call


def short(names: Iterable[str]) -> list[str]:
    """The names of operators that do something: without the dialect, constants, inputs and outputs."""
    left = (name for name in names if name not in ("pd_op.data", "builtin.shadow_output", "builtin.shadow_input"))
    return [name.rpartition(".")[2] for name in left if name.rpartition(".")[2] not in CONSTANTS]


def remove_unused(program: Any, outputs: Sequence[Any]) -> None:
    block = program.global_block()
    kept = {output.id for output in outputs}
    for operation in reversed(list(block.ops)):
        results = operation.results()
        if operation.name() != "pd_op.data" and all(r.use_empty() and r.id not in kept for r in results):
            block.remove_op(operation)


@contextmanager
def static_mode(program: Any) -> Iterator[None]:
    with paddle.base.framework._dygraph_guard(None), pir.core.program_guard(program):
        yield


@contextmanager
def decomposing() -> Iterator[None]:
    """Composite operators are split, by Paddle's own rules, forward and backward, and with unknown sizes too."""
    before = paddle.base.core._is_fwd_prim_enabled(), paddle.base.core._is_bwd_prim_enabled()
    flag = "FLAGS_prim_skip_dynamic"
    skipped = paddle.get_flags(flag)[flag]
    paddle.base.core._set_prim_all_enabled(True)
    paddle.set_flags({flag: False})
    try:
        yield
    finally:
        paddle.base.core._set_prim_forward_enabled(before[0])
        paddle.base.core._set_prim_backward_enabled(before[1])
        paddle.set_flags({flag: skipped})
