"""Task 8-3: Llama in parallel on eight cards, proven equal to PaddleNLP's own in one process; and the memory plan.

    ./inv run --task 8-3 --hw cpu                                                    8 processes, 2 x 2 x 2
    ./inv run --task 8-3 --hw cpu --set model=paddlenlp                              with PaddleNLP's own layers
    ./inv run --task 8-3 --hw cpu --cards 4 --set pp=1 sharding=2 recompute=true     any mesh, any setting
    OMP_NUM_THREADS=1 ./inv python projects/kit/launch.py projects/08-llama/main.py --part 8-3 --cards 8 --out DIR

1. The plan: does Llama 13B, as PaddleNLP's script for eight cards trains it, fit cards of that memory? What would?
2. One process alone (alone.py) trains PaddleNLP's LlamaForCausalLMNet, at a small size, on Python's documentation.
3. All ranks train the same network: `dist.parallelize` cuts it along mp and shares it out along dp, and boundary.py
   carries activations from stage to stage of the pipeline. Every step's loss must be that of one process in float64.
4. The plan again, at this small size, against memory that is measured: sharding 0 to 3, with and without recomputing,
   micro-batches of one sequence and of two.

llama.py is the network, stage.py trains one stage of it, sharding.py shares out what the optimiser needs, routes.py
runs it, memory_plan.py plans, measures.py has the metrics. Mesh, boundary and schedule are those of 8-2, in
projects/hybrid.
"""

import sys
import time
from pathlib import Path

import numpy as np
import paddle
import paddle.distributed as dist

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import alone
import kit
import measures
import memory_plan
from hybrid.mesh import Mesh, MeshError
from hybrid.ranks import everyone_s
from hybrid.stage import is_custom
from llama import FirstWeights, Sizes, shapes
from memory_plan import PlanError
from problem import Steps, text
from routes import Rank


def plan(program: kit.Program, sizes: Sizes) -> memory_plan.Llama:
    """Print whether 13B fits, and end where this run does not. What the plan calls the network.

    Raises:
        PlanError: the degrees do not divide the network.
    """
    p = program.parameters
    model = memory_plan.Llama(**vars(sizes))
    run = memory_plan.Run.of_this_program(p["length"], p["batch"] // (p["micro_batches"] * p["dp"]), p["micro_batches"])
    asked = memory_plan.Setting(program.processes, p["dp"], p["mp"], p["pp"], p["sharding"], p["recompute"])
    needed = memory_plan.fullest(model, run, asked)
    if program.rank == 0:
        official = memory_plan.described()
        lines, fits = memory_plan.report(*official, p["memory"])
        lines = [f"Llama 13B as PaddleNLP's script for {official[2].cards} cards trains it", *lines]
        program.artefact("memory-plan.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        program.metric("official_fits", fits)
        print(*lines, sep="\n")
    if needed.total > memory_plan.ROOM * p["memory"] * memory_plan.GIB:
        lines, _ = memory_plan.report(model, run, asked, p["memory"])
        kit.refuse("this run does not fit its cards.", "\n".join(lines), "See --set mp=… pp=… sharding=… recompute=…")
    return model


def main() -> None:
    program = kit.start(__file__, __doc__)
    p = program.parameters
    mesh = Mesh(pp=p["pp"], dp=p["dp"], mp=p["mp"])
    mesh.check(program.processes, p["layers"], p["inner"], p["batch"], p["micro_batches"])
    if p["model"] == "paddlenlp" and is_custom(program.device):
        kit.refuse("model=paddlenlp cannot be trained here.", "It takes dist.parallelize, which plug-ins refuse.")
    sizes = Sizes(*(p[name] for name in ("hidden", "inner", "layers", "heads", "vocabulary")))
    model = plan(program, sizes)
    weights, steps = FirstWeights(sizes, program.seed), text(p, program.seed)

    # One process alone works beside the ranks, as long as they do not need what it found.
    one = None
    if program.rank == 0 and p["compare"]:
        one = alone.start(paddle.get_device(), sizes, program.seed, steps, p["learning_rate"])
    dist.init_parallel_env()
    rank = Rank(p, mesh, program.rank, sizes, weights)
    losses, pieces, seconds = train(program, rank, steps)
    cases = measures.measured(rank, model, steps) if p["measure"] else []
    reports: list[measures.Report] = everyone_s(measures.Report(pieces, cases))
    if program.rank == 0:
        found = {"route": rank.route, "model": p["model"], "boundary": rank.boundary.name, "step_seconds": seconds}
        found |= measures.of_pieces(reports, sizes, mesh)
        by_one = one.result() if one else {}
        found |= measures.of_losses(losses, cases, by_one) | (measures.of_memory(reports) if cases else {})
        for name, value in found.items():
            program.metric(name, value)
        show(program, sizes, reports)
        traces = {"loss": losses, "loss_alone": by_one.get("float32"), "loss_measured": [c.losses for c in cases]}
        program.trace(**{name: np.float32(each) for name, each in traces.items() if each})
    program.finish()


def train(program: kit.Program, rank: Rank, steps: Steps) -> tuple[list[float], dict[str, list[int]], float]:
    """All steps as the parameters ask for them: losses, the shapes of this rank's pieces, seconds of a step."""
    stage = rank.stage()
    started = time.perf_counter()
    losses = rank.train(stage, steps, rank.p["micro_batches"])
    seconds = (time.perf_counter() - started) / len(steps)
    print(f"{rank.route} on {rank.mesh.size} ranks: loss {losses[0]:.6f} → {losses[-1]:.6f}, {seconds:.3f} s a step")
    tensors = (*stage.weights().values(), *getattr(stage.optimiser, "trained", ()))  # the shares, where weights are cut
    program.used(*(tensor for tensor in tensors if tensor._is_initialized()))  # between steps stage 3 has shares alone
    return losses, {name: weight.shape for name, weight in stage.weights().items()}, seconds


def show(program: kit.Program, sizes: Sizes, reports: list[measures.Report]) -> None:
    """What rank 0 holds, and the plan beside what was measured."""
    whole = shapes(sizes)
    print("what rank 0 holds of the weights:")
    for name, shape in reports[0].shapes.items():
        if ".layers." not in name or ".layers.0." in name:
            print(f"  {name:50} {whole[name]!s:12} {tuple(shape)}")
    if reports[0].cases:
        lines = measures.memory_table(reports)
        program.artefact("memory-measured.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(*lines, sep="\n")


if __name__ == "__main__":
    kit.main(main, MeshError, PlanError)
