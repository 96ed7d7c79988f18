"""Task 2-1: one subgraph through the whole compiler, stage by stage, with proof that the generated code is what runs.

    ./inv python projects/02-compiler/main.py --part 2-1 --device cpu --out /tmp/compiler --set subgraph=layer_norm
    ./inv python projects/02-compiler/main.py --part 2-1 --set subgraph=mine.py:block rows=512 columns=768

The stages, in order: Python → dy2st → PIR → groups → decomposed PIR → loops → C → shared object → back into PIR as a
custom operator → run. Each leaves its text in stages/, its number of operators and its time. Where Paddle was built
with CINN, CINN takes the program from PIR on; no CPU wheel has it, and then it is this folder's generator:
generator.py puts kernels in the place of groups of operators, lowering.py, loops.py and emission.py go from PIR to C,
toolchain.py compiles.
"""

import inspect
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
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

NO_ROUNDING = {"float32": 1e-3, "bfloat16": 0.05}  # relative errors that are thousands of roundings, or ten


@contextmanager
def traceable(name: str) -> Iterator[None]:
    """Inside, whatever Paddle cannot trace or differentiate raises SubgraphError with its own words."""
    try:
        yield
    except (toolchain.NoCompiler, toolchain.CompilationFailed):
        raise
    except Exception as error:
        words = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
        raise subgraphs.SubgraphError(
            f"{name} cannot be traced.\n{words[-1]}\n"
            "dy2st traces what Paddle has kernels for in this type: try dtype=float32, or write it otherwise."
        ) from error


def open_batch(subgraph: subgraphs.Subgraph, parameters: Any) -> list[Any]:
    """Specifications of the tensors that leave the number of rows open."""
    specifications = []
    sizes = subgraph.sizes(parameters["rows"], parameters["columns"])
    for words, shape in zip(subgraph.shapes, sizes, strict=True):
        known = [None if word.startswith("rows") else size for word, size in zip(words.split(), shape, strict=True)]
        specifications.append(paddle.static.InputSpec(known, parameters["dtype"], stop_gradient=False))
    return specifications


def require_numbers(name: str, results: list[Any]) -> None:
    """Raise SubgraphError unless there are tensors, and real numbers in each."""
    if not results or any(result.is_complex() for result in results):
        raise subgraphs.SubgraphError(
            f"{name} returns {'complex numbers' if results else 'no tensor'}.\n"
            "What is compiled returns tensors of real numbers, alone or in a tuple, list or dictionary.\nReturn such."
        )
    if any(result.size == 0 for result in results):
        raise subgraphs.SubgraphError(
            f"{name} returns a tensor without a number in it.\nNothing is compared.\nReturn a part that is not empty."
        )


def plain_results(
    subgraph: subgraphs.Subgraph, inputs: list[Any], dtype: str, seed: int
) -> tuple[list[np.ndarray], accuracy.Outcome, accuracy.Outcome]:
    """Slopes, and what plain Paddle makes of them in float32 and in float64; raises SubgraphError if it cannot."""
    try:
        results = accuracy.results_of(subgraph.function(*accuracy.tensors(map(accuracy.double, inputs), "float32")))
        require_numbers(subgraph.name, results)
        slopes = accuracy.random_slopes([result.shape for result in results], dtype, seed)
        usual = accuracy.plain(subgraph.function, inputs, slopes)
        exact = accuracy.reference(subgraph.function, inputs, slopes)
    except subgraphs.SubgraphError:
        raise
    except Exception as error:
        words = str(error).strip().splitlines() or [""]
        raise subgraphs.SubgraphError(
            f"{subgraph.name} does not compute.\n{type(error).__name__}: {words[-1].strip()}\n"
            "It has to run eagerly on tensors of its annotated shapes, and to be differentiable in each."
        ) from error
    if not exact.finite:
        raise subgraphs.SubgraphError(
            f"{subgraph.name} is not finite.\nOf normal random numbers it makes infinities or NaN, even in float64.\n"
            "Bring its inputs into range first: paddle.log(x * x + 1), not paddle.log(x)."
        )
    if (off := accuracy.relative_to(usual, exact)) > NO_ROUNDING[dtype]:
        raise subgraphs.SubgraphError(
            f"{subgraph.name} is not the same function twice.\n"
            f"In float32 it is {off:.0e} off what it is in float64, which no rounding explains: "
            "it draws random numbers, or float32 does not hold it.\n"
            "Take what is random out of it: F.dropout(…, training=False), layer.eval()."
        )
    return slopes, usual, exact


