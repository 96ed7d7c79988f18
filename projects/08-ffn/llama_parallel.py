"""Task 8-3: Llama in parallel on eight cards, proven equal to PaddleNLP's own in one process; and the memory plan.

    ./inv run --task 8-3 --hw cpu                                                    8 processes, 2 x 2 x 2
    ./inv run --task 8-3 --hw cpu --set model=paddlenlp                              with PaddleNLP's own layers
    ./inv run --task 8-3 --hw cpu --cards 4 --set pp=1 sharding=2 recompute=true     any mesh, any setting
    OMP_NUM_THREADS=1 ./inv python projects/kit/launch.py projects/08-ffn/llama_parallel.py --part 8-3 --cards 8 --out D

1. The plan: does Llama 13B, as PaddleNLP's script for eight cards trains it, fit cards of that memory? What would?
2. One process alone (alone.py) trains PaddleNLP's LlamaForCausalLMNet, at a small size, on Python's documentation.
3. All ranks train the same network: `dist.parallelize` cuts it along mp and shares it out along dp, and boundary.py
   carries activations from stage to stage of the pipeline. Every step's loss must be that of one process.
4. The plan again, at this small size, against memory that is measured: sharding 0 to 3, with and without recomputing,
   micro-batches of one sequence and of two.

llama.py is the network, llama_stage.py trains one stage of it, sharding.py shares out what the optimiser needs,
memory_plan.py plans, and mesh.py, boundary.py and schedule.py are those of 8-2.
"""

import gc
import pydoc_data.topics
import sys
import time
from pathlib import Path
from typing import Any

import memory_plan
import numpy as np
import paddle
import paddle.distributed as dist
from alone import Steps, start
from boundary import BOUNDARIES, suitable
from explicit import groups
from llama import FirstWeights, Llama, Sizes, constants, cut_axis, fill, plan, section, shapes
from llama_stage import ExplicitLlamaStage, ParallelizedStage, replicated
from memory_plan import GIB, PlanError, Run, Setting
from mesh import AXES, Mesh, MeshError
from schedule import actions, one_f_one_b
from stage import Stage, is_custom

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit
from kit.arguments import refuse

# What is measured: sharding, recomputing, and how many of the micro-batches asked for are made one.
MEASURED = ((0, False, 1), (0, True, 1), (1, False, 1), (2, True, 2), (3, False, 2))


def text(p: dict[str, Any], seed: int) -> Steps:
    """Random windows of Python's documentation, a byte a token: every rank draws the same."""
    topics = pydoc_data.topics.topics
    letters = np.frombuffer("\n".join(topics[name] for name in sorted(topics)).encode(), np.uint8).astype("int64")
    numbers, steps = np.random.default_rng(seed), []
    for _ in range(p["steps"]):
        starts = numbers.integers(0, len(letters) - p["length"] - 1, p["batch"])
        windows = np.stack([letters[start : start + p["length"] + 1] for start in starts])
        steps.append((windows[:, :-1], windows[:, 1:]))
    return steps


def everyone_s(thing: Any) -> list[Any]:
    """What each rank has to say, on every rank, in the order of ranks."""
    things: list[Any] = []
    dist.all_gather_object(things, thing)
    return things


class Memory:
    """Bytes of Paddle's tensors on this rank's device, by Paddle's own count, without an allocator's spare room."""

    def __init__(self) -> None:
        kind, _, number = paddle.get_device().partition(":")
        where, self.number = ("host" if kind == "cpu" else "device"), int(number or 0)
        core = paddle.base.core
        self._now, self._peak, self._forget = (
            getattr(core, f"{where}_memory_stat_{what}") for what in ("current_value", "peak_value", "reset_peak_value")
        )
        self.before = self._now("Allocated", self.number)

    def forget_peak(self) -> None:
        self._forget("Allocated", self.number)

    def peak(self) -> int:
        """The most since `forget_peak`, without what there was before this object."""
        return self._peak("Allocated", self.number) - self.before


