"""A training run kept in a file, from which it goes on as if it had never stopped.

Everything that a step depends on is in it: weights, the optimiser's state, the scaler's, the number of steps done. The
batch of a step is drawn from the seed and the step's number alone, so no generator has to be kept.
"""

import os
from pathlib import Path
from typing import Any

import paddle


class CheckpointError(Exception):
    """A file that is no checkpoint, or one of another training run."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write beside and rename into place: whoever is killed meanwhile leaves the checkpoint before."""
    beside = path.with_name(path.name + ".part")
    paddle.save(state, str(beside))
    os.replace(beside, path)


def load(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The state that `save` wrote; raises CheckpointError where it was made with other `settings`."""
    try:
        state = paddle.load(str(path))
        found = state["settings"]
    except Exception as error:  # pickle's, the system's or Paddle's own
        raise CheckpointError(f"{path} is no checkpoint of this program: {error!r}") from None
    different = [
        f"{name}={found.get(name)}, now {value}" for name, value in settings.items() if found.get(name) != value
    ]
    if different:
        raise CheckpointError(f"{path} was made with other settings: {'; '.join(different)}")
    return dict(state)
