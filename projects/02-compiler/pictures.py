"""The stages as texts, as a table in the terminal and as a picture; and the bars of part 2-3."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no screen needed
import matplotlib.pyplot as plt

TITLES = {
    "python": "Python", "pir": "dy2st → PIR", "groups": "groups", "decomposed": "decomposed PIR",
    "loops": "loop nests", "c": "C, compiled", "rewritten": "PIR with kernels", "run": "run", "cinn": "PIR → CINN",
}  # fmt: skip


class Stages:
    """What each stage of the compiler left behind; `artefact` gives the path of a file by name."""

    def __init__(self, artefact: Callable[[str], Path]) -> None:
        self.artefact = artefact
        self.counts: dict[str, Counter[str]] = {}
        self.seconds: dict[str, float] = {}

    def add(self, name: str, text: str, counts: Counter[str], seconds: float) -> None:
        self.counts[name], self.seconds[name] = counts, max(seconds, 0.0)
        if text:
            self.artefact(f"stages/{len(self.counts):02}-{name}.txt").write_text(text + "\n", encoding="utf-8")

    def finish(self, title: str) -> None:
        """Print the table, write stages.png."""
        longest = max(self.seconds.values()) or 1
        print(f"{'stage':18} {'ms':>8}  {'':20} operators")
        for name, counts in self.counts.items():
            bar = "█" * round(20 * self.seconds[name] / longest)
            print(f"{TITLES[name]:18} {1e3 * self.seconds[name]:8.1f}  {bar:20} {described(counts)}")
        figure, axes = plt.subplots(figsize=(11, 0.9 + 0.75 * len(self.counts)), layout="constrained")
        for place, (name, counts) in enumerate(self.counts.items()):
            axes.barh(-place, 1e3 * self.seconds[name], color="tab:blue", height=0.5)
            text = f"{1e3 * self.seconds[name]:.1f} ms   {described(counts)}"
            axes.annotate(text, (0.01, -place + 0.3), xycoords=("axes fraction", "data"), va="bottom", fontsize=8)
        axes.set_yticks([-place for place in range(len(self.counts))], [TITLES[name] for name in self.counts])
        axes.set(xlabel="time in ms", title=title, ylim=(-len(self.counts) + 0.5, 0.8))
        figure.savefig(self.artefact("stages.png"), dpi=140)
        plt.close(figure)


def described(counts: Counter[str], most: int = 7) -> str:
    names = [f"{number} {name}" for name, number in counts.most_common(most)]
    rest = len(counts) - most
    return ", ".join(names) + (f" and {rest} kinds more" if rest > 0 else "")


def bars(
    ratios: Mapping[str, Mapping[str, float]], ways: Sequence[str], title: str, path: Path, beside: str = "plain eager"
) -> None:
    """Draw speed against `beside`, which has 1: a group of bars for each subgraph, one bar for each way. A PNG."""
    figure, axes = plt.subplots(figsize=(max(6.5, 1.6 * len(ratios)), 4.5), layout="constrained")
    width = 0.8 / len(ways)
    for place, way in enumerate(ways):
        heights = [by_way.get(way, 0.0) for by_way in ratios.values()]
        positions = [group + width * (place - (len(ways) - 1) / 2) for group in range(len(ratios))]
        drawn = axes.bar(positions, heights, width, label=way)
        axes.bar_label(drawn, [f"{height:.1f}" if height else "" for height in heights], fontsize=7)
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.set_xticks(range(len(ratios)), ratios, rotation=20, ha="right")
    axes.set(ylabel=f"times as fast as {beside}", title=title)
    axes.legend()
    figure.savefig(path, dpi=140)
    plt.close(figure)