class Ranks:
    """This rank among all: its place, its groups, and how it trains."""

    def __init__(self, program: kit.Program, mesh: Mesh, sizes: Sizes, weights: FirstWeights) -> None:
        self.p, self.mesh, self.sizes, self.weights = program.parameters, mesh, sizes, weights
        self.rank, self.at = program.rank, mesh.coordinates(program.rank)
        world = dist.ProcessMesh(mesh.ranks, dim_names=list(AXES))
        self.stages = [world[stage] for stage in range(mesh.pp)]  # each a (dp, mp) mesh
        self.own_mesh = self.stages[self.at["pp"]]
        self.held = section(sizes, self.at["pp"], mesh.pp)
        self.groups = groups(mesh, self.rank)
        kernels = paddle.base.core._get_all_register_op_kernels("phi")
        self.boundary = suitable(paddle.get_device(), kernels)
        self.reduces = has_reduce_scatter(paddle.get_device(), kernels)
        self.boundaries: dict[int, Any] = {}

    def boundary_for(self, micro_batches: int) -> Any:
        """What carries activations of such micro-batches between stages. All ranks must ask in the same order."""
        if micro_batches not in self.boundaries:
            shape = [self.p["batch"] // micro_batches, self.p["length"], self.p["hidden"]]
            self.boundaries[micro_batches] = BOUNDARIES[self.boundary](self.mesh, self.rank, self.stages, shape)
        return self.boundaries[micro_batches]

    def parallelized(self, sharding: int, recomputing: bool) -> ParallelizedStage:
        """This rank's stage by `dist.parallelize`."""
        if self.p["model"] == "paddlenlp":
            from paddlenlp_llama import PaddleNLPLlama

            network = PaddleNLPLlama(self.sizes, self.held, self.p["length"], self.mesh.mp)
            how = network.plan
        else:
            given = replicated(constants(self.p["length"], self.sizes.hidden // self.sizes.heads), self.own_mesh)
            network, how = Llama(self.sizes, self.held, given, recomputing), plan(dist)
        fill(network, self.held, self.weights)
        return ParallelizedStage(network, self.held, how, self.own_mesh, self.p["learning_rate"], sharding)

    def explicit(self, sharding: int, recomputing: bool) -> ExplicitLlamaStage:
        """The same with the collectives written out."""
        given = constants(self.p["length"], self.sizes.hidden // self.sizes.heads)
        network = Llama(self.sizes, self.held, {n: paddle.to_tensor(v) for n, v in given.items()}, recomputing)
        return ExplicitLlamaStage(network, self.weights, self.own_mesh, self.p["learning_rate"], sharding, self.groups)

    def train(self, stage: Stage, steps: Steps, micro_batches: int, memory: Memory | None = None) -> list[float]:
        """The losses of all steps, on every rank. The peak of memory is that of the last step."""
        todo = actions(one_f_one_b(self.at["pp"], self.mesh.pp, micro_batches), self.mesh.pp)
        boundary, losses = self.boundary_for(micro_batches), []
        for number, step in enumerate(steps):
            if memory and number == len(steps) - 1:
                memory.forget_peak()
            parts = (np.split(whole, micro_batches) for whole in step)
            losses.append(stage.step(todo, *parts, boundary)[0])
        return everyone_s(losses)[self.mesh.ranks[-1, 0, 0]]  # the last stage knows them


def has_reduce_scatter(device: str, kernels: Any) -> bool:
    """Whether Paddle can sum and share out in one: `dist.parallelize` shards with it. The CPU's kernel only raises."""
    kind = device.partition(":")[0]
    return any(f"place[Place({kind}:0)]" in line for line in kernels.get("reduce_scatter", ()))


def main() -> None:
    program = kit.start(__file__, __doc__)
    p, rank = program.parameters, program.rank
    mesh = Mesh(pp=p["pp"], dp=p["dp"], mp=p["mp"])
    sizes = Sizes(*(p[name] for name in ("hidden", "inner", "layers", "heads", "vocabulary")))
    model = memory_plan.Llama(**vars(sizes))
    run = Run.of_this_program(p["length"], p["batch"] // (p["micro_batches"] * p["dp"]), p["micro_batches"])
    asked = Setting(program.processes, p["dp"], p["mp"], p["pp"], p["sharding"], p["recompute"])
    try:
        mesh.check(program.processes, p["layers"], p["inner"], p["batch"], p["micro_batches"])
        needed = memory_plan.fullest(model, run, asked)
    except (MeshError, PlanError) as error:
        refuse(f"{error}; see --set pp=… dp=… mp=… and --cards")
    if rank == 0:
        official = memory_plan.described()
        lines, fits = memory_plan.report(*official, p["memory"])
        lines = [f"Llama 13B as PaddleNLP's script for {official[2].cards} cards trains it", *lines]
        program.artefact("memory-plan.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        program.metric("official_fits", fits)
        print(*lines, sep="\n")
    if needed.total > memory_plan.ROOM * p["memory"] * GIB:
        lines, _ = memory_plan.report(model, run, asked, p["memory"])
        refuse("this run does not fit its cards.\n" + "\n".join(lines))
    if p["model"] == "paddlenlp" and (is_custom(program.device) or p["recompute"]):
        refuse("model=paddlenlp is trained by dist.parallelize, not on a plug-in's device, and without recompute here")
    weights, steps = FirstWeights(sizes, program.seed), text(p, program.seed)

    # 2. One process alone: what all others are held against. It works beside them.
    alone = None
    if rank == 0 and p["compare"]:
        alone = start(paddle.get_device(), sizes, program.seed, steps, p["learning_rate"])
    dist.init_parallel_env()

    # 3. All ranks.
    ranks = Ranks(program, mesh, sizes, weights)
    native = not is_custom(paddle.get_device()) and (p["sharding"] == 0 or p["dp"] == 1 or ranks.reduces)
    stage = (ranks.parallelized if native else ranks.explicit)(p["sharding"], p["recompute"])
    started = time.perf_counter()
    losses = ranks.train(stage, steps, p["micro_batches"])
    seconds = (time.perf_counter() - started) / len(steps)
    how = "dist.parallelize" if native else "explicit"
    print(f"{how} on {mesh.size} ranks: loss {losses[0]:.6f} → {losses[-1]:.6f}, {seconds:.3f} s a step")
    program.used(*stage.weights().values())
    mine = {name: weight.shape for name, weight in stage.weights().items()}
    del stage

    # 4. The plan against what is measured.
    measured: list[dict[str, Any]] = []
    for sharding, recomputing, larger in MEASURED if p["measure"] else ():
        count = max(1, p["micro_batches"] // larger)
        gc.collect()  # stages refer to themselves
        print(f"measuring: sharding {sharding}, {'' if recomputing else 'not '}recomputing, {count} micro-batches")
        memory = Memory()
        own = ranks.explicit(sharding, recomputing)
        found = ranks.train(own, steps[:2], count, memory)
        setting = Setting(mesh.size, mesh.dp, mesh.mp, mesh.pp, own.optimiser.level, recomputing)
        this = Run.of_this_program(p["length"], p["batch"] // (count * p["dp"]), count)
        planned = memory_plan.of_stage(model, this, setting, ranks.at["pp"])
        measured.append({"setting": setting, "micro_batch": this.micro_batch, "losses": found, "planned": planned,
                         "states": own.states, "peak": memory.peak()})  # fmt: skip
        del own

    everyone = everyone_s({"shapes": mine, "measured": measured})
    if rank == 0:
        program.metric("route", how)
        program.metric("model", p["model"])
        program.metric("boundary", ranks.boundary_for(p["micro_batches"]).name)
        summarise(program, mesh, sizes, losses, everyone, alone.result() if alone else {})
        program.metric("step_seconds", seconds)
    program.finish()


def summarise(
    program: kit.Program,
    mesh: Mesh,
    sizes: Sizes,
    losses: list[float],
    everyone: list[Any],
    alone: dict[str, list[float]],
) -> None:
    """Write metrics, trace and the table of memory from what all ranks found."""
    whole, right, held = shapes(sizes), True, []
    for rank, report in enumerate(everyone):
        for name, shape in report["shapes"].items():
            cut = cut_axis(name)
            pieces = [size // mesh.mp if axis == cut else size for axis, size in enumerate(whole[name])]
            right &= list(shape) == pieces
            if ".layers." in name:
                right &= int(name.split(".")[2]) * mesh.pp // sizes.layers == mesh.coordinates(rank)["pp"]
        held.append(sum(int(np.prod(shape)) for shape in report["shapes"].values()))
    program.metric("pieces_right", bool(right))
    program.metric("held_at_most", max(held) / sum(int(np.prod(shape)) for shape in whole.values()))
    print("what rank 0 holds of the weights:")
    for name, shape in everyone[0]["shapes"].items():
        if ".layers." not in name or ".layers.0." in name:
            print(f"  {name:50} {whole[name]!s:12} {tuple(shape)}")

    program.metric("first_loss", losses[0])
    program.metric("last_loss", losses[-1])
    program.trace(loss=np.float32(losses))
    cases = everyone[0]["measured"]
    if cases:
        program.trace(loss_measured=np.float32([case["losses"] for case in cases]))
    if alone:
        plain, exact = alone["float32"], alone["float64"]
        print(f"one process alone, PaddleNLP's LlamaForCausalLMNet: loss {plain[0]:.6f} → {plain[-1]:.6f}")
        program.trace(loss_alone=np.float32(plain))
        program.metric("loss_rounding", worst(plain, exact))
        program.metric("loss_difference", worst(losses, exact))
        if cases:
            program.metric("loss_difference_explicit", max(worst(case["losses"], exact) for case in cases))
    if cases:
        lines, planner, states = memory_table(everyone)
        program.artefact("memory-measured.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(*lines, sep="\n")
        program.metric("planner_error", planner)
        program.metric("planner_error_states", states)


def worst(losses: list[float], exact: list[float]) -> float:
    """The largest relative difference of a step's loss; the first may be fewer."""
    return max(abs(found / expected - 1) for found, expected in zip(losses, exact, strict=False))


def memory_table(everyone: list[Any]) -> tuple[list[str], float, float]:
    """Lines for a person, and the plan's largest relative error: of the peak, and of weights, gradients and moments."""
    words = f"{'sharding':>8}{'recompute':>11}{'micro-batch':>13}{'planned':>10}{'measured':>10}{'off':>8}"
    lines = ["the plan against memory measured, worst rank of each setting:", words]
    worst_peak = worst_state = 0.0
    for number in range(len(everyone[0]["measured"])):
        reports = [report["measured"][number] for report in everyone]
        off = {id(report): report["planned"].total / report["peak"] - 1 for report in reports}
        worst = max(reports, key=lambda report: abs(off[id(report)]))
        worst_peak = max(worst_peak, abs(off[id(worst)]))
        for report in reports:
            for name, size in report["states"].items():
                worst_state = max(worst_state, abs(getattr(report["planned"], name) / size - 1))
        setting = worst["setting"]
        lines.append(
            f"{setting.sharding:>8}{'yes' if setting.recompute else 'no':>11}{worst['micro_batch']:>13}"
            f"{worst['planned'].total / 2**20:>6.2f} MiB{worst['peak'] / 2**20:>6.2f} MiB{off[id(worst)]:>+8.1%}"
        )
    return lines, worst_peak, worst_state


if __name__ == "__main__":
    main()
