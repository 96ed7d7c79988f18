"""torch.optim: PyTorch's formulas, groups, defaults and states, in Paddle's arithmetic."""

import math
from collections import defaultdict

import paddle

from . import arithmetic, reductions
from .halves import refused, single

add, addcmul, addcdiv = (single(getattr(arithmetic, name), name == "add") for name in ("add", "addcmul", "addcdiv"))
lerp, norm = single(arithmetic.lerp), single(reductions.norm)
SPEED = {"foreach": None, "capturable": False, "differentiable": False, "fused": None}  # of PyTorch's own kernels


class Optimizer:
    """Parameters in groups with options of their own; `step` moves them in place."""

    speed = ("foreach", "capturable", "differentiable")
    halves = False  # whether `move` rounds as often as PyTorch

    def __init__(self, params, defaults, more=None):
        """`more`: what all of PyTorch's optimisers take."""
        params = list(params)
        if not params:
            raise ValueError("optimizer got an empty parameter list")
        groups = params if isinstance(params[0], dict) else [{"params": params}]
        if more is not None:
            known = {"maximize": False, **{name: SPEED[name] for name in self.speed}}
            if unknown := set(more) - set(known):
                raise TypeError(f"{type(self).__name__}: unexpected {', '.join(sorted(unknown))}")
            defaults = {**defaults, **known, **more}
        self.defaults, self.state, self.param_groups = defaults, defaultdict(dict), []
        for group in groups:
            self.add_param_group(dict(group))

    def add_param_group(self, group):
        given = group["params"]
        group["params"] = (
            [given] if isinstance(given, paddle.Tensor) else [p[1] if isinstance(p, tuple) else p for p in given]
        )
        for each in group["params"]:
            if not each.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, value in self.defaults.items():
            group.setdefault(name, value)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none=True):
        for group in self.param_groups:
            for each in group["params"]:
                each.clear_gradient(not set_to_none)

    def step(self, closure=None):
        loss = None
        if closure is not None:
            with paddle.enable_grad():
                loss = closure()
        with paddle.no_grad():
            for group in self.param_groups:
                for each in group["params"]:
                    if each.grad is not None:
                        if not self.halves:
                            refused(each, type(self).__name__)
                        gradient = -each.grad if group.get("maximize") else each.grad
                        self.move(each, gradient.detach(), group, self.state[each])
        return loss

    def state_dict(self):
        numbers, groups = {}, []
        for group in self.param_groups:
            for each in group["params"]:
                numbers.setdefault(id(each), len(numbers))
            groups.append({**group, "params": [numbers[id(each)] for each in group["params"]]})
        return {"state": {numbers[id(key)]: value for key, value in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, given):
        every = [each for group in self.param_groups for each in group["params"]]
        for group, loaded in zip(self.param_groups, given["param_groups"], strict=False):
            group.update({name: value for name, value in loaded.items() if name != "params"})
        for number, state in given["state"].items():
            self.state[every[int(number)]] = {
                name: value.clone() if isinstance(value, paddle.Tensor) else value for name, value in state.items()
            }


def _set(parameter, value):
    paddle.assign(value.astype(parameter.dtype), parameter)


class SGD(Optimizer):
    speed, halves = ("foreach", "differentiable", "fused"), True

    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, **more):
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
                                  "nesterov": nesterov}, more)  # fmt: skip

    def move(self, p, gradient, group, state):
        if group["weight_decay"]:
            gradient = add(gradient, p, alpha=group["weight_decay"])
        if group["momentum"]:
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = gradient.clone()
            else:
                kept = state["momentum_buffer"] * group["momentum"]
                state["momentum_buffer"] = add(kept, gradient, alpha=1 - group["dampening"])
            moved = state["momentum_buffer"]
            gradient = add(gradient, moved, alpha=group["momentum"]) if group["nesterov"] else moved
        _set(p, add(p, gradient, alpha=-group["lr"]))


