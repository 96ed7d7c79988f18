"""Task 7: two models trained on whatever card there is: a vision transformer on digits, a GPT on Python's manual.

    ./inv python projects/07-new-accelerator/main.py --part 7 --device cpu
    ./inv run --task 7 --hw ascend --cards 4 --set subject=text text_steps=2000
    ./inv run --task 7 --set resume=results/7/cpu/RUN          a run that was stopped goes on, bit for bit on a CPU

One trainer for both (train, below): mixed precision where the card has it, gradient accumulation, a cosine schedule,
checkpoints, and one share of each batch for each card. transformer.py has the models, subjects.py what they learn.
"""

import math
import resource
import statistics
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import checkpoint
import matplotlib

matplotlib.use("Agg")  # no screen needed
import matplotlib.pyplot as plt
import numpy as np
import paddle
import paddle.distributed as dist
from paddle import nn
from subjects import SUBJECTS

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit

MEGABYTE = 1e6


def choose_precision(asked: str) -> str:
    """float32, bfloat16 or float16: what is asked for, or what the device has; prints why."""
    device = paddle.get_device()
    try:
        has = {"bfloat16": paddle.amp.is_bfloat16_supported(), "float16": paddle.amp.is_float16_supported()}
    except TypeError:  # 3.0.0's CPU wheel, which plug-ins use, can be asked about CPUs alone
        has = {}
    if asked != "auto":
        if not has.get(asked, True):
            kit.refuse(
                f"precision={asked}: {device} does not have it.", "", "precision=auto takes what it has.", exit_code=3
            )
        chosen, why = asked, "asked for"
    elif device.startswith("cpu"):
        chosen, why = "float32", "a CPU computes the others through it"
    else:
        chosen = next((name for name in has if has[name]), "float32")
        lacks = "the device has neither bfloat16 nor float16" if has else "Paddle cannot say what else the device has"
        why = "the device has it" if chosen != "float32" else lacks
    print(f"precision: {chosen}, {why}")
    return chosen


def mixed(precision: str) -> AbstractContextManager[None]:
    """Inside, products are computed in that precision. For one use: Paddle's cannot be entered again."""
    return nullcontext() if precision == "float32" else paddle.amp.auto_cast(dtype=precision)


def learning_rate(step: int, steps: int, highest: float) -> float:
    """Ten steps up, then half a cosine down to a tenth."""
    rise = min((step + 1) / 10, 1.0)
    return highest * rise * (0.1 + 0.9 * (1 + math.cos(math.pi * step / steps)) / 2)


def add_up(weights: list[paddle.Tensor], loss: float) -> float:
    """Each rank has the gradients and loss of its own share; afterwards all have their sums over the ranks."""
    gradients = [weight.grad for weight in weights]
    flat = paddle.concat([*(gradient.reshape([-1]) for gradient in gradients), paddle.to_tensor([loss])])
    dist.all_reduce(flat)  # one message instead of many, for each waits for the slowest rank
    *sums, total = paddle.split(flat, [*(weight.size for weight in weights), 1])
    for gradient, summed in zip(gradients, sums, strict=True):
        paddle.assign(summed.reshape(gradient.shape), gradient)
    return total.item()


def device_megabytes() -> float:
    """The most memory that tensors took: on the device where it counts, else of this process."""
    kind, _, number = paddle.get_device().partition(":")
    if kind == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE
    return paddle.base.core.device_memory_stat_peak_value("Allocated", int(number or 0)) / MEGABYTE


