"""Does Llama fit? Bytes of each card before anything is started, and the settings that would fit.

    ./inv python projects/08-llama/memory_plan.py --memory-gb 64
    ./inv python projects/08-llama/memory_plan.py --memory-gb 80 --set mp=2 pp=2 dp=2 sharding=1 recompute=true

The plan of 8-3 (main.py), which holds it against measured memory. The configuration is llama-13b.yaml,
PaddleNLP's for eight cards: bfloat16 with AdamW, that is parameters of 2 bytes, gradients of 2 or 4 ("master
gradients"), and 12 bytes of optimiser (master weight and two moments in float32). In float32, as 8-3 trains by itself,
they are 4, 4 and 8. Activations are counted tensor by tensor, in the manner of https://arxiv.org/abs/2205.05198.
What was measured is float32 without fused kernels, on small networks; the numbers of fused kernels in bfloat16 follow
the same count, and have not been measured on cards.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml

GIB = 2**30
CONFIG = Path(__file__).with_name("llama-13b.yaml")
ROOM = 0.9  # of a card; the rest is for workspaces, messages and holes between tensors
HALF, FULL = 2, 4  # bytes of a number: bfloat16 and float32


class PlanError(ValueError):
    """A setting that cannot be: degrees that do not give the cards, or do not divide the model."""


@dataclass(frozen=True)
class Run:
    """What is trained on: tokens of a sequence, sequences of a micro-batch, micro-batches of a step; and how.

    mixed: bfloat16 with a master weight, else float32. fused: norms and rotary embedding are one kernel each, which
    keeps its input alone; else they are written as in llama.py.
    """

    length: int
    micro_batch: int
    accumulation: int
    master_gradients: bool
    flash_attention: bool
    sequence_parallel: bool
    mixed: bool = True
    fused: bool = True

    @classmethod
    def of_this_program(cls, length: int, micro_batch: int, accumulation: int) -> "Run":
        """As main.py trains."""
        return cls(length, micro_batch, accumulation, False, False, False, mixed=False, fused=False)

    @property
    def number(self) -> int:
        """Bytes of a parameter, and of a number of an activation."""
        return HALF if self.mixed else FULL

    @property
    def gradient(self) -> int:
        return HALF if self.mixed and not self.master_gradients else FULL

    @property
    def optimiser(self) -> int:
        """Two moments, and the master weight where there is one."""
        return 3 * FULL if self.mixed else 2 * FULL


@dataclass(frozen=True)
class Setting:
    """How the cards share the work; sharding is over the dp cards: 1 optimiser, 2 gradients too, 3 parameters too."""

    cards: int
    dp: int
    mp: int
    pp: int
    sharding: int
    recompute: bool


@dataclass(frozen=True)
class Llama:
    """Shapes of the network; all linear layers are without bias."""

    hidden: int
    inner: int
    layers: int
    heads: int
    vocabulary: int

    def check(self, setting: Setting) -> None:
        """Raises PlanError."""
        if min(setting.dp, setting.mp, setting.pp) < 1 or setting.dp * setting.mp * setting.pp != setting.cards:
            raise PlanError(f"dp={setting.dp} x mp={setting.mp} x pp={setting.pp} are not {setting.cards} cards")
        if any(size % setting.mp for size in (self.hidden, self.inner, self.heads, self.vocabulary)):
            raise PlanError(f"mp={setting.mp} does not divide hidden, inner, heads and vocabulary")
        if self.layers % setting.pp:
            raise PlanError(f"pp={setting.pp} does not divide {self.layers} layers")
        if setting.sharding not in range(4):
            raise PlanError(f"sharding={setting.sharding}: 0 to 3")

    @property
    def layer_weights(self) -> int:
        """Numbers in the matrices of one layer: q, k, v, o, and gate, up, down."""
        return 4 * self.hidden**2 + 3 * self.hidden * self.inner

    def sizes(self, setting: Setting, stage: int) -> list[int]:
        """Numbers in each weight that a card of this stage holds before sharding; norms are not sliced."""
        h, sliced = self.hidden, [self.hidden**2] * 4 + [self.hidden * self.inner] * 3  # q, k, v, o; gate, up, down
        found = ([size // setting.mp for size in sliced] + [h, h]) * (self.layers // setting.pp)
        ends = (stage == 0) + (stage == setting.pp - 1)  # the embedding, and the head with the norm before it
        return found + [self.vocabulary * h // setting.mp] * ends + [h] * (stage == setting.pp - 1)

    def weights(self, setting: Setting, stage: int) -> int:
        """The sum of `sizes`."""
        return sum(self.sizes(setting, stage))

    def layer_activations(self, run: Run, setting: Setting) -> int:
        """Bytes that one layer keeps of one micro-batch for its backward pass."""
        h, f, mp = self.hidden, self.inner, setting.mp
        tokens = run.length * run.micro_batch
        if run.fused:
            whole = 4 * h  # inputs and results of both norms
            sliced = 4 * h + 3 * f  # q, k, v, the attention's result; gate, up and their product
        else:
            whole = 6 * h + 2  # of both norms the input, its unit form, the result; and of each token 1 / its size
            sliced = 8 * h + 3 * f  # besides, q and k before, in and after they are turned
        bytes_of_token = run.number * (whole / (mp if run.sequence_parallel else 1) + sliced / mp)
        if run.flash_attention:
            bytes_of_token += FULL * self.heads / mp  # the logarithm of each softmax's sum
        else:
            bytes_of_token += run.number * self.heads * run.length / mp  # each softmax's result
        return round(tokens * bytes_of_token)

    def activations(self, run: Run, setting: Setting, stage: int, kept: int) -> int:
        """Bytes of activations of so many micro-batches at the worst moment.

        It is when the backward pass begins, in the loss or in the last layer, and has its own gradients to hold; and
        with sharding 3 the weights that it has gathered.
        """
        h, mp, tokens = self.hidden, setting.mp, run.length * run.micro_batch
        layers = self.layers // setting.pp
        layer, gathered = self.layer_activations(run, setting), run.number if setting.sharding == 3 else 0
        width = tokens * run.number * h // (mp if run.sequence_parallel else 1)
        stays = kept * layers * (width if setting.recompute else layer)  # recomputing needs each layer's input alone
        in_layer = tokens * run.number * 3 * self.inner // mp + width + gathered * self.layer_weights // mp
        if setting.recompute:
            in_layer += layer  # all of the layer whose backward pass runs
        if stage < setting.pp - 1:
            return stays + kept * width + in_layer  # what was sent on is kept until its gradient comes
        in_loss = width if run.fused else 3 * width + tokens * FULL  # the last norm, as those in a layer
        # The logits and the softmax of them in float32, and a gradient of each.
        in_loss += 2 * tokens * self.vocabulary * (run.number + FULL) // mp + gathered * self.vocabulary * h // mp
        return stays + max(in_layer, in_loss)


@dataclass(frozen=True)
class Bytes:
    """What a card holds."""

    parameters: int
    gradients: int
    optimiser: int
    activations: int

    @property
    def total(self) -> int:
        return self.parameters + self.gradients + self.optimiser + self.activations


def of_stage(model: Llama, run: Run, setting: Setting, stage: int) -> Bytes:
    """The bytes of a card of this stage; raises PlanError where the setting cannot be."""
    model.check(setting)
    sharing = [1 if setting.sharding < level else setting.dp for level in (3, 2, 1)]  # cards that share each of them
    counts = [sum(-(-size // cards) for size in model.sizes(setting, stage)) for cards in sharing]
    parameters, gradients, optimiser = (
        count * size for count, size in zip(counts, (run.number, run.gradient, run.optimiser), strict=True)
    )
    kept = min(setting.pp - stage, run.accumulation)  # by a 1F1B schedule
    activations = model.activations(run, setting, stage, kept)
    if (
        kept == run.accumulation
    ):  # with the first backward pass, when there are no gradients, fewer are kept from then on
        activations = max(activations - gradients, model.activations(run, setting, stage, kept - 1))
    if setting.sharding:  # after the step a weight is gathered: its shares, all joined, and the weight itself
        activations = max(activations, 3 * run.number * max(model.sizes(setting, stage)))
    return Bytes(parameters, gradients, optimiser, activations)


def fullest(model: Llama, run: Run, setting: Setting) -> Bytes:
    """The bytes of the stage that needs most; raises PlanError where the setting cannot be."""
    model.check(setting)
    return max((of_stage(model, run, setting, stage) for stage in range(setting.pp)), key=lambda held: held.total)


def settings(model: Llama, cards: int) -> Iterator[Setting]:
    """All that can be. The cheapest first, by a rule of thumb.

    Recomputing costs a third of all arithmetic; slices speak in every layer, stages at their ends, shards once a step.
    """
    degrees = [d for d in range(1, cards + 1) if cards % d == 0]
    found = []
    for mp, pp, sharding, recompute in product(degrees, degrees, range(4), (False, True)):
        if cards % (mp * pp) == 0 and (sharding == 0 or mp * pp < cards):  # one card has nobody to shard with
            found.append(Setting(cards, cards // (mp * pp), mp, pp, sharding, recompute))
    for setting in sorted(found, key=lambda s: (s.recompute, s.mp, s.pp, s.sharding)):
        try:
            model.check(setting)
        except PlanError:
            continue
        yield setting


def row(setting: Setting, held: Bytes) -> str:
    pieces = (held.parameters, held.gradients, held.optimiser, held.activations, held.total)
    recompute = "yes" if setting.recompute else "no"
    return (f"{setting.dp:4}{setting.mp:4}{setting.pp:4}{setting.sharding:10}{recompute:>11}"
            + "".join(f"{size / GIB:12.1f}" for size in pieces))  # fmt: skip


WORDS = ("parameters", "gradients", "optimiser", "activations", "GiB in all")
HEADER = f"{'dp':>4}{'mp':>4}{'pp':>4}{'sharding':>10}{'recompute':>11}" + "".join(f"{word:>12}" for word in WORDS)


def changed(thing: Any, words: list[str]) -> Any:
    """The dataclass with `name=value` in place of its own; values are YAML's. Raises PlanError."""
    values = {}
    for word in words:
        name, _, text = word.partition("=")
        value = yaml.safe_load(text)
        if type(value) is not type(getattr(thing, name)):
            raise PlanError(f"{word}: not a value of {name}, which is {getattr(thing, name)}")
        values[name] = value
    return replace(thing, **values)


