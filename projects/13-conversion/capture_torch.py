"""The reference of 13-2: what PyTorch computes with projects as they stand. For a Python that has torch and numpy:

    PYTHON projects/13-conversion/capture_torch.py projects/13-conversion/reference.npz      the examples
    PYTHON projects/13-conversion/capture_torch.py mine.npz /path/to/a/pytorch/project       with a case.json

Written are, for each project, its weights at the start; in float64 the outputs of its layers, its gradients, a hundred
losses, sums of squares of the trained weights and the optimiser's states, the buffers after training and what the model
then gives in evaluation; and how far float32 in PyTorch itself is from that, by several kernels (`noise`). Names are
PyTorch's, `/` parts them.
"""

import importlib
import re
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from cases import EXAMPLES, STEPS, Case, module_name, read
from equality import relative, scale

from results import tensors, wanted

Arrays = dict[str, np.ndarray]
DROPS = re.compile(r"(feature_)?(alpha_)?dropout[123]?d?")


def attribute(number: float) -> float:
    """A number as Paddle's operators hold their attributes, in float32, whatever the tensors are."""
    return float(np.float32(number))


def network(case: Case) -> Any:
    """The project's model, its weights random but the same every time."""
    place = (case.folder / case.file).resolve()
    sys.path[:0] = before = [str(place.parent), str(case.folder)]
    name = module_name(case)
    for known in [each for each in sys.modules if each.partition(".")[0] == name.partition(".")[0]]:
        sys.modules.pop(known)
    torch.manual_seed(13)
    model = getattr(importlib.import_module(name), case.model)(**case.arguments)
    del sys.path[: len(before)]
    for module in model.modules():
        if isinstance(module, torch.nn.RNNBase):
            module.dropout = 0.0
        if isinstance(getattr(module, "eps", None), float):
            module.eps = attribute(module.eps)
    return model


def capture(case: Case, weights: dict[str, Any], kind: torch.dtype) -> Arrays:
    """Train the model from `weights` in one type of number; the arrays, by name."""
    torch.set_default_dtype(kind)  # what forward makes is of it too
    try:
        with _no_dropout():
            model = network(case).to(kind)
            for name, value in start(model).items():
                value.copy_(weights[name])
            return _train(case, model, kind)
    finally:
        torch.set_default_dtype(torch.float32)


def start(model: Any) -> dict[str, torch.Tensor]:
    """Its weights and buffers, also those that are not saved."""
    return {**model.state_dict(), **{name: value.detach() for name, value in model.named_buffers()}}


def _no_dropout() -> Any:
    """Functions that drop give what they are given; layers call these."""
    attend = F.scaled_dot_product_attention

    def attended(query: Any, key: Any, value: Any, mask: Any = None, p: float = 0, *more: Any, **named: Any) -> Any:
        named.pop("dropout_p", p)
        return attend(query, key, value, named.pop("attn_mask", mask), 0.0, *more, **named)

    functions = dict.fromkeys((name for name in dir(F) if DROPS.fullmatch(name)), lambda input, *_, **__: input)
    return mock.patch.multiple(F, scaled_dot_product_attention=attended, **functions)


def array(value: torch.Tensor) -> np.ndarray:
    return value.detach().double().numpy().copy()  # it may be changed in place


def _train(case: Case, model: Any, kind: torch.dtype) -> Arrays:
    found: Arrays = {}
    for name, module in model.named_modules():
        if not list(module.children()):

            def keep(_: Any, __: Any, output: Any, name: str = name) -> None:
                for place, value in tensors(output, torch.is_tensor):
                    found.setdefault(f"output/{name}{place}", array(value))

            module.register_forward_hook(keep)
    settings = {name: value if name == "lr" else attribute(value) for name, value in case.settings.items()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = getattr(torch.optim, case.optimiser)(trained, **settings)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS) if case.schedule else None
    losses = []
    for step, (inputs, classes) in enumerate(case.batches()):
        loss = _loss(case, model(*_given(inputs, kind)), classes, step)
        optimiser.zero_grad()
        loss.backward()
        if not losses:
            got = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
            found |= {f"gradient/{name}": array(gradient) for name, gradient in got.items()}
        if case.clip:
            torch.nn.utils.clip_grad_norm_(trained, case.clip)
        optimiser.step()
        if schedule:
            schedule.step()
        losses.append(loss.item())
    found["loss"] = np.array(losses)
    for name, p in model.named_parameters():
        if p in optimiser.state:
            state = optimiser.state[p]
            moments = [state[key] for key in ("exp_avg", "exp_avg_sq", "momentum_buffer") if key in state]
            found[f"trained/{name}"] = np.array([float((array(value) ** 2).sum()) for value in (p, *moments)])
    return found | _evaluated(case, model, kind)


def _given(inputs: tuple[np.ndarray, ...], kind: torch.dtype) -> list[torch.Tensor]:
    made = [torch.tensor(each) for each in inputs]
    return [each.to(kind) if each.is_floating_point() else each for each in made]


def _loss(case: Case, result: Any, classes: np.ndarray, step: int) -> torch.Tensor:
    logits = wanted(result, torch.is_tensor, torch.is_floating_point)
    if case.loss == "cross_entropy":
        return F.cross_entropy(logits.reshape(-1, case.classes), torch.tensor(classes).reshape(-1))
    towards = torch.tensor(case.targets(tuple(logits.shape), step)).to(logits.dtype)
    functions = {"mse": "mse_loss", "bce": "binary_cross_entropy_with_logits"}
    return getattr(F, functions[case.loss])(logits, towards)


def _evaluated(case: Case, model: Any, kind: torch.dtype) -> Arrays:
    """The buffers as training left them, and what the model gives in evaluation."""
    found = {f"buffer/{name}": array(value) for name, value in model.named_buffers() if value.is_floating_point()}
    model.eval()
    with torch.no_grad():
        result = model(*_given(next(case.batches())[0], kind))
    found |= {f"evaluated{name or '/'}": array(value) for name, value in tensors(result, torch.is_tensor)}
    return found


def rounded(case: Case, weights: dict[str, Any]) -> list[Arrays]:
    """The same in float32 by several kernels, whose orders of adding differ."""
    runs = [capture(case, weights, torch.float32)]
    with torch.backends.mkldnn.flags(enabled=False):
        runs.append(capture(case, weights, torch.float32))
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    runs.append(capture(case, weights, torch.float32))
    torch.set_num_threads(threads)
    return runs


def main() -> None:
    arrays: Arrays = {"versions": np.array(f"torch {torch.__version__}, numpy {np.__version__}")}
    for case in map(read, map(Path, sys.argv[2:]) if sys.argv[2:] else EXAMPLES):
        name = case.name
        weights = start(network(case))
        exact, others = capture(case, weights, torch.float64), rounded(case, weights)
        arrays |= {f"{name}/weight/{key}": value.numpy() for key, value in weights.items() if value.is_floating_point()}
        arrays |= {f"{name}/{key}": value for key, value in exact.items()}
        for key, value in exact.items():
            arrays[f"{name}/noise/{key}"] = np.array(
                max(relative(run[key], value, scale(exact, key)) for run in others)
            )
    np.savez_compressed(sys.argv[1], **arrays)
    print(arrays["versions"], f"{Path(sys.argv[1]).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