def train(program: Any, subject: Any, precision: str) -> None:
    """Train one subject's network, from its checkpoint if there is one to resume; writes metrics and trace."""
    p, name, processes = program.parameters, subject.name, program.processes
    steps, batch, highest = (p[f"{name}_{word}"] for word in ("steps", "batch", "rate"))
    shares = processes * p["accumulate"]
    share = batch // shares  # samples of a rank at a time
    with paddle.utils.unique_name.guard():  # the optimiser's state goes by the names of weights
        network = subject.network()
    weights = network.parameters()
    clip = nn.ClipGradByGlobalNorm(1.0)
    optimiser = paddle.optimizer.AdamW(highest, parameters=weights, weight_decay=0.05, grad_clip=clip)
    scaler = paddle.amp.GradScaler(enable=precision == "float16")
    print(f"{name}: {sum(w.size for w in weights)} weights, batch {batch} = {processes} ranks x "
          f"{p['accumulate']} x {share}")  # fmt: skip

    settings = {"subject": name, "seed": program.seed, "batch": batch, "steps": steps, "rate": highest}
    settings |= {"accumulate": p["accumulate"], "precision": precision, "processes": processes}
    losses: list[float] = []
    if p["resume"]:
        path = Path(p["resume"]) / f"{name}.checkpoint" if Path(p["resume"]).is_dir() else Path(p["resume"])
        state = checkpoint.load(path, settings)
        network.set_state_dict(state["network"])
        optimiser.set_state_dict(state["optimiser"])
        scaler.load_state_dict(state["scaler"])
        losses = list(state["losses"])
        print(f"  resumed after step {len(losses)}")
    elif processes > 1:  # all begin from rank 0's weights
        for weight in weights:
            dist.broadcast(weight, 0)

    seconds = []
    for step in range(len(losses), steps):
        started = time.perf_counter()
        optimiser.set_lr(learning_rate(step, steps, highest))
        # The batch depends on seed and step alone: any number of ranks, and a resumed run, see the same one.
        inputs, targets = subject.batch(np.random.default_rng([program.seed, step]), batch)
        total = 0.0
        for turn in range(p["accumulate"]):
            first = (program.rank * p["accumulate"] + turn) * share
            x, y = (paddle.to_tensor(array[first : first + share]) for array in (inputs, targets))
            with mixed(precision):
                loss = subject.loss(network, x, y) / shares
            scaler.scale(loss).backward()
            total += loss.item()
        if processes > 1:
            total = add_up(weights, total)
        scaler.step(optimiser)
        scaler.update()
        optimiser.clear_grad()
        losses.append(total)
        seconds.append(time.perf_counter() - started)
        done = step + 1
        if done == 1 or done % max(steps // 10, 1) == 0:
            rate = batch * subject.unit / statistics.median(seconds)
            print(f"  step {done:5} of {steps}  loss {total:.4f}  {rate:9.0f} a second")
        if program.rank == 0 and (done % p["keep_every"] == 0 or done == steps):
            state = {
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "scaler": scaler.state_dict(),
            }
            checkpoint.save(program.artefact(f"{name}.checkpoint"), state | {"losses": losses, "settings": settings})

    network.eval()
    with paddle.no_grad():
        measured = subject.evaluate(network)
        print("  held out: " + ", ".join(f"{word} {value:.4f}" for word, value in measured.items()))
        if program.rank == 0:
            subject.show(network, program.artefact, np.random.default_rng(program.seed))
    for word, value in measured.items():
        program.metric(f"{name}_{word}", value)
    program.metric(f"{name}_first_loss", losses[0])
    program.metric(f"{name}_last_loss", float(np.mean(losses[-10:])))
    program.metric(f"{name}_per_second", batch * subject.unit / statistics.median(seconds) if seconds else 0.0)
    program.used(network, loss if seconds else weights[0])
    program.trace(**{f"{name}_loss": np.array(losses, "float32")})
    if program.rank == 0:
        plot(losses, measured["held_out_loss"], name, program.artefact(f"{name}-loss.png"))


def plot(losses: list[float], held_out: float, name: str, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(np.arange(1, len(losses) + 1), losses, linewidth=0.8, label="training")
    axes.axhline(held_out, color="tab:red", linestyle="--", label=f"held out, at the end: {held_out:.3f}")
    axes.set(xlabel="step", ylabel="cross entropy", title=f"{name}, on {paddle.get_device()}", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    program = kit.start(__file__, __doc__)
    p = program.parameters
    names = list(SUBJECTS) if p["subject"] == "all" else [p["subject"]]
    for name in names:
        if p[f"{name}_batch"] % (program.processes * p["accumulate"]):
            pieces = f"{program.processes} cards x accumulate={p['accumulate']}"
            kit.refuse(f"{name}_batch={p[f'{name}_batch']} cannot be divided among {pieces}")
    if program.processes > 1:
        dist.init_parallel_env()
    # Heads are turned before every product, and Paddle copies a turned view element by element: turn them at once.
    paddle.set_flags({"FLAGS_use_stride_kernel": False})
    precision = choose_precision(p["precision"])
    program.metric("precision", precision)
    for name in names:
        try:
            train(program, SUBJECTS[name](), precision)
        except checkpoint.CheckpointError as error:
            kit.refuse(f"resume={p['resume']}: {error}")
    program.metric("device_megabytes", device_megabytes())
    if program.processes > 1:
        dist.barrier()
    program.finish()


if __name__ == "__main__":
    main()
