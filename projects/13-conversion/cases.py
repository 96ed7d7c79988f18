"""What 13-2 asks of both sides, as a project's case.json says it: model, data and optimiser, without torch or Paddle.

A case is a classifier: its model takes one tensor and gives logits (..., classes), its loss is the cross entropy.
Dropout is set to 0 on both sides, since their random numbers differ.
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
    classes: int
    inputs: tuple[int, ...]  # shape of a batch
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

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """STEPS pairs of inputs, tokens (int64) or numbers (float64), and the classes wanted (int64)."""
        random = np.random.default_rng(13)
        made = []
        for _ in range(BATCHES):
            if self.tokens:
                row = random.integers(0, self.classes, (self.inputs[0], self.inputs[1] + 1))
                made.append((row[:, :-1], row[:, 1:]))
            else:
                wanted = random.integers(0, self.classes, self.inputs[0])
                noise = random.standard_normal(self.inputs) * 0.5
                made.append((noise + wanted.reshape(-1, *[1] * (len(self.inputs) - 1)) / self.classes, wanted))
        for step in range(STEPS):
            yield made[step % BATCHES]


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
    sizes = (case.classes, *case.inputs)
    if not all(type(size) is int and size > 0 for size in sizes) or len(case.inputs) < 2:
        raise NoCase(f"{path}: inputs is the shape of a batch, two whole numbers or more, and classes a whole number")
    if case.tokens and len(case.inputs) != 2:
        raise NoCase(f"{path}: inputs of tokens are [samples, places]")
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
