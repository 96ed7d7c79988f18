"""Two pictures: who holds what on the mesh, and when each stage works on what."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no screen needed
import matplotlib.pyplot as plt
from hybrid.mesh import Mesh
from hybrid.schedule import Slot, bubble
from matplotlib.patches import Rectangle

COLOURS = {"F": "tab:blue", "B": "tab:orange"}


def draw_mesh(path: Path, mesh: Mesh, blocks: int, sequences: int, inner: int) -> None:
    """A panel for each stage; in it a row for each share of the batch, a column for each slice of the weights."""
    figure, panels = plt.subplots(
        1, mesh.pp, figsize=(1 + 2.6 * mesh.mp * mesh.pp, 1 + 1.3 * mesh.dp), squeeze=False, layout="constrained"
    )
    for stage, axes in enumerate(panels[0]):
        first, last = stage * blocks // mesh.pp, (stage + 1) * blocks // mesh.pp - 1
        for share in range(mesh.dp):
            for part in range(mesh.mp):
                axes.add_patch(Rectangle((part, share), 0.94, 0.9, color=plt.cm.Pastel1(part % 9)))
                rows = f"{share * sequences // mesh.dp}–{(share + 1) * sequences // mesh.dp - 1}"
                columns = f"{part * inner // mesh.mp}–{(part + 1) * inner // mesh.mp - 1}"
                text = f"rank {mesh.ranks[stage, share, part]}\nsequences {rows}\ninner {columns}"
                axes.text(part + 0.47, share + 0.45, text, ha="center", va="center", fontsize=8)
        axes.set(xlim=(0, mesh.mp), ylim=(mesh.dp, 0), title=f"stage {stage}: blocks {first}–{last}")
        axes.set(xlabel="mp: slices of the weights", ylabel="dp: shares of each micro-batch", xticks=[], yticks=[])
    figure.suptitle(f"pp {mesh.pp} × dp {mesh.dp} × mp {mesh.mp}: an activation goes from stage to stage at its place")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_timelines(path: Path, timelines: Mapping[str, Sequence[Slot]]) -> None:
    """A panel for each timeline, with the share of time in which stages are idle."""
    stages = 1 + max(slot.work.stage for slots in timelines.values() for slot in slots)
    figure, panels = plt.subplots(
        len(timelines), 1, figsize=(9, len(timelines) * (0.9 + 0.35 * stages)), squeeze=False, layout="constrained"
    )
    for axes, (title, slots) in zip(panels[:, 0], timelines.items(), strict=True):
        begin = min(slot.start for slot in slots)
        for slot in slots:
            left, width = slot.start - begin, slot.end - slot.start
            axes.barh(slot.work.stage, width, 0.8, left=left, color=COLOURS[slot.work.kind], edgecolor="white")
            label = f"{slot.work.kind}{slot.work.micro_batch}"
            axes.text(left + width / 2, slot.work.stage, label, ha="center", va="center", fontsize=7, color="white")
        axes.set(title=f"{title}: idle {bubble(slots):.0%}", ylim=(stages - 0.5, -0.5), yticks=range(stages))
        axes.set(ylabel="stage", xlabel="seconds" if "measured" in title else "forward passes")
    figure.savefig(path, dpi=150)
    plt.close(figure)