class Adam(Optimizer):
    speed, halves, decoupled = (*Optimizer.speed, "fused"), True, False

    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, *,
        decoupled_weight_decay=None, **more
    ):  # fmt: skip
        decoupled_weight_decay = self.decoupled if decoupled_weight_decay is None else decoupled_weight_decay
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                                  "amsgrad": amsgrad,
                                  "decoupled_weight_decay": decoupled_weight_decay}, more)  # fmt: skip

    def move(self, p, gradient, group, state):
        (first, second), lr = group["betas"], group["lr"]
        value = p
        if group["weight_decay"] and group["decoupled_weight_decay"]:
            value = value * (1 - lr * group["weight_decay"])
        elif group["weight_decay"]:
            gradient = add(gradient, p, alpha=group["weight_decay"])
        if "step" not in state:
            state.update(step=0, exp_avg=paddle.zeros_like(p), exp_avg_sq=paddle.zeros_like(p))
        state["step"] += 1
        state["exp_avg"] = lerp(state["exp_avg"], gradient, 1 - first)
        state["exp_avg_sq"] = addcmul(state["exp_avg_sq"] * second, gradient, gradient, value=1 - second)
        squares = state["exp_avg_sq"]
        if group["amsgrad"]:
            squares = state["max_exp_avg_sq"] = paddle.maximum(state.get("max_exp_avg_sq", squares), squares)
        bottom = paddle.sqrt(squares) / math.sqrt(1 - second ** state["step"]) + group["eps"]
        _set(p, addcdiv(value, state["exp_avg"], bottom, value=-lr / (1 - first ** state["step"])))


class AdamW(Adam):
    decoupled = True

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, **more):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **more)


class NAdam(Optimizer):
    def __init__(
        self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, momentum_decay=4e-3,
        decoupled_weight_decay=False, **more
    ):  # fmt: skip
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                                  "momentum_decay": momentum_decay,
                                  "decoupled_weight_decay": decoupled_weight_decay}, more)  # fmt: skip

    def move(self, p, gradient, group, state):
        (first, second), value = group["betas"], p
        if group["decoupled_weight_decay"]:
            value = p * (1 - group["lr"] * group["weight_decay"])
        elif group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * p
        if "step" not in state:
            state.update(step=0, mu_product=1.0, exp_avg=paddle.zeros_like(p), exp_avg_sq=paddle.zeros_like(p))
        state["step"] += 1
        mu = first * (1 - 0.5 * 0.96 ** (state["step"] * group["momentum_decay"]))
        following = first * (1 - 0.5 * 0.96 ** ((state["step"] + 1) * group["momentum_decay"]))
        state["mu_product"] *= mu
        state["exp_avg"] = state["exp_avg"] + (gradient - state["exp_avg"]) * (1 - first)
        state["exp_avg_sq"] = state["exp_avg_sq"] * second + (1 - second) * gradient * gradient
        bottom = paddle.sqrt(state["exp_avg_sq"] / (1 - second ** state["step"])) + group["eps"]
        moved = value - group["lr"] * (1 - mu) / (1 - state["mu_product"]) * gradient / bottom
        _set(p, moved - group["lr"] * following / (1 - state["mu_product"] * following) * state["exp_avg"] / bottom)


class RMSprop(Optimizer):
    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, **more):
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay,
                                  "momentum": momentum, "centered": centered}, more)  # fmt: skip

    def move(self, p, gradient, group, state):
        gradient = gradient + group["weight_decay"] * p if group["weight_decay"] else gradient
        zero, alpha = paddle.zeros_like(p), group["alpha"]
        squares = state["square_avg"] = alpha * state.get("square_avg", zero) + (1 - alpha) * gradient * gradient
        if group["centered"]:
            mean = state["grad_avg"] = state.get("grad_avg", zero) + (gradient - state.get("grad_avg", zero)) * (
                1 - alpha
            )
            squares = squares - mean * mean
        moved = gradient / (paddle.sqrt(squares) + group["eps"])
        if group["momentum"]:
            moved = state["momentum_buffer"] = group["momentum"] * state.get("momentum_buffer", zero) + moved
        _set(p, p - group["lr"] * moved)


class Adagrad(Optimizer):
    speed = SGD.speed

    def __init__(self, params, lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, **more):
        super().__init__(params, {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
                                  "initial_accumulator_value": initial_accumulator_value,
                                  "eps": eps}, more)  # fmt: skip

    def move(self, p, gradient, group, state):
        gradient = gradient + group["weight_decay"] * p if group["weight_decay"] else gradient
        state["step"] = state.get("step", 0) + 1
        state["sum"] = state.get("sum", paddle.full_like(p, group["initial_accumulator_value"])) + gradient * gradient
        rate = group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        _set(p, p - rate * gradient / (paddle.sqrt(state["sum"]) + group["eps"]))


