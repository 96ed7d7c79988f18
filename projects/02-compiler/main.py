"""Task 2-1: one subgraph through the whole compiler, stage by stage, with proof that the generated code is what runs.

    python projects/02-compiler/main.py --part 2-1 --device cpu --out /tmp/compiler --set subgraph=layer_norm
    python projects/02-compiler/main.py --part 2-1 --set subgraph=mine.py:block rows=512 columns=768 dtype=bfloat16

The stages, in order: Python → dy2st → PIR → groups → decomposed PIR → loops → C → shared object → back into PIR as a
custom operator → run. Each leaves its text in stages/, its number of operators and its time. Where Paddle was built
with CINN, CINN takes the program from PIR on; no CPU wheel has it, and then it is this folder's generator: bridge.py
cuts groups out and puts kernels back, lowering.py, loops.py and emission.py go from PIR to C, toolchain.py compiles.
"""

import inspect
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import accuracy
import backend
import generator
import numpy as np
import paddle
import pictures
import subgraphs
import toolchain
import tracing

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit


def refuse(error: Exception) -> None:
    """One line, and out: what the person who runs this can put right needs no traceback."""
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    codes = {subgraphs.SubgraphError: 2, toolchain.NoCompiler: 3, backend.NoBackend: 3}
    raise SystemExit(codes.get(type(error), 1)) from None


def trace(subgraph: subgraphs.Subgraph, arguments: list[Any], hook: Any = None) -> tuple[Any, Any]:
    """The subgraph through dy2st; raises SubgraphError with the function's own words if it cannot be traced."""
    try:
        return tracing.to_static(subgraph.function, arguments, hook)
    except Exception as error:
        words = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise subgraphs.SubgraphError(f"{subgraph.name} cannot be traced: {words[-1] if words else error!r}") from error


def open_batch(subgraph: subgraphs.Subgraph, parameters: Any) -> list[Any]:
    """Specifications of the tensors that leave the number of rows open."""
    specifications = []
    sizes = subgraph.sizes(parameters["rows"], parameters["columns"])
    for words, shape in zip(subgraph.shapes, sizes, strict=True):
        known = [None if word.startswith("rows") else size for word, size in zip(words.split(), shape, strict=True)]
        specifications.append(paddle.static.InputSpec(known, parameters["dtype"], stop_gradient=False))
    return specifications


def conclude(program: Any, inputs: list[Any], found: accuracy.Outcome, exact: accuracy.Outcome) -> None:
    """What both backends note once it is proven that their code ran."""
    suffix = "_bfloat16" if program.parameters["dtype"] == "bfloat16" else ""
    forward, gradient = accuracy.errors(found, exact)
    print(f"  errors against float64: forward {forward:.1e}, gradients {gradient:.1e}")
    program.metric("proven", True)
    program.metric("forward_error" + suffix, forward)
    program.metric("gradient_error" + suffix, gradient)
    program.used(*inputs)
    program.trace(result=found.result.astype("float32"))


def through_the_generator(program: Any, subgraph: subgraphs.Subgraph, inputs: list[Any], slope: np.ndarray) -> None:
    """Every stage on the CPU's wheel; writes texts, metrics and the picture."""
    parameters = program.parameters
    arguments = open_batch(subgraph, parameters) if parameters["dynamic"] else list(inputs)
    stages = pictures.Stages(program.artefact)
    stages.add("python", inspect.getsource(subgraph.function), Counter(), 0.0)

    # 1. Python to PIR, which is Paddle's own work, and PIR to kernels and back, which happens in the hook.
    started = time.perf_counter()
    carrier = toolchain.load_carrier()
    print(f"carrier of kernels: {'kept from before' if not carrier else f'built in {carrier:.1f} s, once'}")
    hook = generator.Generator(subgraph.name)
    started = time.perf_counter()
    compiled, partial = trace(subgraph, arguments, hook)
    traced = time.perf_counter() - started
    started = time.perf_counter()
    operators = [operation.name() for operation in partial.train_program.forward_program.global_block().ops]
    rewriting = time.perf_counter() - started
    report = hook.report
    if branches := {"if", "while"} & set(report.operations):
        raise subgraphs.SubgraphError(
            f"{subgraph.name} has control flow that depends on tensors ({', '.join(sorted(branches))}), "
            "which the generator cannot compile; let a kernel begin inside the branch, or use paddle.where"
        )
    kernels = [*report.forward, *report.backward]
    seconds = sum(kernel.library.seconds for kernel in kernels)
    stages.add("pir", report.program, report.operations, traced)
    for name, text in [
        ("groups", "\n\n".join(f"# {kernel.name}\n{kernel.before}" for kernel in report.forward)),
        ("decomposed", "\n\n".join(f"# {kernel.name}\n{kernel.decomposed}" for kernel in kernels)),
    ]:
        counts = sum(
            (k.grouped for k in report.forward) if name == "groups" else (k.operations for k in kernels), Counter()
        )
        stages.add(name, text, counts, report.seconds[name])
    stages.add(
        "loops",
        "\n\n".join(k.loops for k in kernels),
        Counter(loops=sum(k.passes for k in kernels)),
        report.seconds["loops"],
    )
    for kernel in kernels:
        program.artefact(f"stages/{kernel.name}.c").write_text(kernel.source)
        kept = "kept from before" if not kernel.library.seconds else f"compiled in {kernel.library.seconds:.2f} s"
        print(f"  kernel {kernel.name}: {sum(kernel.operations.values())} operators in {kernel.passes} loops, {kept}")
    stages.add(
        "c", "\n\n".join(k.source for k in kernels), Counter(lines=sum(k.source.count("\n") for k in kernels)), seconds
    )
    stages.add(
        "rewritten",
        report.rewritten,
        Counter(tracing.short(operators)),
        rewriting - seconds - sum(report.seconds.values()),
    )
    for name, why in report.left:
        print(f"  stays with Paddle: {name} ({why})")

    # 2. Is it right, and is it what runs? Kernels that are wrong on purpose have to change the output.
    started = time.perf_counter()
    found = accuracy.evaluate(compiled, inputs, slope)
    stages.add("run", "", Counter(tracing.short(operators)), time.perf_counter() - started)
    exact = accuracy.reference(subgraph.function, inputs, slope)
    wrong, _ = trace(subgraph, arguments, generator.Generator(subgraph.name + "_wrong", gradients=False, spoil=True))
    with paddle.no_grad():
        difference = accuracy.relative(accuracy.double(wrong(*inputs)), exact.result)
    print(f"  kernels that are wrong on purpose change the output: relative error {difference:.1e}")
    backend.require_generated(operators, len(report.forward), difference > 0.1)
    program.metric("kernels", len(kernels))
    program.metric("operators_before", sum(report.operations.values()))
    program.metric("operators_after", len(tracing.short(operators)))
    program.metric("left_with_paddle", len(report.left))
    program.metric("slowest_compilation", max(kernel.library.seconds for kernel in kernels))
    conclude(program, inputs, found, exact)
    stages.finish(
        f"{subgraph.name}, {parameters['rows']} × {parameters['columns']}, {parameters['dtype']}, generated code"
    )


