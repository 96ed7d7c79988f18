"""One side of bench/compiler.py: a process that says how long a compiler, or Paddle with the generator, takes.

    PYTHON bench/compiler_sides.py torch 4096 1024

The sides are paddle, torch, torch-autotune (torch.compile with mode="max-autotune") and jax. A question is a line
`what name`, an answer a number: milliseconds, or page faults. `what` is one of

    call     the compiled subgraph as a program calls it
    eager    the subgraph as it stands (Paddle's side)
    kernels  only the compiled kernels of such a call, again and again on the same memory
    small    the call with one row, so that hardly anything is left but what the framework does around its kernels
    vjp      results and gradients in one call without a graph, as JAX's side gives them (Paddle's side)
    engine   Paddle's own x * 2 through paddle.grad (Paddle's side): what its engine takes at the least
    nothing  a PyLayer that computes nothing, with the same inputs, through paddle.grad (Paddle's side)
    faults   how many pages the system had to find memory for during one call
    copy     a copy of one tensor of that size, whatever the name
"""

import ctypes
import functools
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("rms_norm", "softmax", "layer_norm", "gelu", "swish")
MODES = ("forward", "forward and backward")
USED = {"rms_norm": 2, "softmax": 1, "layer_norm": 3, "gelu": 1, "swish": 3}  # of the inputs x, weight, bias
CALLS = 4  # in a batch; the first of them is not counted, its threads may have slept

Call = Callable[[], Any]
Answers = dict[str, dict[str, Call]]  # by what is asked, by name and mode


def torch_side(rows: int, columns: int, mode: str | None = None) -> Answers:
    """The subgraphs in PyTorch, compiled; without gradients in its inference mode."""
    import torch

    def rms_norm(x: Any, weight: Any, _: Any) -> Any:
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * weight

    def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
        centred = x - x.mean(-1, keepdim=True)
        variance = (centred * centred).mean(-1, keepdim=True)
        return centred * torch.rsqrt(variance + 1e-5) * weight + bias

    def softmax(x: Any, *_: Any) -> Any:
        exponential = torch.exp(x - x.max(-1, keepdim=True).values)
        return exponential / exponential.sum(-1, keepdim=True)

    def gelu(x: Any, *_: Any) -> Any:
        return 0.5 * x * (1.0 + torch.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))

    def swish(x: Any, weight: Any, bias: Any) -> Any:
        return x * torch.sigmoid(x) * weight + bias

    class Loss(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(context: Any, result: Any, slope: Any) -> Any:
            context.slope = slope
            return torch.zeros(())

        @staticmethod
        def backward(context: Any, *_: Any) -> Any:
            return context.slope, None

    def calls(size: int) -> dict[str, Call]:
        torch.manual_seed(0)
        inputs = [torch.randn(*shape).requires_grad_() for shape in ((size, columns), (columns,), (columns,))]
        slope = torch.randn(size, columns)
        found: dict[str, Call] = {}
        for function in (rms_norm, softmax, layer_norm, gelu, swish):
            compiled: Any = torch.compile(function, dynamic=False, mode=mode)
            name, leaves = function.__name__, inputs[: USED[function.__name__]]

            def forward(compiled: Any = compiled) -> None:
                with torch.inference_mode():
                    compiled(*inputs)

            def training(compiled: Any = compiled, leaves: Any = leaves) -> None:
                torch.autograd.grad(Loss.apply(compiled(*inputs), slope), leaves)

            found |= {f"{name} forward": forward, f"{name} forward and backward": training}
            forward()
            training()
        return found

    large, small = calls(rows), calls(1)
    source, target = torch.randn(rows, columns), torch.empty(rows, columns)
    return {
        "call": large,
        "small": small,
        "kernels": {name: inductor_kernels(call) for name, call in large.items()},
        "copy": dict.fromkeys(large, lambda: target.copy_(source)),
    }


def jax_side(rows: int, columns: int) -> Answers:
    """The subgraphs in JAX, jitted; backward gives the result and the gradients, as torch's does."""
    import jax
    import jax.numpy as jnp

    def rms_norm(x: Any, weight: Any) -> Any:
        return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6) * weight

    def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        return centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * weight + bias

    def softmax(x: Any) -> Any:
        exponential = jnp.exp(x - x.max(-1, keepdims=True))
        return exponential / exponential.sum(-1, keepdims=True)

    def gelu(x: Any) -> Any:
        return 0.5 * x * (1.0 + jnp.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))

    def swish(x: Any, weight: Any, bias: Any) -> Any:
        return x * jax.nn.sigmoid(x) * weight + bias

    drawn = np.random.default_rng(0)
    shapes = ((rows, columns), (columns,), (columns,), (rows, columns))
    *inputs, slope = [jnp.asarray(drawn.standard_normal(shape, dtype="float32")) for shape in shapes]
    found: dict[str, Call] = {}
    for function in (rms_norm, softmax, layer_norm, gelu, swish):
        name, leaves = function.__name__, inputs[: USED[function.__name__]]

        def both(leaves: Any, slope: Any, function: Any = function) -> Any:
            result, pull = jax.vjp(function, *leaves)
            return result, pull(slope)

        plain, trained = jax.jit(function), jax.jit(both)

        def forward(jitted: Any = plain, leaves: Any = leaves) -> None:
            jitted(*leaves).block_until_ready()

        def training(jitted: Any = trained, leaves: Any = leaves) -> None:
            jax.block_until_ready(jitted(leaves, slope))

        found |= {f"{name} forward": forward, f"{name} forward and backward": training}
        forward()
        training()
    return {"call": found}