def require_same_traced(
    subgraph: subgraphs.Subgraph, inputs: list[Any], arguments: list[Any], slopes: list[np.ndarray], exact: Any
) -> None:
    """Raise SubgraphError if Paddle's to_static alone, without a kernel of ours, computes something else."""
    with traceable(subgraph.name):
        static, _ = tracing.to_static(subgraph.function, arguments)
        traced = accuracy.evaluate(static, inputs, slopes, accuracy.parameters_of(subgraph.function))
    if (off := accuracy.relative_to(traced, exact)) > NO_ROUNDING[str(inputs[0].dtype).rpartition(".")[2]]:
        raise subgraphs.SubgraphError(
            f"Paddle's to_static makes something else of {subgraph.name}.\n"
            f"Without a generated kernel too it is {off:.0e} off what the function computes eagerly.\n"
            "Write it without what dy2st loses: in-place operations, y[…] = …, float(tensor), tensor.numpy()."
        )


def note_kernels(stages: pictures.Stages, report: generator.Report, artefact: Any) -> None:
    """The stages between PIR and the shared objects, as the generator reports them."""
    kernels = report.kernels
    texts = {
        "groups": ("\n\n".join(f"# {kernel.name}\n{kernel.before}" for kernel in report.forward), report.forward),
        "decomposed": ("\n\n".join(f"# {kernel.name}\n{kernel.decomposed}" for kernel in kernels), kernels),
    }
    for name, (text, described) in texts.items():
        counts = sum((k.grouped if name == "groups" else k.operations for k in described), Counter())
        stages.add(name, text, counts, report.seconds[name])
    passes = Counter(loops=sum(k.passes for k in kernels))
    stages.add("loops", "\n\n".join(k.loops for k in kernels), passes, report.seconds["loops"])
    for kernel in kernels:
        artefact(f"stages/{kernel.name}.c").write_text(kernel.source)
        kept = "kept from before" if not kernel.library.seconds else f"compiled in {kernel.library.seconds:.2f} s"
        print(f"  kernel {kernel.name}: {sum(kernel.operations.values())} operators in {kernel.passes} loops, {kept}")
    source = "\n\n".join(k.source for k in kernels)
    stages.add("c", source, Counter(lines=source.count("\n")), report.compilation)


def compile_stages(
    subgraph: subgraphs.Subgraph, arguments: list[Any], stages: pictures.Stages
) -> tuple[Any, generator.Report, list[str]]:
    """Every stage from Python to a program with kernels: it, what the generator did, and its operators.

    Python to PIR is Paddle's own work; PIR to kernels and back happens in the hook.
    """
    seconds = toolchain.load_carrier().seconds
    print(f"carrier of kernels: {f'built in {seconds:.1f} s, once' if seconds else 'kept from before'}")
    hook = generator.Generator(subgraph.name)
    started, report = time.perf_counter(), hook.report
    with traceable(subgraph.name):
        compiled, partial = tracing.to_static(subgraph.function, arguments, hook)
        traced = time.perf_counter()
        operators = [operation.name() for operation in partial.train_program.forward_program.global_block().ops]
    rewriting = time.perf_counter() - traced - report.compilation - sum(report.seconds.values())
    if branches := {"if", "while"} & set(report.operations):
        raise subgraphs.SubgraphError(
            f"{subgraph.name} has control flow that depends on tensors ({', '.join(sorted(branches))}).\n"
            "The generator cannot compile it.\nLet a kernel begin inside the branch, or use paddle.where."
        )
    stages.add("pir", report.program, report.operations, traced - started)
    note_kernels(stages, report, stages.artefact)
    stages.add("rewritten", report.rewritten, Counter(tracing.short(operators)), rewriting)
    for name, why in report.left:
        print(f"  stays with Paddle: {name} ({why})")
    if not report.forward:
        print(f"Nothing of {subgraph.name} becomes a kernel, for these reasons. README.md says what is generated.")
    return compiled, report, operators


def conclude(program: Any, inputs: list[Any], found: accuracy.Outcome, errors: accuracy.Errors) -> None:
    """What both backends note at the end."""
    print(f"  errors against float64: forward {errors.forward:.1e}, gradients {errors.gradient:.1e}")
    print(f"  those of plain Paddle:  forward {errors.plain_forward:.1e}, gradients {errors.plain_gradient:.1e}")
    for name, value in errors.metrics().items():
        program.metric(name, value)
    program.used(*inputs)
    results = [result.astype("float32") for result in found.results]
    program.trace(**{f"result{number}" if number else "result": result for number, result in enumerate(results)})


