"""The mesh: which rank computes which stage, which share of the batch and which slice of the weights.

Ranks are numbered with `mp` running fastest: tensor parallel ranks talk most, after every layer, and stand side
by side; pipeline neighbours talk least and stand furthest apart. For 2 x 2 x 2:

    rank    0  1  2  3  4  5  6  7
    pp      0  0  0  0  1  1  1  1      stage of the pipeline
    dp      0  0  1  1  0  0  1  1      share of the batch
    mp      0  1  0  1  0  1  0  1      slice of the weights
"""

from dataclasses import dataclass

import numpy as np

AXES = ("pp", "dp", "mp")


class MeshError(ValueError):
    """The degrees do not fit the ranks or the network."""


@dataclass(frozen=True)
class Mesh:
    """Degrees of pipeline, data and model (tensor) parallelism."""

    pp: int
    dp: int
    mp: int

    @property
    def size(self) -> int:
        return self.pp * self.dp * self.mp

    @property
    def ranks(self) -> np.ndarray:
        """The ranks, shape (pp, dp, mp)."""
        return np.arange(self.size).reshape(self.pp, self.dp, self.mp)

    def coordinates(self, rank: int) -> dict[str, int]:
        """Where a rank stands: {"pp": …, "dp": …, "mp": …}."""
        return dict(zip(AXES, map(int, np.unravel_index(rank, self.ranks.shape)), strict=True))

    def lines(self, axis: str) -> list[list[int]]:
        """The ranks that differ along an axis alone, a list for each line through the mesh."""
        moved = np.moveaxis(self.ranks, AXES.index(axis), -1)
        return moved.reshape(-1, moved.shape[-1]).tolist()

    def neighbour(self, rank: int, stage: int) -> int:
        """The rank with the same share and slice in another stage."""
        at = self.coordinates(rank)
        return int(self.ranks[stage, at["dp"], at["mp"]])

    def axis_between(self, one: int, other: int) -> str | None:
        """The only axis along which two ranks differ; None where there are more."""
        first, second = self.coordinates(one), self.coordinates(other)
        differing = [axis for axis in AXES if first[axis] != second[axis]]
        return differing[0] if len(differing) == 1 else None

    def check(self, cards: int, blocks: int, inner: int, batch: int, micro_batches: int) -> None:
        """Refuse degrees that do not fit.

        Args:
            cards: the ranks there are.
            blocks: of the network, shared out to the stages.
            inner: width between the two layers, shared out to the slices.
            batch: sequences, shared out to the micro-batches, and each of these to the shares.
            micro_batches: in a step.

        Raises:
            MeshError: with what does not fit.
        """
        if self.size != cards:
            raise MeshError(f"pp {self.pp} x dp {self.dp} x mp {self.mp} is {self.size} ranks, and there are {cards}")
        for what, number, degree in (
            ("blocks", blocks, self.pp),
            ("sequences", batch, micro_batches * self.dp),
            ("numbers of the inner width", inner, self.mp),
        ):
            if number % degree:
                raise MeshError(f"{number} {what} cannot be shared out to {degree}")