def through_cinn(program: Any, subgraph: subgraphs.Subgraph, inputs: list[Any], slope: np.ndarray) -> None:
    """The same subgraph where Paddle has CINN: it compiles at the first run, and has to prove that it did."""
    stages = pictures.Stages(program.artefact)
    stages.add("python", inspect.getsource(subgraph.function), Counter(), 0.0)
    paddle.set_flags({"FLAGS_prim_all": True, "FLAGS_print_ir": True})
    started = time.perf_counter()
    compiled = paddle.jit.to_static(subgraph.function, full_graph=True, backend="CINN")
    _, partial = compiled.get_concrete_program(*inputs)
    found = accuracy.evaluate(compiled, inputs, slope)
    text = str(partial.train_program.forward_program)
    stages.add("cinn", text, Counter(), time.perf_counter() - started)
    flags = paddle.get_flags(["FLAGS_use_cinn", "FLAGS_prim_all"])
    backend.require_cinn(str(getattr(partial, "_backend", "")), text, flags)
    operators = [operation.name() for operation in partial.train_program.forward_program.global_block().ops]
    program.metric("kernels", text.count("cinn_runtime.jit_kernel") + text.count("cinn_op.group"))
    program.metric(
        "operators_before", len(tracing.short(op.name() for op in partial.program.program.global_block().ops))
    )
    program.metric("operators_after", len(tracing.short(operators)))
    program.metric("left_with_paddle", sum(name.startswith("pd_op.") for name in operators))
    program.metric("slowest_compilation", stages.seconds["cinn"])
    conclude(program, inputs, found, accuracy.reference(subgraph.function, inputs, slope))
    stages.finish(f"{subgraph.name}, CINN")


def main() -> None:
    program = kit.start(__file__, __doc__)
    parameters = program.parameters
    try:
        subgraph = subgraphs.find(parameters["subgraph"])
        arrays = subgraph.arrays(parameters["rows"], parameters["columns"], program.seed)
        inputs = accuracy.tensors(arrays, parameters["dtype"])
        cinn = bool(paddle.is_compiled_with_cinn())
        chosen = backend.choose(cinn, backend.in_host_memory(paddle.arange(1024, dtype="float32")), program.device)
        try:
            shape = subgraph.function(*accuracy.tensors(arrays, "float32")).shape  # not every eager kernel has bfloat16
        except Exception as error:
            raise subgraphs.SubgraphError(
                f"{subgraph.name} does not compute: {type(error).__name__}: {error}"
            ) from error
        slope = np.random.default_rng(program.seed + 1).standard_normal(shape, dtype="float32")
        program.metric("backend", chosen)
        program.metric("cinn", "compiled in" if cinn else backend.ABSENT)
        print(f"subgraph {subgraph.name}, cinn: {'compiled in' if cinn else backend.ABSENT}, so: {chosen}")
        {"generated": through_the_generator, "cinn": through_cinn}[chosen](program, subgraph, inputs, slope)
    except (subgraphs.SubgraphError, toolchain.NoCompiler, toolchain.CompilationFailed, backend.NoBackend) as error:
        refuse(error)
    program.finish()


if __name__ == "__main__":
    main()
