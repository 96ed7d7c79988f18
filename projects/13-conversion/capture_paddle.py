"""Paddle's side of 13-2: what the converted projects compute from PyTorch's weights, under PyTorch's names."""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import mended
import numpy as np
import paddle
from cases import STEPS, Case, module_name

from results import tensors, wanted

Arrays = dict[str, np.ndarray]
NAMES = {"_mean": "running_mean", "_variance": "running_var"}  # of a batch norm: Paddle's, PyTorch's


def network(case: Case, folder: Path) -> Any:
    """The converted project's model with weights of its own."""
    place = (folder / case.file).resolve()
    name = module_name(case)
    for known in [each for each in sys.modules if each.partition(".")[0] in (name.partition(".")[0], "paddle_utils")]:
        sys.modules.pop(known)
    sys.path[:0] = before = [str(place.parent), str(folder)]
    model = getattr(importlib.import_module(name), case.model)(**case.arguments)
    del sys.path[: len(before)]
    for layer in model.sublayers():
        if isinstance(getattr(layer, "eps", None), float):  # the reference has the numbers that Paddle's operators hold
            layer.eps = float(np.float32(layer.eps))
    return model


def weights(model: Any) -> dict[str, tuple[Any, bool]]:
    """Every parameter and buffer under PyTorch's name, and whether it lies transposed: Paddle's Linear is (in, out)."""
    linear = {f"{name}.weight" for name, layer in model.named_sublayers() if isinstance(layer, paddle.nn.Linear)}
    found = {}
    every = {**model.state_dict(keep_vars=True), **dict(model.named_buffers())}  # also those that are not saved
    for name, value in every.items():
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
        with mock.patch.multiple(mended.chance, _drop=lambda x, *_: x, _alpha=lambda x, *_: x):
            model = network(case, folder).to(dtype=getattr(paddle, kind))
            load(model, given, kind)
            with mock.patch.object(mended.chance, "source", NoNumbers()):
                return _train(case, model, kind, used)
    finally:
        paddle.set_default_dtype("float32")


class NoNumbers:
    """In place of random numbers: those of PyTorch were others."""

    def __getattr__(self, _: str) -> Any:
        raise RuntimeError("it draws random numbers in its forward, so that its results cannot be compared")


def array(value: Any) -> np.ndarray:
    return value.detach().numpy().astype("float64")


def _train(case: Case, model: Any, kind: str, used: list[Any]) -> Arrays:
    found: Arrays = {}
    for name, layer in model.named_sublayers():
        if not list(layer.children()):

            def keep(_: Any, __: Any, output: Any, name: str = name) -> None:
                for place, value in tensors(output, paddle.is_tensor):
                    found.setdefault(f"output/{name}{place}", array(value))

            layer.register_forward_post_hook(keep)
    settings = {name: float(np.float32(value)) for name, value in case.settings.items()}
    settings.pop("lr")
    rate = case.settings["lr"]
    parameters = [value for value in model.parameters() if not value.stop_gradient]
    optimiser = getattr(mended, case.optimiser)(parameters, lr=rate, **settings)
    schedule = mended.CosineAnnealingLR(optimiser, STEPS) if case.schedule else None
    losses = []
    for step, (inputs, classes) in enumerate(case.batches()):
        loss = _loss(case, model(*_given(inputs, kind)), classes, step)
        optimiser.zero_grad()
        loss.backward()
        if not losses:
            used += [loss, *parameters]
            for name, (value, turned) in weights(model).items():
                if value.grad is not None:
                    gradient = array(value.grad)
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
        state = optimiser.state[value]
        moments = [state[key] for key in ("exp_avg", "exp_avg_sq", "momentum_buffer") if key in state]
        found[f"trained/{name}"] = np.array([float((array(each) ** 2).sum()) for each in (value, *moments)])
    return found | _evaluated(case, model, kind)


def _given(inputs: tuple[np.ndarray, ...], kind: str) -> list[Any]:
    return [paddle.to_tensor(each if each.dtype == np.int64 else each.astype(kind)) for each in inputs]


def _loss(case: Case, result: Any, classes: np.ndarray, step: int) -> Any:
    logits = wanted(result, paddle.is_tensor, lambda value: value.is_floating_point())
    functional = paddle.nn.functional
    if case.loss == "cross_entropy":
        flat = paddle.reshape(paddle.to_tensor(classes), [-1])
        return functional.cross_entropy(paddle.reshape(logits, [-1, case.classes]), flat)
    towards = paddle.to_tensor(case.targets(tuple(logits.shape), step)).astype(logits.dtype)
    functions = {"mse": functional.mse_loss, "bce": functional.binary_cross_entropy_with_logits}
    return functions[case.loss](logits, towards)


def _evaluated(case: Case, model: Any, kind: str) -> Arrays:
    """The buffers as training left them, and what the model gives in evaluation."""
    parameters = {id(value) for value in model.parameters()}
    kept = {name: value for name, (value, _) in weights(model).items() if id(value) not in parameters}
    found = {f"buffer/{name}": array(value) for name, value in kept.items()}
    model.eval()
    with paddle.no_grad():
        result = model(*_given(next(case.batches())[0], kind))
    found |= {f"evaluated{name or '/'}": array(value) for name, value in tensors(result, paddle.is_tensor)}
    return found
