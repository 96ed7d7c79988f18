"""The trainer of both subjects: precision, accumulation, schedule, several cards, and a checkpoint to go on from."""

import gc
import math
import statistics
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import checkpoint
import numpy as np
import paddle
import paddle.distributed as dist
from optimiser import AdamW


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


class Training:
    """A subject's network and optimiser, in one precision; each rank computes its share of every batch.

    `losses` has the mean loss of every step so far, `seconds` how long those of this process took.
    """

    def __init__(self, program: Any, subject: Any, precision: str) -> None:
        p, name = program.parameters, subject.name
        self.program, self.subject, self.precision = program, subject, precision
        self.steps, self.batch, self.rate = (p[f"{name}_{word}"] for word in ("steps", "batch", "rate"))
        self.accumulate = p["accumulate"]
        with paddle.utils.unique_name.guard():  # the optimiser's state goes by the names of weights
            self.network = subject.network()
        self.weights = self.network.parameters()
        self.optimiser = AdamW(self.rate, self.weights, decay=0.05, most=1.0)
        self.scaler = paddle.amp.GradScaler(enable=precision == "float16")
        self.losses: list[float] = []
        self.seconds: list[float] = []
        if p["resume"]:
            self._resume(Path(p["resume"]))
        elif program.processes > 1:  # all begin from rank 0's weights
            for weight in self.weights:
                dist.broadcast(weight, 0)

    @property
    def settings(self) -> dict[str, Any]:
        """What a checkpoint has to agree in."""
        found = {"subject": self.subject.name, "seed": self.program.seed, "batch": self.batch, "steps": self.steps}
        found |= {"rate": self.rate, "accumulate": self.accumulate, "precision": self.precision}
        return found | {"processes": self.program.processes}

    @property
    def per_second(self) -> float:
        """Images or letters a second, by the median of the steps."""
        return self.batch * self.subject.unit / statistics.median(self.seconds) if self.seconds else 0.0

    def step(self) -> float:
        """One step; returns the mean loss of its batch before it."""
        started, number, program = time.perf_counter(), len(self.losses), self.program
        self.optimiser.set_lr(learning_rate(number, self.steps, self.rate))
        # The batch depends on seed and step alone: any number of ranks, and a resumed run, see the same one.
        inputs, targets = self.subject.batch(np.random.default_rng([program.seed, number]), self.batch)
        pieces = program.processes * self.accumulate
        share = self.batch // pieces  # samples of a rank at a time
        total = 0.0
        for turn in range(self.accumulate):
            first = (program.rank * self.accumulate + turn) * share
            x, y = (paddle.to_tensor(array[first : first + share]) for array in (inputs, targets))
            with mixed(self.precision):
                loss = self.subject.loss(self.network, x, y) / pieces
            self.scaler.scale(loss).backward()
            total += loss.item()
        if program.processes > 1:
            total = add_up(self.weights, total)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.clear_grad()
        self.losses.append(total)
        self.seconds.append(time.perf_counter() - started)
        return total

    def run(self) -> None:
        """All steps that are left, with a line now and then, and checkpoints."""
        every = max(self.steps // 10, 1)
        gc.freeze()  # what is there stays, and need not be searched for garbage in every other step
        for done in range(len(self.losses) + 1, self.steps + 1):
            loss = self.step()
            if done == 1 or done % every == 0:
                print(f"  step {done:5} of {self.steps}  loss {loss:.4f}  {self.per_second:9.0f} a second")
            if self.program.rank == 0 and (done % self.program.parameters["keep_every"] == 0 or done == self.steps):
                self._keep()

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "optimiser": self.optimiser, "scaler": self.scaler}

    def _keep(self) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"losses": self.losses, "settings": self.settings}
        checkpoint.save(self.program.artefact(f"{self.subject.name}.checkpoint"), state)

    def _resume(self, place: Path) -> None:
        state = checkpoint.load(place / f"{self.subject.name}.checkpoint" if place.is_dir() else place, self.settings)
        self.network.set_state_dict(state["network"])
        self.optimiser.set_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.losses = list(state["losses"])
        print(f"  resumed after step {len(self.losses)}")