def report(model: Llama, run: Run, asked: Setting, memory: float, show: int = 10) -> tuple[list[str], bool]:
    """Lines for a person, and whether the setting asked for fits cards of `memory` GiB."""
    room, held = ROOM * memory * GIB, fullest(model, run, asked)
    fits = held.total <= room
    lines = [f"the fullest card, of {asked.cards}:", HEADER, row(asked, held)]
    lines += [f"{'fits' if fits else 'does NOT fit'} into {memory:g} GiB, of which {ROOM:.0%} may be filled", ""]
    every = [(setting, fullest(model, run, setting)) for setting in settings(model, asked.cards)]
    fitting = [(setting, needed) for setting, needed in every if needed.total <= room]
    if fitting:
        lines += [f"{len(fitting)} settings fit; the cheapest first, by a rule of thumb:", HEADER]
        lines += [row(*each) for each in fitting[:show]]
    else:
        least = min(every, key=lambda each: each[1].total)
        lines += ["no setting fits; that which needs least:", HEADER, row(*least)]
    return lines, fits


def described(config: Path = CONFIG) -> tuple[Llama, Run, Setting]:
    """What a configuration's file says."""
    read = yaml.safe_load(config.read_text(encoding="utf-8"))
    return Llama(**read["model"]), Run(**read["run"]), Setting(**read["setting"])


def plan(words: list[str]) -> int:
    """Print the plan; 0 where the setting asked for fits. Raises PlanError."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--memory-gb", type=float, required=True, help="of a card, in GiB, as vendors name it")
    parser.add_argument("--show", type=int, default=10, help="so many settings that fit, default: %(default)s")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE",
                        help="of model, run or setting, in place of the configuration's")  # fmt: skip
    given = parser.parse_args(words)
    things = described(given.config)
    names = {name for thing in things for name in vars(thing)}
    unknown = [word for word in given.set if word.partition("=")[0] not in names]
    if unknown:
        raise PlanError(f"{unknown[0]}: there is {', '.join(sorted(names))}")
    changed_things = (
        changed(thing, [word for word in given.set if word.partition("=")[0] in vars(thing)]) for thing in things
    )
    lines, fits = report(*changed_things, given.memory_gb, given.show)
    print(*lines, sep="\n")
    return 0 if fits else 1


def main() -> None:
    try:
        sys.exit(plan(sys.argv[1:]))
    except PlanError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
