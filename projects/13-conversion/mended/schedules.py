"""torch.optim.lr_scheduler: rates by PyTorch's formulas, in the groups of an optimiser."""

import bisect
import math


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
        """To the next epoch from the rates as they are, or to a named one, if there is a formula for that."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._set(self.closed() if epoch is not None and hasattr(self, "closed") else self.get_lr())

    def _set(self, rates):
        for group, rate in zip(self.optimizer.param_groups, rates, strict=False):
            group["lr"] = rate
        self._last_lr = self.groups

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

    def closed(self):
        return self.scaled(self.gamma ** (self.last_epoch // self.step_size))


class MultiStepLR(LRScheduler):
    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1, **_):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [rate * self.gamma ** self.milestones.count(self.last_epoch) for rate in self.groups]

    def closed(self):
        return self.scaled(self.gamma ** bisect.bisect_right(self.milestones, self.last_epoch))


class ExponentialLR(LRScheduler):
    def __init__(self, optimizer, gamma, last_epoch=-1, **_):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [rate * (self.gamma if self.last_epoch else 1) for rate in self.groups]

    def closed(self):
        return self.scaled(self.gamma**self.last_epoch)


class LambdaLR(LRScheduler):
    def __init__(self, optimizer, lr_lambda, last_epoch=-1, **_):
        given = lr_lambda if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * len(optimizer.param_groups)
        self.lr_lambdas = list(given)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [base * factor(self.last_epoch) for base, factor in zip(self.base_lrs, self.lr_lambdas, strict=False)]


class CosineAnnealingLR(LRScheduler):
    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1, **_):
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        if self.last_epoch == 0:
            return self.groups
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            more = (1 - math.cos(math.pi / self.T_max)) / 2
            return [r + (base - self.eta_min) * more for r, base in zip(self.groups, self.base_lrs, strict=False)]
        now, before = (1 + math.cos(math.pi * each / self.T_max) for each in (self.last_epoch, self.last_epoch - 1))
        return [now / before * (rate - self.eta_min) + self.eta_min for rate in self.groups]

    def closed(self):
        now = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * now for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    def __init__(self, optimizer, T_0, T_mult=1, eta_min=0.0, last_epoch=-1, **_):
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        left, length = self.last_epoch, self.T_0
        while left >= length:
            left, length = left - length, length * self.T_mult
        return [
            self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * left / length)) / 2 for base in self.base_lrs
        ]


class _Scaled(LRScheduler):
    """Rates by a factor of the epoch; from one epoch to the next by the ratio of both, so that they can be chained."""

    def get_lr(self):
        before = self.factor_at(self.last_epoch - 1) if self.last_epoch else 1.0
        return [rate * self.factor_at(self.last_epoch) / before if before else rate for rate in self.groups]

    def closed(self):
        return self.scaled(self.factor_at(self.last_epoch))


class LinearLR(_Scaled):
    def __init__(self, optimizer, start_factor=1.0 / 3, end_factor=1.0, total_iters=5, last_epoch=-1, **_):
        self.factors, self.total_iters = (start_factor, end_factor), total_iters
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch):
        start, end = self.factors
        return start + (end - start) * min(self.total_iters, epoch) / self.total_iters


class ConstantLR(_Scaled):
    def __init__(self, optimizer, factor=1.0 / 3, total_iters=5, last_epoch=-1, **_):
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch):
        return self.factor if epoch < self.total_iters else 1.0


class PolynomialLR(_Scaled):
    def __init__(self, optimizer, total_iters=5, power=1.0, last_epoch=-1, **_):
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch):
        return (1 - min(self.total_iters, epoch) / self.total_iters) ** self.power


class MultiplicativeLR(LambdaLR):
    def get_lr(self):
        if not self.last_epoch:
            return self.groups
        return [rate * factor(self.last_epoch) for rate, factor in zip(self.groups, self.lr_lambdas, strict=False)]


class OneCycleLR(LRScheduler):
    def __init__(self, optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3,
                 anneal_strategy="cos", cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25.0,
                 final_div_factor=1e4, three_phase=False, last_epoch=-1, **_):  # fmt: skip
        if three_phase:
            raise NotImplementedError("OneCycleLR with three_phase")
        self.total, self.pct, self.linear = (
            total_steps or epochs * steps_per_epoch,
            pct_start,
            anneal_strategy == "linear",
        )
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


class CyclicLR(LRScheduler):
    def __init__(self, optimizer, base_lr, max_lr, step_size_up=2000, step_size_down=None, mode="triangular", gamma=1.0,
                 scale_fn=None, scale_mode="cycle", cycle_momentum=True, base_momentum=0.8, max_momentum=0.9,
                 last_epoch=-1, **_):  # fmt: skip
        count = len(optimizer.param_groups)
        self.least, self.most = (
            each if isinstance(each, (list, tuple)) else [each] * count for each in (base_lr, max_lr)
        )
        self.up, self.total = step_size_up, step_size_up + (step_size_up if step_size_down is None else step_size_down)
        by_mode = {
            "triangular": lambda x: 1.0,
            "triangular2": lambda x: 0.5 ** (x - 1),
            "exp_range": lambda x: gamma**x,
        }
        self.scale_fn = scale_fn or by_mode[mode]
        self.by_cycle = scale_mode == "cycle" if scale_fn else mode != "exp_range"
        self.momentum = (base_momentum, max_momentum) if cycle_momentum else None
        for group, rate in zip(optimizer.param_groups, self.least, strict=True):
            group["lr"] = rate
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        cycle, part = math.floor(1 + self.last_epoch / self.total), self.last_epoch / self.total % 1
        ratio = self.up / self.total
        height = part / ratio if part <= ratio else (part - 1) / (ratio - 1)
        scale = self.scale_fn(cycle if self.by_cycle else self.last_epoch)
        if self.momentum:
            low, high = self.momentum
            for group in self.optimizer.param_groups:
                now = high - (high - low) * height * scale
                group.update({"betas": (now, *group["betas"][1:])} if "betas" in group else {"momentum": now})
        return [low + (high - low) * height * scale for low, high in zip(self.least, self.most, strict=True)]


class ReduceLROnPlateau:
    def __init__(self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0,
                 min_lr=0, eps=1e-8, **_):  # fmt: skip
        self.optimizer, self.mode, self.factor, self.patience, self.threshold = (
            optimizer,
            mode,
            factor,
            patience,
            threshold,
        )
        self.relative, self.cooldown, self.min_lr, self.eps = threshold_mode == "rel", cooldown, min_lr, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def _better(self, value):
        sign = 1 if self.mode == "min" else -1
        apart = (
            self.threshold * abs(self.best)
            if self.relative and math.isfinite(self.best)
            else 0
            if self.relative
            else self.threshold
        )
        return sign * value < sign * self.best - apart

    def step(self, metrics, epoch=None):
        value = float(metrics)
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            for group in self.optimizer.param_groups:
                lower = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self):
        return self._last_lr

    def state_dict(self):
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state):
        vars(self).update(state)


class ChainedScheduler:
    """Schedules that all step, one upon the other."""

    def __init__(self, schedulers, optimizer=None):
        self._schedulers, self.optimizer = list(schedulers), optimizer or schedulers[0].optimizer

    def step(self):
        for each in self._schedulers:
            each.step()

    def get_last_lr(self):
        return [group["lr"] for group in self.optimizer.param_groups]


class SequentialLR(ChainedScheduler):
    """Schedules one after the other, each from its milestone on."""

    def __init__(self, optimizer, schedulers, milestones, last_epoch=-1, **_):
        if last_epoch != -1:
            raise NotImplementedError("a schedule with last_epoch")
        super().__init__(schedulers, optimizer)
        self._milestones, self.last_epoch = list(milestones), 0
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for each in self._schedulers:
            each.last_epoch -= 1
        self._schedulers[0].step()

    def step(self):
        self.last_epoch += 1
        number = bisect.bisect_right(self._milestones, self.last_epoch)
        begins = number > 0 and self._milestones[number - 1] == self.last_epoch
        self._schedulers[number].step(*([0] if begins else []))
