"""Ranks that train 8-2 once for each planted fault; started by kit/launch.py. Rank 0 writes the metrics, by fault.

Every fault is a mistake that somebody could make in the program, put in the place of the program's own code.
"""

import argparse
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

sys.path.append(str(Path(__file__).resolve().parents[3] / "projects"))
sys.path.append(str(Path(__file__).resolve().parents[3] / "projects" / "08-ffn"))

import explicit
import fleet_route
import paddle
import paddle.distributed as dist
import parallel
import problem
import routes
import stage
import yaml
from hybrid import explicit as collectives
from hybrid import stage as base
from hybrid.mesh import Mesh
from kit import device
from kit.arguments import resolve


def sum_for_mean():
    """The loss that gradients come from lacks the division by the shares: all gradients are twice what they should."""
    own = explicit.ExplicitFFNStage.loss

    def loss(self, output, answers, micro_batches):
        found, value = own(self, output, answers, micro_batches)
        return found * self.mesh.shape[0], value

    return patch.object(explicit.ExplicitFFNStage, "loss", loss)


def sum_for_mean_by_the_api():
    own = stage.FFNStage.loss

    def loss(self, output, answers, micro_batches):
        found, value = own(self, output, answers, micro_batches)
        return found * 2.0, value

    return patch.object(stage.FFNStage, "loss", loss)


def no_all_reduce():
    """No share hears of the others' gradients."""
    return patch.object(collectives.ExplicitStage, "sum_gradients", lambda self: None)


def stale_micro_batch():
    """The first stage works on the micro-batch before once more."""
    own = base.Stage.step

    def step(self, actions, batch, answers, other):
        return own(self, actions, [batch[0], batch[0], *batch[2:]], answers, other)

    return patch.object(base.Stage, "step", step)


def a_thousandth_off(kind):
    """One weight's gradient is 0.1 % too large."""
    own = kind.sum_gradients

    def sum_gradients(self):
        own(self)
        with paddle.no_grad():
            self.parameters()["0.up.weight"].grad.scale_(1.001)

    return patch.object(kind, "sum_gradients", sum_gradients)


def swapped_halves():
    """The slices have each other's half of the second weight."""
    own = routes.make_blocks

    def make_blocks(of, numbers):
        blocks = own(of, numbers)
        for block in blocks:
            weight = block.down.weight
            weight.set_value(paddle.concat(paddle.split(weight, 2)[::-1]))
        return blocks

    return patch.object(routes, "make_blocks", make_blocks)


def whole_weights():
    """A rank keeps the whole of what it should have a slice of."""
    return patch.object(explicit, "piece", lambda whole, name, mp, index: whole)


def gathered_activations():
    """gelu is left to the API, which has no rule for it and gathers everything first."""
    return patch.object(stage, "on_pieces", lambda function: function)


def fleet_s_loss_doubled():
    return patch.object(fleet_route.F, "mse_loss", lambda output, answers: ((output - answers) ** 2).mean() * 2)


FAULTS = {
    "none": nullcontext,
    "sum for mean": sum_for_mean,
    "sum for mean by the API": sum_for_mean_by_the_api,
    "no all-reduce": no_all_reduce,
    "stale micro-batch": stale_micro_batch,
    "a thousandth off": lambda: a_thousandth_off(collectives.ExplicitStage),
    "a thousandth off by the API": lambda: a_thousandth_off(base.Stage),
    "swapped halves": swapped_halves,
    "whole weights": whole_weights,
    "gathered activations": gathered_activations,
    "fleet's loss doubled": fleet_s_loss_doubled,
}
COUNTED = ("none", "gathered activations")  # it takes seconds, and the others send what they should


PROJECT = Path(parallel.__file__).with_name("project.yaml")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--cards", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--faults", nargs="+")
    parser.add_argument("--set", nargs="+")
    given = parser.parse_args()
    device.take(given.device)
    declared = yaml.safe_load(PROJECT.read_text(encoding="utf-8"))
    p = resolve(declared["parts"]["8-2"]["parameters"], given.set)
    dist.init_parallel_env()
    own = routes.Rank(problem.Problem(p, 0), Mesh(p["pp"], p["dp"], p["mp"]), dist.get_rank())
    alone, found = parallel.train_alone(given.out / "alone.npz", own), {}
    for name in given.faults:
        with FAULTS[name]():
            found[name], _ = parallel.measure(own, alone, counting=name in COUNTED and given.device == "cpu")
    if dist.get_rank() == 0:
        (given.out / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
