"""Task 3: one composite operator taken apart in a better way, in Python and in C++, shown to run and to gain.

    ./inv python projects/03-decomposition/main.py --part 3 --device cpu --out /tmp/split
    ./inv python projects/03-decomposition/main.py --part 3 --set rows=4096 columns=4096 rounds=15

The operator is gelu with the tanh approximation, and splitting.py has the mathematics: eight operators with a power
become five without. override.cc is the same rule in C++, put where Paddle keeps its own. Programs before and after,
results and gradients against float64, and times in turn; what compiles is ../02-compiler, or CINN where Paddle has it.
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import paddle

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
sys.path.append(str(Path(__file__).resolve().parents[1] / "02-compiler"))  # the compiler's steps are those of task 2
import accuracy
import backend
import generator
import kit
import measure
import pictures
import splitting
import toolchain
import tracing

PLAIN = ("eager", "whole operator", "Paddle's rule")  # the ways without the own rule


def gelu(x: paddle.Tensor) -> paddle.Tensor:
    return paddle.nn.functional.gelu(x, approximate=True)


def registered_calls(shape: list[int]) -> int:
    """How often Paddle calls a rule that its own `register_decomp` has taken: never, where a rule in C++ exists."""
    calls = []

    def rule(*arguments: Any) -> Any:
        calls.append(arguments)
        return splitting.split_gelu(arguments[0])

    paddle.decomposition.register.register_decomp(splitting.OPERATOR)(rule)
    splitting.decomposed(gelu, shape)
    return len(calls)


def traced(
    inputs: list[paddle.Tensor], *hooks: Any, override: splitting.Override | None = None, prim: bool = True
) -> Any:
    """gelu through to_static; `prim`: Paddle takes composite operators apart, by whatever rule is in force."""
    with ExitStack() as stack:
        if override:
            stack.enter_context(override)
        if prim:
            stack.enter_context(tracing.decomposing())
        static, partial = tracing.to_static(gelu, inputs)
        partial._hookers[:0] = hooks
        _ = partial.train_program  # rewritten and taken apart here, not at the first call
    return static


def compiled(inputs: list[paddle.Tensor], chosen: str, name: str) -> Any:
    """The own rule's operators as one kernel; raises backend.SilentFallback if none runs."""
    hook = splitting.Splitting()
    if chosen == "cinn":
        static = paddle.jit.to_static(gelu, full_graph=True, backend="CINN")
        _, partial = static.get_concrete_program(*inputs)
        partial._hookers.insert(0, hook)
        static(*inputs)
        backend.require_cinn(str(getattr(partial, "_backend", "")), str(partial.train_program.forward_program), {})
        return static
    kernels = generator.Generator(name)
    static, partial = tracing.to_static(gelu, inputs)
    partial._hookers[:0] = [hook, kernels]
    operators = [operation.name() for operation in partial.train_program.forward_program.global_block().ops]
    backend.require_generated(operators, len(kernels.report.forward), changed=True)
    return static


def compare_rules(program: kit.Program, shape: list[int], override: splitting.Override) -> None:
    """The programs: by Paddle's rule, by the own one in Python, by the own one in C++, and by Paddle's again."""
    hook = splitting.Splitting()
    programs = {"paddle": splitting.decomposed(gelu, shape), "python": splitting.decomposed(gelu, shape, hook)}
    with override:
        programs["cpp"] = splitting.decomposed(gelu, shape)
    programs["paddle again"] = splitting.decomposed(gelu, shape)
    counts = {name: splitting.operators(found) for name, found in programs.items()}
    traffic = {name: splitting.traffic(found) for name, found in programs.items()}
    for name, found in programs.items():
        program.artefact(f"programs/{name.replace(' ', '-')}.txt").write_text(str(found))
        words = ", ".join(f"{count} {operator}" for operator, count in counts[name].items())
        total = sum(counts[name].values())
        print(f"{name + ':':14} {total} operators, {traffic[name]} tensors read or written: {words}")
    program.metric("operators_before", sum(counts["paddle"].values()))
    program.metric("operators_after", sum(counts["python"].values()))
    program.metric("traffic_before", traffic["paddle"])
    program.metric("traffic_after", traffic["python"])
    program.metric("python_calls", hook.calls)
    program.metric("cpp_calls", override.calls)
    program.metric("same_operators", counts["python"] == counts["cpp"])
    program.metric("restored", counts["paddle again"] == counts["paddle"])
    calls = registered_calls(shape)
    print(f"paddle.decomposition.register.register_decomp: Paddle called the rule {calls} times")
    program.metric("registered_calls", calls)


