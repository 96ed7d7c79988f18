"""torch.optim: PyTorch's formulas, groups, defaults and states, in Paddle's arithmetic."""

import math
from collections import OrderedDict, defaultdict

import paddle


class Optimizer:
    """Parameters in groups with options of their own; `step` moves them in place."""

    defaults = {}

    def __init__(self, params, defaults):
        params = list(params)
        if not params:
            raise ValueError("optimizer got an empty parameter list")
        groups = params if isinstance(params[0], dict) else [{"params": params}]
        self.defaults, self.state, self.param_groups = defaults, defaultdict(dict), []
        for group in groups:
            self.add_param_group(dict(group))

    def add_param_group(self, group):
        given = group["params"]
        group["params"] = [given] if isinstance(given, paddle.Tensor) else [p[1] if isinstance(p, tuple) else p for p in given]
        for each in group["params"]:
            if not each.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, value in self.defaults.items():
            group.setdefault(name, value)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none=True):
        for group in self.param_groups:
            for each in group["params"]:
                each.clear_gradient(set_to_zero=not set_to_none)

    def step(self, closure=None):
        loss = None
        if closure is not None:
            with paddle.enable_grad():
                loss = closure()
        with paddle.no_grad():
            for group in self.param_groups:
                for each in group["params"]:
                    if each.grad is not None and not each.stop_gradient:
                        gradient = -each.grad if group.get("maximize") else each.grad
                        self.move(each, gradient.detach(), group, self.state[id(each)])
        return loss

    def state_dict(self):
        numbers, groups = {}, []
        for group in self.param_groups:
            for each in group["params"]:
                numbers.setdefault(id(each), len(numbers))
            groups.append({**group, "params": [numbers[id(each)] for each in group["params"]]})
        return {"state": {numbers[key]: value for key, value in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, given):
        every = [each for group in self.param_groups for each in group["params"]]
        for group, loaded in zip(self.param_groups, given["param_groups"]):
            group.update({name: value for name, value in loaded.items() if name != "params"})
        for number, state in given["state"].items():
            self.state[id(every[int(number)])] = {
                name: value.clone() if isinstance(value, paddle.Tensor) else value for name, value in state.items()
            }


def _set(parameter, value):
    paddle.assign(value.astype(parameter.dtype), parameter)


class SGD(Optimizer):
    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, *, maximize=False, **_):
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
                                  "nesterov": nesterov, "maximize": maximize})  # fmt: skip

    def move(self, p, gradient, group, state):
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * p
        if group["momentum"]:
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = gradient.clone()
            else:
                state["momentum_buffer"] = state["momentum_buffer"] * group["momentum"] + gradient * (1 - group["dampening"])
            gradient = gradient + group["momentum"] * state["momentum_buffer"] if group["nesterov"] else state["momentum_buffer"]
        _set(p, p - group["lr"] * gradient)


class Adam(Optimizer):
    decoupled = False

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, *, maximize=False, **named):
        decoupled = named.get("decoupled_weight_decay", False)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
                                  "maximize": maximize, "decoupled": self.decoupled or decoupled})  # fmt: skip

    def move(self, p, gradient, group, state):
        (first, second), lr = group["betas"], group["lr"]
        value = p
        if group["weight_decay"] and group["decoupled"]:
            value = value * (1 - lr * group["weight_decay"])
        elif group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * p
        if "step" not in state:
            state.update(step=0, exp_avg=paddle.zeros_like(p), exp_avg_sq=paddle.zeros_like(p))
        state["step"] += 1
        state["exp_avg"] = state["exp_avg"] + (gradient - state["exp_avg"]) * (1 - first)
        state["exp_avg_sq"] = state["exp_avg_sq"] * second + (1 - second) * gradient * gradient
        squares = state["exp_avg_sq"]
        if group["amsgrad"]:
            squares = state["max_exp_avg_sq"] = paddle.maximum(state.get("max_exp_avg_sq", squares), squares)
        bottom = paddle.sqrt(squares) / math.sqrt(1 - second ** state["step"]) + group["eps"]
        _set(p, value - (lr / (1 - first ** state["step"])) * (state["exp_avg"] / bottom))


class AdamW(Adam):
    decoupled = True

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, **named):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **named)


class NAdam(Optimizer):
    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, momentum_decay=4e-3, **_):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "decay": momentum_decay})

    def move(self, p, gradient, group, state):
        first, second = group["betas"]
        gradient = gradient + group["weight_decay"] * p if group["weight_decay"] else gradient
        if "step" not in state:
            state.update(step=0, product=1.0, exp_avg=paddle.zeros_like(p), exp_avg_sq=paddle.zeros_like(p))
        state["step"] += 1
        mu = first * (1 - 0.5 * 0.96 ** (state["step"] * group["decay"]))
        following = first * (1 - 0.5 * 0.96 ** ((state["step"] + 1) * group["decay"]))
        state["product"] *= mu
        state["exp_avg"] = state["exp_avg"] + (gradient - state["exp_avg"]) * (1 - first)
        state["exp_avg_sq"] = state["exp_avg_sq"] * second + (1 - second) * gradient * gradient
        bottom = paddle.sqrt(state["exp_avg_sq"] / (1 - second ** state["step"])) + group["eps"]
        moved = p - group["lr"] * (1 - mu) / (1 - state["product"]) * gradient / bottom
        _set(p, moved - group["lr"] * following / (1 - state["product"] * following) * state["exp_avg"] / bottom)