class Adadelta(Optimizer):
    def __init__(self, params, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, **more):
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay}, more)

    def move(self, p, gradient, group, state):
        gradient = gradient + group["weight_decay"] * p if group["weight_decay"] else gradient
        rho, eps, zero = group["rho"], group["eps"], paddle.zeros_like(p)
        state["square_avg"] = rho * state.get("square_avg", zero) + (1 - rho) * gradient * gradient
        delta = paddle.sqrt(state.get("acc_delta", zero) + eps) / paddle.sqrt(state["square_avg"] + eps) * gradient
        state["acc_delta"] = rho * state.get("acc_delta", zero) + (1 - rho) * delta * delta
        _set(p, p - group["lr"] * delta)


class Adamax(Optimizer):
    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, **more):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}, more)

    def move(self, p, gradient, group, state):
        gradient = gradient + group["weight_decay"] * p if group["weight_decay"] else gradient
        (first, second), zero = group["betas"], paddle.zeros_like(p)
        state["step"] = state.get("step", 0) + 1
        state["exp_avg"] = state.get("exp_avg", zero) + (gradient - state.get("exp_avg", zero)) * (1 - first)
        state["exp_inf"] = paddle.maximum(state.get("exp_inf", zero) * second, paddle.abs(gradient) + group["eps"])
        _set(p, p - group["lr"] / (1 - first ** state["step"]) * state["exp_avg"] / state["exp_inf"])


class ASGD(Optimizer):
    def __init__(self, params, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0, **more):
        super().__init__(
            params, {"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay}, more
        )

    def move(self, p, gradient, group, state):
        gradient = gradient + group["weight_decay"] * p if group["weight_decay"] else gradient
        if "step" not in state:
            state.update(step=0, eta=group["lr"], mu=1.0, ax=paddle.zeros_like(p))
        state["step"] += 1
        _set(p, p * (1 - group["lambd"] * state["eta"]) - state["eta"] * gradient)
        state["ax"] = state["ax"] + (p.detach() - state["ax"]) * state["mu"]
        state["eta"] = group["lr"] / (1 + group["lambd"] * group["lr"] * state["step"]) ** group["alpha"]
        state["mu"] = 1 / max(1, state["step"] - group["t0"])


class RAdam(Optimizer):
    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, decoupled_weight_decay=False, **more
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                                  "decoupled_weight_decay": decoupled_weight_decay}, more)  # fmt: skip

    def move(self, p, gradient, group, state):
        (first, second), value = group["betas"], p
        if group["decoupled_weight_decay"]:
            value = p * (1 - group["lr"] * group["weight_decay"])
        elif group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * p
        if "step" not in state:
            state.update(step=0, exp_avg=paddle.zeros_like(p), exp_avg_sq=paddle.zeros_like(p))
        step = state["step"] = state["step"] + 1
        state["exp_avg"] = state["exp_avg"] + (gradient - state["exp_avg"]) * (1 - first)
        state["exp_avg_sq"] = state["exp_avg_sq"] * second + (1 - second) * gradient * gradient
        moved, most = state["exp_avg"] / (1 - first**step), 2 / (1 - second) - 1
        long = most - 2 * step * second**step / (1 - second**step)
        if long > 5:
            rectified = math.sqrt((long - 4) * (long - 2) * most / ((most - 4) * (most - 2) * long))
            moved = moved * rectified * math.sqrt(1 - second**step) / (paddle.sqrt(state["exp_avg_sq"]) + group["eps"])
        _set(p, value - group["lr"] * moved)


class Rprop(Optimizer):
    def __init__(self, params, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50), **more):
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes}, more)

    def move(self, p, gradient, group, state):
        if "step" not in state:
            state.update(step=0, prev=paddle.zeros_like(p), step_size=paddle.full_like(p, group["lr"]))
        state["step"] += 1
        turned, (less, more) = paddle.sign(gradient * state["prev"]), group["etas"]
        factor = paddle.where(turned > 0, paddle.full_like(p, more), paddle.ones_like(p))
        factor = paddle.where(turned < 0, paddle.full_like(p, less), factor)
        state["step_size"] = paddle.clip(state["step_size"] * factor, *group["step_sizes"])
        state["prev"] = paddle.where(turned < 0, paddle.zeros_like(p), gradient)
        _set(p, p - paddle.sign(state["prev"]) * state["step_size"])


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    parameters = [parameters] if isinstance(parameters, paddle.Tensor) else list(parameters)
    gradients = [each.grad for each in parameters if each.grad is not None]
    if not gradients:
        return paddle.zeros([])
    with paddle.no_grad():
        total = norm(paddle.stack([norm(each, norm_type) for each in gradients]), norm_type)
        if error_if_nonfinite and not bool(paddle.isfinite(total)):
            raise RuntimeError(f"The total norm of order {norm_type} for gradients from `parameters` is non-finite")
        factor = paddle.clip(max_norm / (total + 1e-6), max=1.0)
        for each in gradients:
            paddle.assign(each * factor.astype(each.dtype), each)
    return total