def check_results(program: kit.Program, ways: dict[str, Any], inputs: list[paddle.Tensor], slope: np.ndarray) -> None:
    """Are result and gradient right, and are they the rule's? One that is wrong on purpose has to change them."""
    exact = accuracy.reference(gelu, inputs, [slope])
    found = {name: accuracy.errors(accuracy.evaluate(way, inputs, [slope]), exact) for name, way in ways.items()}
    found = {"eager": accuracy.errors(accuracy.plain(gelu, inputs, [slope]), exact), **found}
    for name, (forward, gradient) in found.items():
        print(f"{name + ':':20} error against float64 {forward:.1e}, of the gradient {gradient:.1e}")
    for place, name in enumerate(("forward_error", "gradient_error")):
        program.metric(name, max(errors[place] for way, errors in found.items() if way not in PLAIN))
        program.metric(f"plain_{name}", max(errors[place] for way, errors in found.items() if way in PLAIN))
    wrong = [traced(inputs, splitting.Splitting(wrong=True)), traced(inputs, override=splitting.Override(wrong=True))]
    differences = [accuracy.relative(accuracy.double(way(*inputs)), exact.results[0]) for way in wrong]
    print(f"a rule that is wrong on purpose: error {differences[0]:.1e} in Python, {differences[1]:.1e} in C++")
    program.metric("proven", min(differences) > 1e-3)  # thousands of roundings
    program.trace(result=accuracy.double(ways["own rule, Python"](*inputs)).astype("float32"))


def compare_times(program: kit.Program, ways: dict[str, Any], inputs: list[paddle.Tensor], slope: np.ndarray) -> None:
    """What is gained: every way in turn, medians."""
    weights = paddle.to_tensor(slope)
    speeds: dict[str, dict[str, float]] = {}
    for mode in ("forward", "training"):
        callables = {
            name: measure.forward(way, inputs) if mode == "forward" else measure.training(way, inputs, weights)
            for name, way in ways.items()
        }
        times = measure.interleaved(callables, program.parameters["rounds"])
        print(f"{mode}: " + ", ".join(f"{name} {time:.2f} ms" for name, time in times.items()))
        speeds[mode] = {name: times["Paddle's rule"] / time for name, time in times.items()}
        program.metric(f"{mode}_speedup", speeds[mode]["own rule, Python"])
        program.metric(f"{mode}_speedup_compiled", speeds[mode]["own rule, compiled"])
        program.metric(f"{mode}_over_whole_operator", times["whole operator"] / times["own rule, compiled"])
    title = f"gelu, {inputs[0].shape[0]} × {inputs[0].shape[1]} float32"
    pictures.bars(speeds, list(ways), title, program.artefact("speed.png"), beside="Paddle's rule")


def main() -> None:
    program = kit.start(__file__, __doc__)
    shape = [program.parameters["rows"], program.parameters["columns"]]
    accuracy.require_memory(shape[0] * shape[1])
    host = backend.in_host_memory(paddle.arange(1024, dtype="float32"))
    chosen = backend.choose(bool(paddle.is_compiled_with_cinn()), host, program.device)
    override = splitting.Override()
    print(f"the rule in C++: {f'built in {override.seconds:.1f} s, once' if override.seconds else 'kept from before'}")
    program.metric("backend", chosen)
    compare_rules(program, shape, override)

    numbers = np.random.default_rng(program.seed)
    inputs = accuracy.tensors([numbers.standard_normal(shape, dtype="float32")], "float32")
    slope = numbers.standard_normal(shape, dtype="float32")
    ways = {
        "whole operator": traced(inputs, prim=False),
        "Paddle's rule": traced(inputs),
        "own rule, Python": traced(inputs, splitting.Splitting()),
        "own rule, C++": traced(inputs, override=override),
        "own rule, compiled": compiled(inputs, chosen, "split_gelu"),
    }
    check_results(program, ways, inputs, slope)
    compare_times(program, ways, inputs, slope)
    program.used(*inputs)
    program.finish()


if __name__ == "__main__":
    kit.main(
        main,
        backend.NoBackend,
        backend.SilentFallback,
        toolchain.NoCompiler,
        toolchain.CompilationFailed,
        accuracy.NoMemory,
    )