class RMSprop(Optimizer):
    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, **_):
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay,
                                  "momentum": momentum, "centered": centered})  # fmt: skip

    def move(self, p, gradient, group, state):
        gradient = gradient + group["weight_decay"] * p if group["weight_decay"] else gradient
        zero, alpha = paddle.zeros_like(p), group["alpha"]
        squares = state["square_avg"] = alpha * state.get("square_avg", zero) + (1 - alpha) * gradient * gradient
        if group["centered"]:
            mean = state["grad_avg"] = state.get("grad_avg", zero) + (gradient - state.get("grad_avg", zero)) * (1 - alpha)
            squares = squares - mean * mean
        moved = gradient / (paddle.sqrt(squares) + group["eps"])
        if group["momentum"]:
            moved = state["momentum_buffer"] = group["momentum"] * state.get("momentum_buffer", zero) + moved
        _set(p, p - group["lr"] * moved)


class Adagrad(Optimizer):
    def __init__(self, params, lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, **_):
        super().__init__(params, {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
                                  "first": initial_accumulator_value, "eps": eps})  # fmt: skip

    def move(self, p, gradient, group, state):
        gradient = gradient + group["weight_decay"] * p if group["weight_decay"] else gradient
        state["step"] = state.get("step", 0) + 1
        state["sum"] = state.get("sum", paddle.full_like(p, group["first"])) + gradient * gradient
        rate = group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        _set(p, p - rate * gradient / (paddle.sqrt(state["sum"]) + group["eps"]))


class Adadelta(Optimizer):
    def __init__(self, params, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, **_):
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay})

    def move(self, p, gradient, group, state):
        gradient = gradient + group["weight_decay"] * p if group["weight_decay"] else gradient
        rho, eps, zero = group["rho"], group["eps"], paddle.zeros_like(p)
        state["square_avg"] = rho * state.get("square_avg", zero) + (1 - rho) * gradient * gradient
        delta = paddle.sqrt(state.get("acc_delta", zero) + eps) / paddle.sqrt(state["square_avg"] + eps) * gradient
        state["acc_delta"] = rho * state.get("acc_delta", zero) + (1 - rho) * delta * delta
        _set(p, p - group["lr"] * delta)


class Adamax(Optimizer):
    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, **_):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def move(self, p, gradient, group, state):
        gradient = gradient + group["weight_decay"] * p if group["weight_decay"] else gradient
        (first, second), zero = group["betas"], paddle.zeros_like(p)
        state["step"] = state.get("step", 0) + 1
        state["exp_avg"] = state.get("exp_avg", zero) + (gradient - state.get("exp_avg", zero)) * (1 - first)
        state["exp_inf"] = paddle.maximum(state.get("exp_inf", zero) * second, paddle.abs(gradient) + group["eps"])
        _set(p, p - group["lr"] / (1 - first ** state["step"]) * state["exp_avg"] / state["exp_inf"])


# Schedules: the closed form of each, from the rate that a group began with


class LRScheduler:
    def __init__(self, optimizer, last_epoch=-1, verbose=False):
        if last_epoch != -1:
            raise NotImplementedError("a schedule with last_epoch")
        self.optimizer, self.last_epoch = optimizer, -1
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.step()

    def step(self, epoch=None):
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        for group, rate in zip(self.optimizer.param_groups, self.get_lr()):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self):
        return self._last_lr

    def state_dict(self):
        return {name: value for name, value in vars(self).items() if name != "optimizer" and not callable(value)}

    def load_state_dict(self, state):
        vars(self).update(state)

    def scaled(self, factor):
        return [base * factor for base in self.base_lrs]

    @property
    def groups(self):
        return [group["lr"] for group in self.optimizer.param_groups]


class StepLR(LRScheduler):
    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1, **_):
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        again = self.last_epoch == 0 or self.last_epoch % self.step_size
        return [rate if again else rate * self.gamma for rate in self.groups]


class MultiStepLR(LRScheduler):
    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1, **_):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [rate * self.gamma ** self.milestones.count(self.last_epoch) for rate in self.groups]


class ExponentialLR(LRScheduler):
    def __init__(self, optimizer, gamma, last_epoch=-1, **_):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [rate * (self.gamma if self.last_epoch else 1) for rate in self.groups]


