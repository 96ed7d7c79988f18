"""Ranks that train 8-3 once for each planted fault, into a folder each; started by kit/launch.py.

PaddleNLP, which the tests' packages lack, is stood in for by one process that trains llama.py's network.
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import PropertyMock, patch

sys.path.append(str(Path(__file__).resolve().parents[3] / "projects"))
sys.path.append(str(Path(__file__).resolve().parents[3] / "projects" / "08-llama"))
sys.path.insert(0, str(Path(__file__).with_name("stand_in")))  # for the process of alone.py too

import main as program
import memory_plan
import routes
from hybrid import stage


def uncut():
    """`dist.parallelize` is told to cut nothing."""
    return patch.object(routes, "plan", lambda dist: {})


def stale():
    """Every micro-batch is the first one."""
    own = stage.Stage.step
    return patch.object(
        stage.Stage, "step",
        lambda self, actions, batch, answers, boundary: own(self, actions, [batch[0]] * len(batch), answers, boundary),
    )  # fmt: skip


def half_the_activations():
    own = memory_plan.Llama.layer_activations
    return patch.object(memory_plan.Llama, "layer_activations", lambda *given: own(*given) // 2)


def one_moment():
    """The plan knows of one moment of AdamW's two."""
    return patch.object(memory_plan.Run, "optimiser", PropertyMock(return_value=4))


FAULTS = {"none": nullcontext, "uncut": uncut, "stale": stale, "half the activations": half_the_activations,
          "one moment": one_moment}  # fmt: skip


def main():
    words, out = sys.argv[1:], Path(sys.argv[sys.argv.index("--out") + 1])
    for name, fault in FAULTS.items():
        words[words.index("--out") + 1] = str(out / name)
        sys.argv[1:] = words
        with fault():
            program.main()
        words = sys.argv[1:]


if __name__ == "__main__":
    main()
