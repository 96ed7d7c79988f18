"""One process, no parallelism, no micro-batches: in float64, and in float32 as the ranks train.

The first is what the ranks are held against. The error of the second says what plain rounding does to this problem,
which is more than nobody's fault can be.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
import reference
from ffn import FFN, fill
from paddle import nn
from problem import Problem
from reference import relative_error

Named = dict[str, np.ndarray]  # of all blocks: "3.up.weight"


@dataclass(frozen=True)
class Trained:
    """What a training came to: the losses of all steps, the gradients of the first one, and the last weights."""

    losses: np.ndarray
    gradients: Named
    weights: Named

    def errors(self, exact: "Trained") -> dict[str, float]:
        """How far it is from that one: the worst step's loss, the worst gradient and the worst weight (relative L2)."""
        return {
            "loss": float(np.abs(self.losses / exact.losses - 1).max()),
            "gradient": max(relative_error(self.gradients[name], exact.gradients[name]) for name in exact.gradients),
            "weight": max(relative_error(self.weights[name], exact.weights[name]) for name in exact.weights),
        }


def in_float64(problem: Problem) -> tuple[Trained, float]:
    """By reference.py; and what its gradients change when relu's kink is a roundoff of float32 further (kinks)."""
    p = problem.p
    blocks = [{n: v.astype(float) for n, v in problem.weights(number).items()} for number in range(p["blocks"])]
    adam = [reference.AdamW(p["learning_rate"]) for _ in blocks]
    losses: list[float] = []
    for number, (batch, answers) in enumerate(problem.steps()):
        _, loss, gradients, _ = reference.chain(blocks, batch, answers, p["activation"])
        if number == 0:
            first, kinks = named(gradients), reference.kinks(blocks, batch, answers, p["activation"], 2.0**-24)
        losses.append(loss)
        for optimiser, weights, own in zip(adam, blocks, gradients, strict=True):
            optimiser.step(weights, own)
    return Trained(np.array(losses), first, named(blocks)), kinks


def in_float32(problem: Problem) -> Trained:
    """By Paddle, on the device of this rank."""
    p = problem.p
    network = nn.Sequential(*make_blocks(problem, range(p["blocks"])))
    optimiser = paddle.optimizer.AdamW(p["learning_rate"], parameters=network.parameters(), weight_decay=0.01)
    losses: list[float] = []
    for number, (batch, answers) in enumerate(problem.steps()):
        loss = F.mse_loss(network(paddle.to_tensor(batch)), paddle.to_tensor(answers))
        loss.backward()
        if number == 0:
            first = {name: weight.grad.numpy() for name, weight in network.named_parameters()}
        optimiser.step()
        optimiser.clear_grad()
        losses.append(loss.item())
    return Trained(np.array(losses), first, {name: weight.numpy() for name, weight in network.named_parameters()})


def make_blocks(problem: Problem, numbers: range) -> list[FFN]:
    """These blocks, with their first weights."""
    blocks = [FFN(problem.p["hidden"], problem.p["inner"], problem.p["activation"]) for _ in numbers]
    for block, number in zip(blocks, numbers, strict=True):
        fill(block, problem.weights(number))
    return blocks


def named(blocks: list[dict[str, Any]]) -> Named:
    return {f"{number}.{name}": value for number, own in enumerate(blocks) for name, value in own.items()}
