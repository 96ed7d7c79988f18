"""Task 7: two models trained on whatever card there is: a vision transformer on digits, a GPT on Python's manual.

    ./inv python projects/07-new-accelerator/main.py --part 7 --device cpu
    ./inv run --task 7 --hw ascend --cards 4 --set subject=text text_steps=2000
    ./inv run --task 7 --set resume=results/7/cpu/RUN          a run that was stopped goes on, bit for bit on a CPU

One trainer for both (trainer.py): mixed precision where the card has it, gradient accumulation, a cosine schedule,
checkpoints, and one share of each batch for each card. transformer.py has the models, subjects.py what they learn.
"""

import resource
import sys
from pathlib import Path
from typing import Any

import checkpoint
import matplotlib

matplotlib.use("Agg")  # no screen needed
import matplotlib.pyplot as plt
import numpy as np
import paddle
import paddle.distributed as dist
from subjects import SUBJECTS
from trainer import Training, mixed

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit

MEGABYTE = 1e6


def choose_precision(asked: str) -> str:
    """float32, bfloat16 or float16: what is asked for, or what the device has; prints why."""
    device = paddle.get_device()
    if asked == "auto":
        chosen = next((name for name in ("bfloat16", "float16") if computes_in(name)), "float32")
        why = f"{device} has it" if chosen != "float32" else f"{device} computes products in nothing else here"
    elif asked != "float32" and not computes_in(asked):
        lines = (f"precision={asked}: {device} does not compute in it.", "", "precision=auto takes what it has.")
        kit.refuse(*lines, exit_code=3)
    else:
        chosen, why = asked, "asked for"
    print(f"precision: {chosen}, {why}")
    return chosen


def computes_in(precision: str) -> bool:
    """Whether products and their gradients are really in that precision inside autocast, which may do nothing."""
    x = paddle.ones([2, 2])
    x.stop_gradient = False
    try:
        with mixed(precision):
            product = paddle.matmul(x, x)
        product.astype("float32").sum().backward()
    except Exception:  # what a device raises that lacks a kernel differs from one to the next
        return False
    return str(product.dtype).endswith(f".{precision}") and bool((x.grad == 4).all())


def device_megabytes() -> float:
    """The most memory that tensors took: on the device where it counts, else of this process."""
    kind, _, number = paddle.get_device().partition(":")
    if kind == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE
    return paddle.base.core.device_memory_stat_peak_value("Allocated", int(number or 0)) / MEGABYTE


def train(program: Any, subject: Any, precision: str) -> None:
    """Train one subject's network, from its checkpoint if there is one to resume; writes metrics and trace."""
    name, training = subject.name, Training(program, subject, precision)
    print(f"{name}: {sum(w.size for w in training.weights)} weights, batch {training.batch}, "
          f"{program.processes} ranks x {training.accumulate} turns")  # fmt: skip
    training.run()

    network, losses = training.network, training.losses
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
    program.metric(f"{name}_per_second", training.per_second)
    program.used(network)
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
