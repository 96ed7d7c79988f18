"""Task 2-2: an own substitution pass on PIR, in Python and in C++, shown to fire where it should and nowhere else.

    ./inv python projects/02-compiler/own_pass.py --part 2-2 --device cpu --out /tmp/pass
    ./inv python projects/02-compiler/own_pass.py --part 2-2 --set subgraph=swiglu rows=512 columns=768

Two chains that people write out by hand become one operator each: softmax and swiglu. rules.py has the rules in Python,
for Paddle's DRR, and upstream/ the same in C++. cases.py has chains that must match and near-misses that must not.
"""

import sys
from pathlib import Path
from typing import Any

import accuracy
import cases
import measure
import numpy as np
import paddle
import rules
import subgraphs
import toolchain
import tracing

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit


def substituted(function: Any, inputs: list[Any], route: str, wrong: bool = False) -> tuple[Any, rules.Substitution]:
    """`function` through to_static with the pass in the path, and what the pass did."""
    hook = rules.Substitution(route, wrong)
    compiled, partial = tracing.to_static(function, inputs, hook)
    _ = partial.train_program  # traced and rewritten here, not at the first call
    return compiled, hook


def matched(functions: Any, route: str) -> dict[str, int]:
    """How many chains of each function the pass replaces."""
    found = {}
    for function in functions:
        _, hook = substituted(function, accuracy.tensors(cases.arrays(function), "float32"), route)
        found[function.__name__] = hook.matches
    return found


def count_replacements(program: kit.Program) -> None:
    """Where the pass has to fire and where it must not: near-misses are nearly the same chain, and another function."""
    for name, functions in (("chains", cases.MATCHING), ("near-misses", cases.NEAR_MISSES)):
        counts = {route: matched(functions, route) for route in rules.ROUTES}
        print(f"{name}, replaced in Python and in C++:")
        for function in functions:
            print(f"  {function.__name__:20}" + "".join(f"{counts[route][function.__name__]:6}" for route in counts))
        total = "matches" if name == "chains" else "false_matches"
        for route in rules.ROUTES:
            program.metric(f"{total}_{route.replace('c++', 'cpp')}", sum(counts[route].values()))


def compare_programs(program: kit.Program, hooks: dict[str, rules.Substitution]) -> None:
    """The program before and after; both routes have to arrive at the same one."""
    hook = hooks["python"]
    for name, text in [("before", hook.before), *((route, each.after) for route, each in hooks.items())]:
        program.artefact(f"programs/{name.replace('c++', 'cpp')}.txt").write_text(text)
    print(f"before:\n{hook.before}\nafter:\n{hook.after}")
    program.metric("same_program", hooks["c++"].after == hook.after)
    program.metric("operators_before", len(tracing.short(hook.operators[0].elements())))
    program.metric("operators_after", len(tracing.short(hook.operators[1].elements())))


def check_results(
    program: kit.Program, subgraph: subgraphs.Subgraph, ways: dict[str, Any], inputs: list[Any], slope: np.ndarray
) -> None:
    """Is it right, and is it what runs? A rule that is wrong on purpose has to change the output."""
    exact = accuracy.reference(subgraph.function, inputs, [slope])
    usual = accuracy.plain(subgraph.function, inputs, [slope])
    found = {route: accuracy.evaluate(way, inputs, [slope]) for route, way in ways.items()}
    wrong, _ = substituted(subgraph.function, inputs, "python", wrong=True)
    difference = accuracy.relative(accuracy.double(wrong(*inputs)), exact.results[0])
    print(f"a rule that is wrong on purpose changes the output: relative error {difference:.1e}")
    program.metric("proven", difference > 1e-3)  # thousands of roundings
    errors = [accuracy.compare(outcome, usual, exact, inputs).metrics() for outcome in found.values()]
    for name in errors[0]:
        program.metric(name, max(each[name] for each in errors))
    program.trace(result=found["python"].results[0].astype("float32"))


def compare_times(
    program: kit.Program, ways: dict[str, Any], inputs: list[Any], slope: np.ndarray, rounds: int
) -> None:
    """And is it worth it? In turn with to_static as it is."""
    weights = paddle.to_tensor(slope)
    for mode in ("forward", "training"):
        calls = {
            name: measure.forward(way, inputs) if mode == "forward" else measure.training(way, inputs, weights)
            for name, way in ways.items()
        }
        times = measure.interleaved(calls, rounds)
        print(f"{mode}: " + ", ".join(f"{name} {time:.2f} ms" for name, time in times.items()))
        program.metric(f"{mode}_speedup", times["to_static"] / times["own pass"])


def main() -> None:
    program = kit.start(__file__, __doc__)
    parameters = program.parameters
    subgraph, size = subgraphs.find(parameters["subgraph"]), (parameters["rows"], parameters["columns"])
    accuracy.require_memory(subgraph.numbers(*size))
    seconds = rules.load_pass().seconds
    print(f"the pass in C++: {f'built in {seconds:.1f} s, once' if seconds else 'kept from before'}")
    count_replacements(program)

    inputs = accuracy.tensors(subgraph.arrays(*size, program.seed), "float32")
    (slope,) = accuracy.random_slopes([inputs[0].shape], "float32", program.seed)
    plain, _ = tracing.to_static(subgraph.function, inputs)
    compiled = {route: substituted(subgraph.function, inputs, route) for route in rules.ROUTES}
    ways = {route: way for route, (way, _) in compiled.items()}
    compare_programs(program, {route: hook for route, (_, hook) in compiled.items()})
    check_results(program, subgraph, ways, inputs, slope)
    compare_times(program, {"to_static": plain, "own pass": ways["python"]}, inputs, slope, parameters["rounds"])
    program.used(*inputs)
    program.finish()


if __name__ == "__main__":
    kit.main(main, toolchain.NoCompiler, toolchain.CompilationFailed, accuracy.NoMemory)
