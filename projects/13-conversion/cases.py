"""What 13-2 asks of both sides, as a project's case.json says it: model, data and optimiser, without torch or Paddle.

Its model takes one tensor or several. What it is trained with is its logits, or the first tensor that it gives: by
the cross entropy of classes, by the squared error, or by the binary cross entropy. Dropout does nothing on both sides,
since their random numbers differ.
"""

import json
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

FILE = "case.json"
EXAMPLES = sorted(path.parent for path in Path(__file__).resolve().parent.glob(f"examples/*/{FILE}"))
STEPS = 100
LOSSES = ("cross_entropy", "mse", "bce")
BATCHES = 4  # that training goes round
SETTINGS = {"SGD": {"lr", "momentum", "weight_decay"}, "Adam": {"lr", "weight_decay"}, "AdamW": {"lr", "weight_decay"}}
TEMPLATE = """\
{
  "file": "model.py",
  "model": "Net",
  "arguments": {},
  "inputs": [4, 3, 32, 32],
  "classes": 10,
  "optimiser": "AdamW",
  "settings": {"lr": 0.001, "weight_decay": 0.01}
}"""


class NoCase(ValueError):
    """The project does not say what is to be compared, or not in these words."""


@dataclass(frozen=True)
class Case:
    """A project's class and how that is built, its data and its optimiser."""

    folder: Path
    model: str
    inputs: tuple[Any, ...]  # shape of a batch, or the shapes of several
    classes: int = 1  # of the cross entropy
    loss: str = "cross_entropy"
    tokens: bool = False  # of classes, each followed by the next; else numbers
    file: str = "model.py"
    arguments: dict[str, Any] = field(default_factory=dict)
    optimiser: str = "AdamW"
    settings: dict[str, float] = field(default_factory=lambda: {"lr": 1e-3})
    clip: float = 0.0  # the norm that gradients are clipped to, 0: not
    schedule: bool = False  # cosine, down to 0 in STEPS

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the inputs, of which there may be several."""
        several = all(isinstance(shape, list | tuple) for shape in self.inputs)
        return tuple(map(tuple, self.inputs)) if several else (self.inputs,)

    def batches(self) -> Iterator[tuple[tuple[np.ndarray, ...], np.ndarray]]:
        """STEPS pairs of inputs, tokens (int64) or numbers (float64), and the classes wanted (int64)."""
        random = np.random.default_rng(13)
        made = []
        for _ in range(BATCHES):
            first, *others = self.shapes
            if self.tokens:
                row = random.integers(0, self.classes, (first[0], first[1] + 1))
                inputs, wanted = row[:, :-1], row[:, 1:]
            else:
                wanted = random.integers(0, self.classes, first[0])
                noise = random.standard_normal(first) * 0.5
                inputs = noise + wanted.reshape(-1, *[1] * (len(first) - 1)) / self.classes
            made.append(((inputs, *(random.standard_normal(shape) for shape in others)), wanted))
        for step in range(STEPS):
            yield made[step % BATCHES]

    def targets(self, shape: tuple[int, ...], step: int) -> np.ndarray:
        """What numbers of that shape are trained towards in a step, where they are no logits of classes."""
        random = np.random.default_rng([13, step % BATCHES])
        return random.integers(0, 2, shape).astype(float) if self.loss == "bce" else random.standard_normal(shape)


def module_name(case: Case) -> str:
    """What the model's file is imported as: below a folder with __init__.py it is a module of that package."""
    path = Path(case.file).with_suffix("")
    inside = len(path.parts) > 1 and (case.folder / path.parts[0] / "__init__.py").is_file()
    return ".".join(path.parts) if inside else path.stem


def read(folder: Path) -> Case:
    """The case of the project in `folder`. Raises NoCase."""
    path = folder / FILE
    if not path.is_file():
        raise NoCase(f"{path} is not there. It says what is compared; for example:\n{TEMPLATE}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NoCase(f"{path} is not JSON: {error}") from None
    known = {each.name: each for each in fields(Case) if each.name != "folder"}
    needed = {name for name, each in known.items() if each.default is MISSING and each.default_factory is MISSING}
    if not isinstance(data, dict) or set(data) - set(known) or needed - set(data):
        raise NoCase(f"{path}: a JSON object with {', '.join(sorted(needed))}, and perhaps {', '.join(known)}")
    case = Case(folder, **{**data, "inputs": tuple(data["inputs"]) if isinstance(data["inputs"], list) else ()})
    _check(case, path)
    return case


def _check(case: Case, path: Path) -> None:
    sizes = (case.classes, *(size for shape in case.shapes for size in shape))
    if not all(type(size) is int and size > 0 for size in sizes) or not case.inputs or min(map(len, case.shapes)) < 2:
        why = "inputs is the shape of a batch, two whole numbers or more, or a list of such, and classes a whole number"
        raise NoCase(f"{path}: {why}")
    if case.tokens and (len(case.inputs) != 2 or len(case.shapes) > 1):
        raise NoCase(f"{path}: inputs of tokens are [samples, places]")
    if case.loss not in LOSSES:
        raise NoCase(f"{path}: loss is {', '.join(LOSSES)}, not {case.loss!r}")
    if case.loss == "cross_entropy" and case.classes < 2:
        raise NoCase(f"{path}: classes is how many the cross entropy tells apart, 2 or more")
    if case.optimiser not in SETTINGS:
        raise NoCase(f"{path}: optimiser is {', '.join(SETTINGS)}, not {case.optimiser!r}")
    if not isinstance(case.settings, dict) or not {"lr"} <= set(case.settings) <= SETTINGS[case.optimiser]:
        known = ", ".join(sorted(SETTINGS[case.optimiser]))
        raise NoCase(f"{path}: settings of {case.optimiser} are {known}, and lr is needed")
    numbers = (*case.settings.values(), case.clip)
    if not all(type(number) in (int, float) for number in numbers) or not isinstance(case.arguments, dict):
        raise NoCase(f"{path}: settings and clip are numbers, arguments an object")
    if not (case.folder / str(case.file)).is_file():
        raise NoCase(f"{path}: there is no file {case.file}, which has the model")