class LambdaLR(LRScheduler):
    def __init__(self, optimizer, lr_lambda, last_epoch=-1, **_):
        given = lr_lambda if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * len(optimizer.param_groups)
        self.lr_lambdas = list(given)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [base * factor(self.last_epoch) for base, factor in zip(self.base_lrs, self.lr_lambdas)]


class CosineAnnealingLR(LRScheduler):
    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1, **_):
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        if self.last_epoch == 0:
            return self.groups
        turn = self.last_epoch / self.T_max
        return [self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * turn)) / 2 for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    def __init__(self, optimizer, T_0, T_mult=1, eta_min=0.0, last_epoch=-1, **_):
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        left, length = self.last_epoch, self.T_0
        while left >= length:
            left, length = left - length, length * self.T_mult
        return [self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * left / length)) / 2 for base in self.base_lrs]


class LinearLR(LRScheduler):
    def __init__(self, optimizer, start_factor=1.0 / 3, end_factor=1.0, total_iters=5, last_epoch=-1, **_):
        self.factors, self.total_iters = (start_factor, end_factor), total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        start, end = self.factors
        return self.scaled(start + (end - start) * min(self.total_iters, self.last_epoch) / self.total_iters)


class ConstantLR(LRScheduler):
    def __init__(self, optimizer, factor=1.0 / 3, total_iters=5, last_epoch=-1, **_):
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return self.scaled(self.factor if self.last_epoch < self.total_iters else 1.0)


class PolynomialLR(LRScheduler):
    def __init__(self, optimizer, total_iters=5, power=1.0, last_epoch=-1, **_):
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return self.scaled((1 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power)


class OneCycleLR(LRScheduler):
    def __init__(self, optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3,
                 anneal_strategy="cos", cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25.0,
                 final_div_factor=1e4, three_phase=False, last_epoch=-1, **_):  # fmt: skip
        if three_phase:
            raise NotImplementedError("OneCycleLR with three_phase")
        self.total, self.pct, self.linear = total_steps or epochs * steps_per_epoch, pct_start, anneal_strategy == "linear"
        self.momentum = (max_momentum, base_momentum) if cycle_momentum else None
        rates = max_lr if isinstance(max_lr, (list, tuple)) else [max_lr] * len(optimizer.param_groups)
        self.rates = [(rate / div_factor, rate, rate / div_factor / final_div_factor) for rate in rates]
        super().__init__(optimizer, last_epoch)

    def between(self, start, end, part):
        return start + (end - start) * part if self.linear else end + (start - end) / 2 * (1 + math.cos(math.pi * part))

    def get_lr(self):
        top = self.pct * self.total - 1
        part = self.last_epoch / top if self.last_epoch <= top else (self.last_epoch - top) / (self.total - 1 - top)
        up = self.last_epoch <= top
        if self.momentum:
            high, low = self.momentum
            for group in self.optimizer.param_groups:
                now = self.between(high, low, part) if up else self.between(low, high, part)
                if "betas" in group:
                    group["betas"] = (now, *group["betas"][1:])
                else:
                    group["momentum"] = now
        return [self.between(a, b, part) if up else self.between(b, c, part) for a, b, c in self.rates]


class ReduceLROnPlateau:
    def __init__(self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0,
                 min_lr=0, eps=1e-8, **_):  # fmt: skip
        self.optimizer, self.mode, self.factor, self.patience, self.threshold = optimizer, mode, factor, patience, threshold
        self.relative, self.cooldown, self.min_lr, self.eps = threshold_mode == "rel", cooldown, min_lr, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.bad = self.cooling = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def _better(self, value):
        sign = 1 if self.mode == "min" else -1
        apart = self.threshold * abs(self.best) if self.relative and math.isfinite(self.best) else 0 if self.relative else self.threshold
        return sign * value < sign * self.best - apart

    def step(self, metrics, epoch=None):
        value = float(metrics)
        if self._better(value):
            self.best, self.bad = value, 0
        else:
            self.bad += 1
        if self.cooling:
            self.cooling, self.bad = self.cooling - 1, 0
        if self.bad > self.patience:
            for group in self.optimizer.param_groups:
                lower = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self.cooling, self.bad = self.cooldown, 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self):
        return self._last_lr


class SequentialLR:
    def __init__(self, optimizer, schedulers, milestones, last_epoch=-1, **_):
        raise NotImplementedError("SequentialLR")


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    parameters = [parameters] if isinstance(parameters, paddle.Tensor) else list(parameters)
    gradients = [each.grad for each in parameters if each.grad is not None]
    if not gradients:
        return paddle.zeros([])
    with paddle.no_grad():
        if norm_type == math.inf:
            total = paddle.stack([paddle.abs(each).max() for each in gradients]).max()
        else:
            sizes = [(paddle.abs(each) ** norm_type).sum() ** (1 / norm_type) for each in gradients]
            total = (paddle.stack(sizes) ** norm_type).sum() ** (1 / norm_type)
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


_ = OrderedDict
