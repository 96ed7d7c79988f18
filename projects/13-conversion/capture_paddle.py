"""Paddle's side of 13-2: what the converted projects compute from PyTorch's weights, under PyTorch's names."""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mended
import numpy as np
import paddle
from cases import STEPS, Case

Arrays = dict[str, np.ndarray]
NAMES = {"_mean": "running_mean", "_variance": "running_var"}  # of a batch norm: Paddle's, PyTorch's


def network(case: Case, folder: Path) -> Any:
    """The converted project's model with weights of its own."""
    place = (folder / case.file).resolve()
    for name in (place.stem, "paddle_utils"):
        sys.modules.pop(name, None)
    sys.path[:0] = before = [str(place.parent), str(folder)]
    model = getattr(importlib.import_module(place.stem), case.model)(**case.arguments)
    del sys.path[: len(before)]
    for layer in model.sublayers():
        if isinstance(layer, paddle.nn.Dropout | mended.Dropout):
            layer.p = 0.0
        if isinstance(getattr(layer, "eps", None), float):  # the reference has the numbers that Paddle's operators hold
            layer.eps = float(np.float32(layer.eps))
    return model


def weights(model: Any) -> dict[str, tuple[Any, bool]]:
    """Every parameter and buffer under PyTorch's name, and whether it lies transposed: Paddle's Linear is (in, out)."""
    linear = {f"{name}.weight" for name, layer in model.named_sublayers() if isinstance(layer, paddle.nn.Linear)}
    found = {}
    for name, value in model.state_dict(keep_vars=True).items():
        if not value.is_floating_point():
            continue
        head, _, last = name.rpartition(".")
        found[f"{head}.{NAMES[last]}" if last in NAMES else name] = (value, name in linear)
    return found


def start_arrays(model: Any) -> Arrays:
    """Its weights as PyTorch would lay them."""
    return {name: value.numpy().T if turned else value.numpy() for name, (value, turned) in weights(model).items()}


def load(model: Any, given: Mapping[str, np.ndarray], kind: str) -> None:
    """Set every weight. Raises KeyError for one that PyTorch's model does not have."""
    for name, (value, turned) in weights(model).items():
        value.set_value(paddle.to_tensor((given[name].T if turned else given[name]).astype(kind)))


def capture(case: Case, folder: Path, given: Mapping[str, np.ndarray], kind: str, used: list[Any]) -> Arrays:
    """Train the converted model from the weights `given`; the arrays that capture_torch.py makes, by the same names."""
    paddle.set_default_dtype(kind)
    try:
        model = network(case, folder)
        load(model, given, kind)
        return _train(case, model, kind, used)
    finally:
        paddle.set_default_dtype("float32")


def _train(case: Case, model: Any, kind: str, used: list[Any]) -> Arrays:
    found: Arrays = {}
    for name, layer in model.named_sublayers():
        if not list(layer.children()):

            def keep(_: Any, __: Any, output: Any, name: str = name) -> None:
                found.setdefault(f"output/{name}", output.numpy().astype("float64"))

            layer.register_forward_post_hook(keep)
    settings = {name: float(np.float32(value)) for name, value in case.settings.items()}
    settings.pop("lr")
    rate = case.settings["lr"]
    parameters = model.parameters()
    optimiser = getattr(mended, case.optimiser)(parameters, lr=rate, **settings)
    schedule = mended.CosineAnnealingLR(optimiser, STEPS) if case.schedule else None
    losses = []
    for inputs, wanted in case.batches():
        tensor = paddle.to_tensor(inputs if inputs.dtype == np.int64 else inputs.astype(kind))
        logits = model(tensor)
        loss = paddle.nn.functional.cross_entropy(
            paddle.reshape(logits, [-1, case.classes]), paddle.reshape(paddle.to_tensor(wanted), [-1])
        )
        optimiser.zero_grad()
        loss.backward()
        if not losses:
            used += [loss, *parameters]
            for name, (value, turned) in weights(model).items():
                if value.grad is not None:
                    gradient = value.grad.numpy().astype("float64")
                    found[f"gradient/{name}"] = gradient.T if turned else gradient
        if case.clip:
            mended.clip_grad_norm_(parameters, case.clip)
        optimiser.step()
        if schedule:
            schedule.step()
        losses.append(float(loss))
    found["loss"] = np.array(losses)
    for name, (value, _) in weights(model).items():
        if value.grad is None:
            continue
        state = optimiser.state[id(value)]
        moments = [state[key] for key in ("exp_avg", "exp_avg_sq", "momentum_buffer") if key in state]
        found[f"trained/{name}"] = np.array(
            [float((each.numpy().astype("float64") ** 2).sum()) for each in (value, *moments)]
        )
    return found
