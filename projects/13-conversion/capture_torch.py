"""The reference of 13-2: what PyTorch computes with projects as they stand. For a Python that has torch and numpy:

    PYTHON projects/13-conversion/capture_torch.py projects/13-conversion/reference.npz      the examples
    PYTHON projects/13-conversion/capture_torch.py mine.npz /path/to/a/pytorch/project       with a case.json

Written are, for each project, its weights at the start; in float64 the outputs of its layers, its gradients, a hundred
losses, and sums of squares of the trained weights and the optimiser's states; and how far float32 in PyTorch itself is
from that (`noise`). Names are PyTorch's, `/` parts them.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import EXAMPLES, STEPS, Case, read
from equality import relative, scale

Arrays = dict[str, np.ndarray]


def attribute(number: float) -> float:
    """A number as Paddle's operators hold their attributes, in float32, whatever the tensors are."""
    return float(np.float32(number))


def network(case: Case) -> Any:
    """The project's model, its weights random but the same every time."""
    place = (case.folder / case.file).resolve()
    sys.path.insert(0, str(place.parent))
    sys.modules.pop(place.stem, None)
    torch.manual_seed(13)
    model = getattr(importlib.import_module(place.stem), case.model)(**case.arguments)
    sys.path.pop(0)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "eps"):
            module.eps = attribute(module.eps)
    return model


def capture(case: Case, weights: dict[str, Any], kind: torch.dtype) -> Arrays:
    """Train the model from `weights` in one type of number; the arrays, by name."""
    model = network(case).to(kind)
    model.load_state_dict(
        {name: value.to(kind) if value.is_floating_point() else value for name, value in weights.items()}
    )
    found: Arrays = {}
    for name, module in model.named_modules():
        if not list(module.children()):

            def keep(_: Any, __: Any, output: Any, name: str = name) -> None:
                found.setdefault(
                    f"output/{name}", output.detach().double().numpy().copy()
                )  # it may be changed in place

            module.register_forward_hook(keep)
    settings = {name: value if name == "lr" else attribute(value) for name, value in case.settings.items()}
    optimiser = getattr(torch.optim, case.optimiser)(model.parameters(), **settings)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS) if case.schedule else None
    losses = []
    for inputs, wanted in case.batches():
        given = torch.tensor(inputs) if inputs.dtype == np.int64 else torch.tensor(inputs).to(kind)
        logits = model(given)
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, case.classes), torch.tensor(wanted).reshape(-1))
        optimiser.zero_grad()
        loss.backward()
        if not losses:
            found |= {f"gradient/{name}": p.grad.double().numpy().copy() for name, p in model.named_parameters()}
        if case.clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), case.clip)
        optimiser.step()
        if schedule:
            schedule.step()
        losses.append(loss.item())
    found["loss"] = np.array(losses)
    for name, p in model.named_parameters():
        state = optimiser.state[p]
        moments = [state[key] for key in ("exp_avg", "exp_avg_sq", "momentum_buffer") if key in state]
        squares = [float((value.detach().double() ** 2).sum()) for value in (p, *moments)]
        found[f"trained/{name}"] = np.array(squares)
    return found


def main() -> None:
    arrays: Arrays = {"versions": np.array(f"torch {torch.__version__}, numpy {np.__version__}")}
    for case in map(read, map(Path, sys.argv[2:]) if sys.argv[2:] else EXAMPLES):
        name = case.name
        weights = network(case).state_dict()
        exact, rounded = (capture(case, weights, kind) for kind in (torch.float64, torch.float32))
        arrays |= {f"{name}/weight/{key}": value.numpy() for key, value in weights.items() if value.is_floating_point()}
        arrays |= {f"{name}/{key}": value for key, value in exact.items()}
        for key, value in exact.items():
            arrays[f"{name}/noise/{key}"] = np.array(relative(rounded[key], value, scale(exact, key)))
    np.savez_compressed(sys.argv[1], **arrays)
    print(arrays["versions"], f"{Path(sys.argv[1]).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
