"""What splitting does to the rounding of 8-2, in one process: all pieces on one device, one after another.

    ./inv python projects/08-ffn/emulation.py --seeds 20 --set activation=relu

It launches no ranks and takes a second a seed, so that a bound can be held against a thousand seeds. Printed is a line
of JSON a seed: the errors of the split training and of the plain one, named as 8-2 names them.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
import yaml

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
from ffn import ACTIVATIONS
from hybrid.mesh import Mesh
from kit.arguments import resolve
from one_process import Named, Trained, in_float32, in_float64
from pieces import CUT_BY_MP, piece
from problem import Problem

Pieces = list[dict[str, list[paddle.Tensor]]]  # of each block and weight, the slices' pieces


def split(problem: Problem, mesh: Mesh) -> Trained:
    """The training of 8-2, with the sums in its order."""
    p = problem.p
    blocks: Pieces = [
        {name: _pieces(whole, name, mesh.mp) for name, whole in problem.weights(number).items()}
        for number in range(p["blocks"])
    ]
    trained = [each for own in blocks for pieces in own.values() for each in pieces]
    optimiser = paddle.optimizer.AdamW(p["learning_rate"], parameters=trained, weight_decay=0.01)
    losses: list[float] = []
    for number, step in enumerate(problem.steps()):
        losses.append(_backward(blocks, p, mesh, *(np.split(whole, p["micro_batches"]) for whole in step)))
        if number == 0:
            first = _joined(blocks, lambda each: each.grad.numpy())
        optimiser.step()
        optimiser.clear_grad()
    return Trained(np.array(losses), first, _joined(blocks, lambda each: each.numpy()))


def _backward(blocks: Pieces, p: dict[str, Any], mesh: Mesh, batch: list[Any], answers: list[Any]) -> float:
    """The loss; leaves the gradients, summed over micro-batches and then over the shares of dp, in the pieces."""
    trained = [each for own in blocks for pieces in own.values() for each in pieces]
    total, sums = 0.0, [np.float32(0)] * len(trained)
    for share in range(mesh.dp):
        for x, y in zip(batch, answers, strict=True):
            own_x, own_y = (paddle.to_tensor(np.split(part, mesh.dp)[share]) for part in (x, y))
            loss = F.mse_loss(_forward(blocks, own_x, p["activation"]), own_y) / (len(batch) * mesh.dp)
            loss.backward()
            total += loss.item()
        sums = [one + each.grad.numpy() for one, each in zip(sums, trained, strict=True)]
        for each in trained:
            each.clear_gradient()
    for each, value in zip(trained, sums, strict=True):
        each.grad = paddle.to_tensor(value)
    return total


def _forward(blocks: Pieces, x: paddle.Tensor, activation: str) -> paddle.Tensor:
    for own in blocks:
        h, parts = F.layer_norm(x, x.shape[-1:], own["norm.weight"][0], own["norm.bias"][0], 1e-5), []
        for weight, bias, down in zip(own["up.weight"], own["up.bias"], own["down.weight"], strict=True):
            parts.append(paddle.matmul(ACTIVATIONS[activation](F.linear(h, weight, bias)), down))
        x = x + sum(parts[1:], parts[0]) + own["down.bias"][0]
    return x


def _pieces(whole: np.ndarray, name: str, mp: int) -> list[paddle.Tensor]:
    """The slices' pieces; one of what every slice has whole."""
    found = []
    for index in range(1 if CUT_BY_MP[name] is None else mp):
        values = piece(whole, name, mp, index)
        parameter = paddle.create_parameter(values.shape, "float32")
        parameter.set_value(values)
        found.append(parameter)
    return found


def _joined(blocks: Pieces, value: Callable[[paddle.Tensor], np.ndarray]) -> Named:
    """Something of all pieces, joined to that of whole weights."""
    return {
        f"{number}.{name}": np.concatenate([value(each) for each in pieces], axis=CUT_BY_MP[name] or 0)
        for number, own in enumerate(blocks)
        for name, pieces in own.items()
    }


def emulated(problem: Problem, mesh: Mesh) -> dict[str, float]:
    """The errors of a split training and of the plain one, by the names of 8-2's metrics."""
    exact, kinks = in_float64(problem)
    plain, found = in_float32(problem).errors(exact), split(problem, mesh).errors(exact)
    return {"gradient_kinks": kinks, **{f"{name}_rounding": value for name, value in plain.items()},
            **{f"{name}_error": value for name, value in found.items()}}  # fmt: skip


def main() -> None:
    project = yaml.safe_load(Path(__file__).with_name("project.yaml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--first", type=int, default=0, help="the first of them, default: %(default)s")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="as 8-2 takes them")
    given = parser.parse_args()
    p = resolve(project["parts"]["8-2"]["parameters"], given.set)
    for seed in range(given.first, given.first + given.seeds):
        found = emulated(Problem(p, seed), Mesh(p["pp"], p["dp"], p["mp"]))
        print(json.dumps({"seed": seed, **found}), flush=True)


if __name__ == "__main__":
    main()
