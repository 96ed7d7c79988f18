"""What is learnt: handwritten digits by a vision transformer, and Python's documentation by a GPT.

Both come with packages, so nothing is downloaded. A subject has a `name`, makes its `network`, draws a `batch` and
says what the network's `loss` on it is, and `evaluate`s on data that training never sees.
"""

import pydoc_data.topics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no screen needed
import matplotlib.pyplot as plt
import numpy as np
import paddle
import paddle.nn.functional as F
from sklearn.datasets import load_digits
from transformer import GPT, ViT

Numbers = np.random.Generator


class Digits:
    """1,797 digits of 8 x 8 pixels (https://doi.org/10.24432/C50P49), 360 of them held out."""

    name = "digits"
    unit = 1  # what throughput counts, in one sample: an image
    held_out = 360

    def __init__(self) -> None:
        digits = load_digits()
        order = np.random.default_rng(0).permutation(len(digits.images))  # the split is no matter of the seed
        self.images, self.labels = (digits.images[order] / 8 - 1).astype("float32"), digits.target[order]

    def network(self) -> ViT:
        return ViT(size=8, patch=2, classes=10, channels=64, heads=4, layers=2)

    def batch(self, numbers: Numbers, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Images (size, 8, 8) and their digits (size,)."""
        chosen = numbers.integers(self.held_out, len(self.images), size)
        return self.images[chosen], self.labels[chosen]

    def loss(self, network: ViT, images: paddle.Tensor, labels: paddle.Tensor) -> paddle.Tensor:
        return F.cross_entropy(network(images), labels)

    def evaluate(self, network: ViT) -> dict[str, float]:
        """The share of held-out digits that are told right, and their loss."""
        logits = network(paddle.to_tensor(self.images[: self.held_out]))
        labels = self.labels[: self.held_out]
        loss = F.cross_entropy(logits, paddle.to_tensor(labels))
        return {"accuracy": float((logits.numpy().argmax(-1) == labels).mean()), "held_out_loss": loss.item()}

    def show(self, network: ViT, artefact: Callable[[str], Path], _: Numbers) -> None:
        """digits.png: held-out digits and what they were taken for, those that were mistaken first."""
        found = network(paddle.to_tensor(self.images[: self.held_out])).numpy().argmax(-1)
        labels = self.labels[: self.held_out]
        figure, axes = plt.subplots(4, 10, figsize=(10, 4.6), layout="constrained")
        for number, place in zip(np.argsort(found == labels, kind="stable"), axes.flat, strict=False):
            place.imshow(self.images[number], cmap="gray_r")
            right = found[number] == labels[number]
            text = str(found[number]) if right else f"{found[number]}, not {labels[number]}"
            place.set_title(text, fontsize=9, color="black" if right else "tab:red")
            place.axis("off")
        mistaken = int((found != labels).sum())
        figure.suptitle(f"{self.held_out} held-out digits, {mistaken} mistaken")
        figure.savefig(artefact("digits.png"), dpi=150)
        plt.close(figure)
        print(f"  {mistaken} of {self.held_out} held-out digits are mistaken: digits.png")


class Documentation:
    """The reference manual that every Python carries for help(), letter by letter; its last tenth is held out."""

    name = "text"
    context = 64
    unit = context  # letters in a sample

    def __init__(self) -> None:
        topics = pydoc_data.topics.topics
        text = "\n".join(topics[name] for name in sorted(topics))
        self.alphabet = sorted(set(text))
        self.letters = np.searchsorted(self.alphabet, list(text)).astype("int64")
        self.end = len(self.letters) * 9 // 10

    def network(self) -> GPT:
        return GPT(len(self.alphabet), self.context, channels=64, heads=4, layers=2)

    def batch(self, numbers: Numbers, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Pieces of the text (size, context), and the same one letter on."""
        starts = numbers.integers(0, self.end - self.context, size)[:, None] + np.arange(self.context)
        return self.letters[starts], self.letters[starts + 1]

    def loss(self, network: GPT, letters: paddle.Tensor, following: paddle.Tensor) -> paddle.Tensor:
        return F.cross_entropy(network(letters), following)  # the mean over (B, T), in nats

    def evaluate(self, network: GPT) -> dict[str, float]:
        """Loss in nats a letter on 256 pieces of the held-out text, and that of two counting models beside it."""
        starts = np.linspace(self.end, len(self.letters) - self.context - 1, 256).astype(int)[:, None]
        places = starts + np.arange(self.context)
        loss = self.loss(network, paddle.to_tensor(self.letters[places]), paddle.to_tensor(self.letters[places + 1]))
        return {"held_out_loss": loss.item(), **self.counted()}

    def counted(self) -> dict[str, float]:
        """Held-out loss of letter frequencies, and of frequencies after each letter; counts begin at 1/2."""
        size, known, held_out = len(self.alphabet), self.letters[: self.end], self.letters[self.end :]
        single = np.bincount(known, minlength=size) + 0.5
        pairs = np.bincount(known[:-1] * size + known[1:], minlength=size * size).reshape(size, size) + 0.5
        after = pairs / pairs.sum(1, keepdims=True)
        return {
            "letter_loss": float(-np.log(single / single.sum())[held_out].mean()),
            "pair_loss": float(-np.log(after)[held_out[:-1], held_out[1:]].mean()),
        }

    def show(self, network: GPT, artefact: Callable[[str], Path], numbers: Numbers) -> None:
        """text.txt: 200 letters that the network goes on with, drawn at temperature 0.7."""
        begin = "The class statement "
        letters = list(np.searchsorted(self.alphabet, list(begin)))
        for _ in range(200):
            logits = network(paddle.to_tensor([letters[-self.context :]])).numpy()[0, -1].astype("float64") / 0.7
            shares = np.exp(logits - logits.max())
            letters.append(int(numbers.choice(len(shares), p=shares / shares.sum())))
        text = "".join(self.alphabet[letter] for letter in letters)
        artefact("text.txt").write_text(text + "\n", encoding="utf-8")
        print("  it goes on with " + repr(begin) + ":\n  " + text.replace("\n", "\n  "))


SUBJECTS: dict[str, Any] = {"digits": Digits, "text": Documentation}
