r"""The ways of running a subgraph, timed in turn in one process. faster.py starts it once for each allocator:

    ./inv python projects/02-compiler/measure.py \
        '{"device": "cpu", "names": ["softmax"], "sizes": [[4096, 1024]], "rounds": 15, "seed": 0}'

prints a log for a person and, as its last line, JSON: a list of {name, rows, columns, mode, milliseconds, compiled,
sample} and the metrics of accuracy.Errors.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait would take a processor from those that work

import accuracy
import backend
import generator
import paddle
import rules
import subgraphs
import tracing

# A program's operators run one after the other in the thread that calls it, whose OpenMP threads are already there.
paddle.set_flags({"FLAGS_enable_pir_in_executor_trace_run": True})

Way = Callable[..., paddle.Tensor]
OWN_PASS, GENERATED = "own pass", "generated code"
FEWEST, SECONDS = 3, 60  # rounds at least, and after which time no more are begun
COPIED = 2**16  # numbers: as many are copied in the time that a layer of Python takes
SAMPLE = 64  # numbers of each result, by which another run is compared with this one


def ways(subgraph: subgraphs.Subgraph, inputs: list[paddle.Tensor], gradients: bool) -> dict[str, Way]:
    """Each way of running `subgraph`, by name, compiled for `inputs`, the compiler's own last.

    The pass of part 2-2 is among them where it finds a chain. Raises SilentFallback if kernels do not run.
    """
    static, _ = tracing.to_static(subgraph.function, inputs)
    found: dict[str, Way] = {"plain eager": subgraph.function, "to_static": static}
    own = rules.Substitution()
    substituted, partial = tracing.to_static(subgraph.function, inputs, own)
    _ = partial.train_program  # rewritten here, not at the first call
    if own.matches:
        found[OWN_PASS] = substituted
    if paddle.is_compiled_with_cinn():
        compiled = paddle.jit.to_static(subgraph.function, full_graph=True, backend="CINN")
        _, partial = compiled.get_concrete_program(*inputs)
        compiled(*inputs)
        backend.require_cinn(str(getattr(partial, "_backend", "")), str(partial.train_program.forward_program), {})
        return {**found, "CINN": compiled}
    hook = generator.Generator(subgraph.name, gradients=gradients)
    compiled, partial = tracing.to_static(subgraph.function, inputs, hook)
    operators = [operation.name() for operation in partial.train_program.forward_program.global_block().ops]
    backend.require_generated(operators, len(hook.report.forward), changed=True)
    return {**found, GENERATED: compiled}


def interleaved(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each call; every round runs all of them, beginning with another one.

    A card is waited for: its kernels run on when a call is over. Where a kernel takes seconds, as the gradient of max
    in some versions of Paddle, there are fewer rounds.
    """
    wait = paddle.device.synchronize if paddle.get_device() != "cpu" else lambda: None
    times: dict[str, list[float]] = {name: [] for name in calls}
    names, began = list(calls), time.perf_counter()
    for number in range(rounds + 2):  # two rounds fill the caches and the allocator
        if number >= 2 + FEWEST and time.perf_counter() - began > SECONDS:
            break
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            started = time.perf_counter()
            calls[name]()
            wait()
            if number >= 2:
                times[name].append(1e3 * (time.perf_counter() - started))
    return {name: statistics.median(taken) for name, taken in times.items()}


def forward(way: Way, inputs: list[paddle.Tensor]) -> Callable[[], Any]:
    def call() -> None:
        with paddle.no_grad():
            way(*inputs)

    return call


class Loss(paddle.autograd.PyLayer):
    """What ends a graph with a given slope. Handed to paddle.grad instead, the slope would be copied first, which is
    cheaper only where it is small."""

    @staticmethod
    def forward(context: Any, result: paddle.Tensor, slope: paddle.Tensor) -> paddle.Tensor:
        context.slope = slope
        return paddle.zeros([])

    @staticmethod
    def backward(context: Any, _: paddle.Tensor) -> paddle.Tensor:
        return context.slope


def training(way: Way, inputs: list[paddle.Tensor], slope: paddle.Tensor) -> Callable[[], Any]:
    if slope.size <= COPIED:
        return lambda: paddle.grad(way(*inputs), inputs, slope)
    one = paddle.ones([])
    return lambda: paddle.grad(Loss.apply(way(*inputs), slope), inputs, one)


def measure(subgraph: subgraphs.Subgraph, rows: int, columns: int, rounds: int, seed: int) -> list[dict[str, Any]]:
    """Times and errors of `subgraph` at one size, forward alone, and forward and backward."""
    inputs = accuracy.tensors(subgraph.arrays(rows, columns, seed), "float32")
    with paddle.no_grad():
        results = accuracy.results_of(subgraph.function(*inputs))
    if len(results) != 1:
        raise subgraphs.SubgraphError(
            f"{subgraph.name} returns {len(results)} tensors.\nWhat is timed is a function with one result.\n"
            "Part 2-1 compiles it as it is."
        )
    weights = accuracy.random_slopes([results[0].shape], "float32", seed)
    slope = paddle.to_tensor(weights[0])
    found = ways(subgraph, inputs, True)
    compiled = list(found)[-1]
    outcome = accuracy.evaluate(found[compiled], inputs, weights, accuracy.parameters_of(subgraph.function))
    usual = accuracy.plain(subgraph.function, inputs, weights)
    errors = accuracy.compare(outcome, usual, accuracy.reference(subgraph.function, inputs, weights), inputs).metrics()
    size = {"name": subgraph.name, "rows": rows, "columns": columns, "compiled": compiled, **errors}
    size["sample"] = outcome.results[0].ravel()[:SAMPLE].tolist()
    del outcome, usual
    rows_of = []
    for mode in ("forward", "forward and backward"):
        call = (lambda way: forward(way, inputs)) if mode == "forward" else (lambda way: training(way, inputs, slope))
        times = interleaved({name: call(way) for name, way in found.items()}, rounds)
        print(
            f"{subgraph.name:18} {rows}x{columns} {mode:20} " + "  ".join(f"{k} {v:.2f} ms" for k, v in times.items()),
            flush=True,
        )
        rows_of.append({**size, "mode": mode, "milliseconds": times})
    return rows_of


def main() -> None:
    asked = json.loads(sys.argv[1])
    paddle.set_device(asked["device"])
    found = []
    for name in asked["names"]:
        for rows, columns in asked["sizes"]:
            found += measure(subgraphs.find(name), rows, columns, asked["rounds"], asked["seed"])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