def inductor_kernels(call: Call) -> Call:
    """The C++ kernels that torch.compile made for `call`, with the arguments that `call` gives them."""
    from torch._inductor.codecache import PyCodeCache

    seen: list[tuple[Any, tuple[Any, ...]]] = []

    def recorder(kernel: Any) -> Any:
        def run(*arguments: Any) -> None:
            seen.append((kernel, arguments))
            kernel(*arguments)

        return run

    made = [(m, name, k) for m in PyCodeCache.modules for name, k in vars(m).items() if name.startswith("cpp_fused")]
    for module, name, kernel in made:
        setattr(module, name, recorder(kernel))
    call()
    for module, name, kernel in made:
        setattr(module, name, kernel)
    assert seen, "torch.compile called no kernel of its own"

    def again() -> None:
        for kernel, arguments in seen:
            kernel(*arguments)

    return again


def paddle_side(rows: int, columns: int) -> Answers:
    """The subgraphs of projects/02-compiler, eager and by its generator."""
    sys.path.insert(0, str(ROOT / "projects" / "02-compiler"))
    import accuracy
    import generator
    import measure
    import paddle
    import subgraphs
    import tracing

    answers: Answers = {"call": {}, "eager": {}, "kernels": {}, "small": {}, "vjp": {}, "engine": {}, "nothing": {}}

    class Nothing(paddle.autograd.PyLayer):  # type: ignore[misc]
        """An operator that takes a list of tensors; its result and its gradients are what comes to hand."""

        @staticmethod
        def forward(context: Any, tensors: Any) -> Any:
            context.save_for_backward(*tensors)
            return paddle.empty(tensors[0].shape)

        @staticmethod
        def backward(context: Any, _: Any) -> Any:
            return [paddle.empty(tensor.shape) for tensor in context.saved_tensor()]

    def calls(name: str, size: int) -> tuple[Any, Any, dict[str, Call], dict[str, Call]]:
        subgraph = subgraphs.find(name)
        inputs = accuracy.tensors(subgraph.arrays(size, columns, 0), "float32")
        slope = paddle.randn([size, columns])
        hook = generator.Generator(name)
        compiled, _ = tracing.to_static(subgraph.function, inputs, hook)
        modes = [
            {
                f"{name} forward": measure.forward(way, inputs),
                f"{name} forward and backward": measure.training(way, inputs, slope),
            }
            for way in (compiled, subgraph.function)
        ]
        for call in modes[0].values():
            call()
        if size == rows:
            both = f"{name} forward and backward"
            answers["vjp"][both] = functools.partial(compiled.vjp, inputs, [slope])
            answers["engine"][both] = measure.training(lambda x: x * 2.0, inputs[:1], slope)
            answers["nothing"][both] = measure.training(lambda *tensors: Nothing.apply(list(tensors)), inputs, slope)
            answers["vjp"][both]()
        return hook.report.forward, hook.report.backward, *modes

    for name in NAMES:
        answers["small"] |= calls(name, 1)[2]
        forward, backward, compiled, eager = calls(name, rows)
        answers["call"] |= compiled
        answers["eager"] |= eager
        answers["kernels"][f"{name} forward"] = generated_kernels(forward, rows)
        answers["kernels"][f"{name} forward and backward"] = generated_kernels([*forward, *backward], rows)
    return answers


def generated_kernels(kernels: Any, rows: int) -> Call:
    """The generator's kernels alone, on arrays of their own; their `interface` says which (see carrier.cc)."""
    import toolchain

    runs = []
    for kernel in kernels:
        library = ctypes.CDLL(str(kernel.library.path))
        word = iter((ctypes.c_int64 * 256).in_dll(library, "interface"))
        sizes = (ctypes.c_int64 * 8)(*[rows for _ in range(next(word)) if (next(word), next(word))])
        arrays = []
        for _ in ("inputs", "outputs"):
            shapes = []
            for _ in range(next(word)):
                assert next(word) == 0, "float32 only"
                shapes.append(
                    [size if size >= 0 else sizes[-1 - size] for size in [next(word) for _ in range(next(word))]]
                )
            arrays.append([aligned(int(np.prod(shape))) for shape in shapes])
        pointers = [(ctypes.c_void_p * len(some))(*[array.ctypes.data for array in some]) for some in arrays]
        runs.append((library.run, *pointers, sizes, toolchain.threads(), arrays))

    def again() -> None:
        for run, sources, targets, sizes, threads, _ in runs:
            run(sources, targets, sizes, threads)

    return again


def aligned(count: int) -> Any:
    """`count` random numbers that begin with a page, as the tensors of both frameworks do where they are large."""
    room = np.random.default_rng(0).standard_normal(count + 1024, dtype="float32")
    start = -room.ctypes.data % 4096 // 4
    return room[start : start + count]


def faults(call: Call) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    call()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def milliseconds(call: Call) -> float:
    times = []
    for _ in range(CALLS):
        started = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times[1:])


def main() -> None:
    side, rows, columns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    sides: dict[str, Callable[[int, int], Answers]] = {
        "paddle": paddle_side,
        "torch": torch_side,
        "torch-autotune": functools.partial(torch_side, mode="max-autotune"),
        "jax": jax_side,
    }
    answers = sides[side](rows, columns)
    print("ready", flush=True)
    for line in sys.stdin:
        what, _, name = line.strip().partition(" ")
        answer = faults(answers["call"][name]) if what == "faults" else milliseconds(answers[what][name])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