def clip_grad_value_(parameters, clip_value, foreach=None):
    parameters = [parameters] if isinstance(parameters, paddle.Tensor) else parameters
    with paddle.no_grad():
        for each in parameters:
            if each.grad is not None:
                paddle.assign(paddle.clip(each.grad, -clip_value, clip_value), each.grad)


class LBFGS(Optimizer):
    """PyTorch's steps without a line search: from the last `history_size` changes of weights and of gradients."""

    def __init__(
        self, params, lr=1, max_iter=20, max_eval=None, tolerance_grad=1e-7, tolerance_change=1e-9, history_size=100,
        line_search_fn=None,
    ):  # fmt: skip
        if line_search_fn is not None:
            raise NotImplementedError(f"LBFGS with line_search_fn={line_search_fn!r} is not converted")
        max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        super().__init__(params, {"lr": lr, "max_iter": max_iter, "max_eval": max_eval, "tolerance_grad":
                                  tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
                                  "line_search_fn": line_search_fn})  # fmt: skip
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    def step(self, closure):
        (group,) = self.param_groups
        state = self.state[group["params"][0]]
        with paddle.enable_grad():
            first = closure()
        loss, evaluated, done = float(first), 1, 0
        gradient = self._gradient()
        while done < group["max_iter"] and float(gradient.abs().max()) > group["tolerance_grad"]:
            done += 1
            direction = self._direction(gradient, state, group["history_size"])
            rate = group["lr"] * (min(1.0, 1 / float(gradient.abs().sum())) if state["n_iter"] == 1 else 1)
            state.update(d=direction, t=rate, prev_flat_grad=gradient, prev_loss=loss)
            if float((gradient * direction).sum()) > -group["tolerance_change"]:
                break
            self._move(direction * rate)
            if done == group["max_iter"]:
                break
            with paddle.enable_grad():
                loss = float(closure())
            gradient, evaluated = self._gradient(), evaluated + 1
            still = float((direction * rate).abs().max()) <= group["tolerance_change"]
            still = still or abs(loss - state["prev_loss"]) < group["tolerance_change"]
            if evaluated >= group["max_eval"] or still:
                break
        state["func_evals"] = state.get("func_evals", 0) + evaluated
        return first

    def _gradient(self):
        every = self.param_groups[0]["params"]
        none = (paddle.zeros_like(each) if each.grad is None else each.grad for each in every)
        return paddle.concat([each.detach().flatten() for each in none])

    def _move(self, step):
        with paddle.no_grad():
            for each in self.param_groups[0]["params"]:
                count = math.prod(each.shape)
                _set(each, each + step[:count].reshape(each.shape))
                step = step[count:]

    def _direction(self, gradient, state, history):
        """Minus the gradient, over the curvature that the last steps have seen (two loops)."""
        state["n_iter"] = state.get("n_iter", 0) + 1
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return -gradient
        changes, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        change, step = gradient - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = (change * step).sum()
        if float(curvature) > 1e-10:
            for each in (changes, steps, ro):
                del each[: max(0, len(each) + 1 - history)]
            changes.append(change)
            steps.append(step)
            ro.append(1 / curvature)
            state["H_diag"] = curvature / (change * change).sum()
        direction, shares = -gradient, state.setdefault("al", [None] * history)
        for number in reversed(range(len(changes))):
            shares[number] = (steps[number] * direction).sum() * ro[number]
            direction = direction - shares[number] * changes[number]
        direction = direction * state["H_diag"]
        for change, step, over, share in zip(changes, steps, ro, shares, strict=False):
            direction = direction + step * (share - (change * direction).sum() * over)
        return direction