def through_the_generator(program: Any, subgraph: subgraphs.Subgraph, inputs: list[Any]) -> None:
    """Every stage on the CPU's wheel; writes texts, metrics and the picture."""
    parameters = program.parameters
    arguments = open_batch(subgraph, parameters) if parameters["dynamic"] else list(inputs)
    slopes, usual, exact = plain_results(subgraph, inputs, parameters["dtype"], program.seed)
    stages = pictures.Stages(program.artefact)
    stages.add("python", inspect.getsource(subgraph.function), Counter(), 0.0)
    compiled, report, operators = compile_stages(subgraph, arguments, stages)

    # Is it right, and is it what runs? Kernels that are wrong on purpose have to change the output.
    started = time.perf_counter()
    found = accuracy.evaluate(compiled, inputs, slopes, accuracy.parameters_of(subgraph.function))
    stages.add("run", "", Counter(tracing.short(operators)), time.perf_counter() - started)
    if accuracy.relative_to(found, exact) > NO_ROUNDING[parameters["dtype"]]:
        require_same_traced(subgraph, inputs, arguments, slopes, exact)
    hook = generator.Generator(subgraph.name + "_wrong", gradients=False, spoil=True)
    wrong, _ = tracing.to_static(subgraph.function, arguments, hook)
    with paddle.no_grad():
        outputs = [accuracy.double(result) for result in accuracy.results_of(wrong(*inputs))]
    difference = max(map(accuracy.relative, outputs, exact.results))
    print(f"  kernels that are wrong on purpose change the output: relative error {difference:.1e}")
    program.metric(
        "proven", backend.proven(backend.require_generated, operators, len(report.forward), difference > 0.1)
    )
    program.metric("kernels", len(report.kernels))
    program.metric("operators_before", sum(report.operations.values()))
    program.metric("operators_after", len(tracing.short(operators)))
    program.metric("left_with_paddle", len(report.left))
    program.metric("slowest_compilation", max((kernel.library.seconds for kernel in report.kernels), default=0.0))
    conclude(program, inputs, found, accuracy.compare(found, usual, exact, inputs))
    stages.finish(
        f"{subgraph.name}, {parameters['rows']} × {parameters['columns']}, {parameters['dtype']}, generated code"
    )


def through_cinn(program: Any, subgraph: subgraphs.Subgraph, inputs: list[Any]) -> None:
    """The same subgraph where Paddle has CINN: it compiles at the first run, and has to prove that it did."""
    slopes, usual, exact = plain_results(subgraph, inputs, program.parameters["dtype"], program.seed)
    stages = pictures.Stages(program.artefact)
    stages.add("python", inspect.getsource(subgraph.function), Counter(), 0.0)
    paddle.set_flags({"FLAGS_prim_all": True, "FLAGS_print_ir": True})
    started = time.perf_counter()
    compiled = paddle.jit.to_static(subgraph.function, full_graph=True, backend="CINN")
    _, partial = compiled.get_concrete_program(*inputs)
    found = accuracy.evaluate(compiled, inputs, slopes, accuracy.parameters_of(subgraph.function))
    text = str(partial.train_program.forward_program)
    stages.add("cinn", text, Counter(), time.perf_counter() - started)
    flags = paddle.get_flags(["FLAGS_use_cinn", "FLAGS_prim_all"])
    program.metric("proven", backend.proven(backend.require_cinn, str(getattr(partial, "_backend", "")), text, flags))
    operators = [operation.name() for operation in partial.train_program.forward_program.global_block().ops]
    traced = [operation.name() for operation in partial.program.program.global_block().ops]
    program.metric("kernels", text.count("cinn_runtime.jit_kernel") + text.count("cinn_op.group"))
    program.metric("operators_before", len(tracing.short(traced)))
    program.metric("operators_after", len(tracing.short(operators)))
    program.metric("left_with_paddle", sum(name.startswith("pd_op.") for name in operators))
    program.metric("slowest_compilation", stages.seconds["cinn"])
    conclude(program, inputs, found, accuracy.compare(found, usual, exact, inputs))
    stages.finish(f"{subgraph.name}, CINN")


def main() -> None:
    program = kit.start(__file__, __doc__)
    parameters = program.parameters
    subgraph = subgraphs.find(parameters["subgraph"])
    accuracy.require_memory(subgraph.numbers(parameters["rows"], parameters["columns"]))
    inputs = accuracy.tensors(
        subgraph.arrays(parameters["rows"], parameters["columns"], program.seed), parameters["dtype"]
    )
    cinn = bool(paddle.is_compiled_with_cinn())
    chosen = backend.choose(cinn, backend.in_host_memory(paddle.arange(1024, dtype="float32")), program.device)
    told = "compiled in" if cinn else backend.ABSENT
    program.metric("backend", chosen)
    program.metric("cinn", told)
    print(f"subgraph {subgraph.name}, cinn: {told}, so: {chosen}")
    {"generated": through_the_generator, "cinn": through_cinn}[chosen](program, subgraph, inputs)
    program.finish()


if __name__ == "__main__":
    kit.main(
        main,
        subgraphs.SubgraphError,
        toolchain.NoCompiler,
        toolchain.CompilationFailed,
        backend.NoBackend,
        accuracy.NoMemory,
    )
