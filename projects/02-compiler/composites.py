"""Operators that Paddle's decomposition leaves whole, forward or backward, written out in simpler ones.

The formulas are those of Paddle's kernels, ties included: the gradient of `clip` is 0 at its bounds.
"""

import math
from collections.abc import Sequence
from typing import Any

from layout import Scope, Seen, shape_of
from operators import EXACT, constant_of, elementwise, reduced, require_last, row_reduction, rule, split_places
from values import Unsupported, Value, constant

MOST_FACTORS = 8  # of a whole power


class Formula:
    """Elementwise arithmetic on Seens and numbers, done for the PIR operator `name`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, operation: str, *arguments: Seen | float) -> Seen:
        seen = [one if isinstance(one, Seen) else Seen(constant(float(one)), ()) for one in arguments]
        return elementwise(self.name, operation, seen)

    def softplus(self, x: Seen, beta: float, threshold: float) -> Seen:
        """log(1 + exp(βx)) / β, and x itself where βx is above `threshold`."""
        scaled = self("multiply", x, beta)
        small = self("exp", self("multiply", self("abs", scaled), -1))
        value = self("add", self("maximum", scaled, 0), self("log", self("add", small, 1)))
        return self("where", self("greater_than", scaled, threshold), x, self("multiply", value, 1 / beta))

    def power(self, x: Seen, exponent: float) -> Seen:
        """x to a constant exponent; raises Unsupported unless that is a small whole number or a half."""
        if exponent == 0.5:
            return self("sqrt", x)
        if exponent == -0.5:
            return self("rsqrt", x)
        if exponent != int(exponent) or abs(exponent) > MOST_FACTORS:
            raise Unsupported(self.name, f"to the power of {exponent:g}")
        product = Seen(constant(1.0), ())
        for _ in range(abs(int(exponent))):
            product = self("multiply", product, x)
        return self("divide", 1, product) if exponent < 0 else product

    def along(self, scope: Scope, kind: str, seen: Seen, shape: Sequence[int], axes: Sequence[int]) -> Seen:
        """The row's `kind` ("sum", "max") over `axes`, which are kept with size 1."""
        places = {axis % len(shape) for axis in axes}
        inner, leading, _ = split_places(self.name, scope.layout, seen, shape, places)
        if leading or seen.reduced:
            raise Unsupported(self.name, "over leading axes")
        value = row_reduction(kind, scope.layout, seen.value, inner) if inner else seen.value
        return Seen(value, tuple(None if place in places else axis for place, axis in enumerate(seen.axes)))


def expanded(seen: Seen, like: Seen, axes: Sequence[int]) -> Seen:
    """A result whose reduced `axes` may have been dropped, with them as axes of size 1."""
    if len(seen.axes) == len(like.axes):
        return seen
    places = {axis % len(like.axes) for axis in axes}
    rest = iter(seen.axes)
    return Seen(seen.value, tuple(None if place in places else next(rest) for place in range(len(like.axes))))


@rule("pow")
def pow_(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    return Formula("pow").power(scope.see("pow", arguments[0]), float(operation.attrs()["y"]))


@rule("elementwise_pow")
def elementwise_pow(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    name = "elementwise_pow"
    x, exponent = (scope.see(name, value) for value in arguments)
    if exponent.value.operation != "constant":
        raise Unsupported(name, "to a power that is no constant")
    return Formula(name).power(x, exponent.value.number)


@rule("clip")
def clip(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    formula, (least, most) = Formula("clip"), (float(constant_of("clip", value)) for value in arguments[1:])
    return formula("minimum", formula("maximum", scope.see("clip", arguments[0]), least), most)


@rule("clip_grad")
def clip_grad(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    f = Formula("clip_grad")
    x, slope = scope.see(f.name, arguments[0]), scope.see(f.name, arguments[3])
    least, most = (float(constant_of(f.name, value)) for value in arguments[1:3])
    return f("where", f("greater_than", x, least), f("where", f("less_than", x, most), slope, 0), 0)


@rule("softplus")
def softplus(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    attributes = operation.attrs()
    return Formula("softplus").softplus(
        scope.see("softplus", arguments[0]), attributes["beta"], attributes["threshold"]
    )


@rule("softplus_grad")
def softplus_grad(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    f, attributes = Formula("softplus_grad"), operation.attrs()
    x, slope = (scope.see(f.name, value) for value in arguments)
    scaled = f("multiply", x, attributes["beta"])
    inner = f("multiply", slope, f("sigmoid", scaled))
    return f("where", f("greater_than", scaled, attributes["threshold"]), slope, inner)


@rule("mish")
def mish(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    f, x = Formula("mish"), scope.see("mish", arguments[0])
    return f("multiply", x, f("tanh", f.softplus(x, 1.0, operation.attrs()["lambda"])))


@rule("mish_grad")
def mish_grad(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    """tanh(s) + x σ(x) (1 - tanh(s)²), with s the softplus of x."""
    f = Formula("mish_grad")
    x, slope = (scope.see(f.name, value) for value in arguments)
    t = f("tanh", f.softplus(x, 1.0, operation.attrs()["lambda"]))
    inner = f("multiply", f("multiply", x, f("sigmoid", x)), f("subtract", 1, f("multiply", t, t)))
    return f("multiply", slope, f("add", t, inner))


@rule("log_softmax")
def log_softmax(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    f, axes = Formula("log_softmax"), [operation.attrs()["axis"]]
    x, shape = scope.see(f.name, arguments[0]), shape_of(arguments[0])
    centred = f("subtract", x, f.along(scope, "max", x, shape, axes))
    return f("subtract", centred, f("log", f.along(scope, "sum", f("exp", centred), shape, axes)))


@rule("log_softmax_grad")
def log_softmax_grad(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    f, axes = Formula("log_softmax_grad"), [operation.attrs()["axis"]]
    result, slope = (scope.see(f.name, value) for value in arguments)
    total = f.along(scope, "sum", slope, shape_of(arguments[1]), axes)
    return f("subtract", slope, f("multiply", f("exp", result), total))


def axes_of(operation: Any, rank: int) -> list[int]:
    attributes = operation.attrs()
    return list(range(rank)) if attributes["reduce_all"] or not attributes["axis"] else list(attributes["axis"])


@rule("logsumexp")
def logsumexp(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    f, x, shape = Formula("logsumexp"), scope.see("logsumexp", arguments[0]), shape_of(arguments[0])
    axes = axes_of(operation, len(shape))
    most = f.along(scope, "max", x, shape, axes)
    total = f.along(scope, "sum", f("exp", f("subtract", x, most)), shape, axes)
    found = f("add", most, f("log", total))
    if operation.attrs()["keepdim"]:
        return found
    places = {axis % len(shape) for axis in axes}
    return Seen(found.value, tuple(axis for place, axis in enumerate(found.axes) if place not in places))


@rule("logsumexp_grad")
def logsumexp_grad(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    f = Formula("logsumexp_grad")
    x, result, slope = (scope.see(f.name, value) for value in arguments)
    axes = axes_of(operation, len(x.axes))
    share = f("exp", f("subtract", x, expanded(result, x, axes)))
    return f("multiply", share, expanded(slope, x, axes))


@rule("isnan")
def isnan(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    x = scope.see("isnan", arguments[0])
    return Formula("isnan")("not_equal", x, x)


@rule("isfinite")
def isfinite(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    f = Formula("isfinite")
    return f("less_than", f("abs", scope.see(f.name, arguments[0])), math.inf)


@rule("reciprocal")
def reciprocal(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    return Formula("reciprocal")("divide", 1, scope.see("reciprocal", arguments[0]))


@rule("reciprocal_grad")
def reciprocal_grad(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    f = Formula("reciprocal_grad")
    result, slope = (scope.see(f.name, value) for value in arguments)
    return f("multiply", f("multiply", slope, -1), f("multiply", result, result))


@rule("mean_all")
def mean_all(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    seen, shape = scope.see("mean_all", arguments[0]), shape_of(arguments[0])
    return reduced("mean", scope.layout, seen, shape, set(range(len(shape))), ())


@rule("mean_all_grad")
def mean_all_grad(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    f, shape = Formula("mean_all_grad"), shape_of(arguments[0])
    if any(size < 0 for size in shape):
        raise Unsupported(f.name, "over an axis of unknown size")
    share = f("multiply", scope.see(f.name, arguments[1]), 1 / math.prod(shape))
    return Seen(share.value, scope.layout.axes_of(shape))


def within(f: Formula, x: Seen, least: float, most: float) -> Seen:
    return f("logical_and", f("greater_than", x, least), f("less_than", x, most))


@rule("hardtanh")
def hardtanh(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    f, attributes = Formula("hardtanh"), operation.attrs()
    x = scope.see(f.name, arguments[0])
    return f("minimum", f("maximum", x, attributes["t_min"]), attributes["t_max"])


@rule("hardtanh_grad")
def hardtanh_grad(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    f, attributes = Formula("hardtanh_grad"), operation.attrs()
    x, slope = (scope.see(f.name, value) for value in arguments)
    return f("where", within(f, x, attributes["t_min"], attributes["t_max"]), slope, 0)


# Cross-entropy along the last axis, of labels that are whole numbers or probabilities.


def require_softmax(f: Formula, scope: Scope, operation: Any, x: Seen) -> None:
    if not operation.attrs()["use_softmax"]:
        raise Unsupported(f.name, "without its softmax")
    require_last(f.name, scope.layout, operation.attrs()["axis"], x)


@rule("one_hot")
def one_hot(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    """1 where the row's number is the label, else 0; NaN where it is no class: Paddle ends there with an error."""
    f, layout, classes = Formula("one_hot"), scope.layout, int(constant_of("one_hot", arguments[1]))
    seen = scope.see(f.name, arguments[0], whole=True)
    if not seen.whole or layout.trailing != 1 or layout.width != classes or classes >= EXACT:
        raise Unsupported(f.name, "of labels that are no 64-bit whole numbers, or of classes that are not the row")
    label = Seen(seen.value, (*seen.axes, None), whole=True)
    index = Seen(Value("index", width=classes), (layout.rank - 1,))
    return f("where", within(f, label, -1, classes), f("where", f("equal", index, label), 1, 0), math.nan)


@rule("label_smooth")
def label_smooth(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    f, epsilon = Formula("label_smooth"), operation.attrs()["epsilon"]
    if len(arguments) > 1 and arguments[1].initialized():
        raise Unsupported(f.name, "towards a distribution that is given")
    kept = f("multiply", scope.see(f.name, arguments[0]), 1 - epsilon)
    return f("add", kept, epsilon / shape_of(arguments[0])[-1])


class Labels:
    """The operator's labels: which number of the row each is, and which rows they leave out."""

    def __init__(self, f: Formula, scope: Scope, operation: Any, label: Any, x: Seen) -> None:
        attributes, layout = operation.attrs(), scope.layout
        require_softmax(f, scope, operation, x)
        if x.value.width != layout.width or max(layout.width, abs(attributes["ignore_index"])) >= EXACT:
            raise Unsupported(f.name, "of more classes than float32 can count, or of a part of the row")
        self.f, self.seen = f, scope.see(f.name, label, whole=True)
        self.classes, self.ignored = layout.width, attributes["ignore_index"]
        if not self.seen.whole:
            raise Unsupported(f.name, "labels that are no 64-bit whole numbers")
        index = Value("index", width=layout.width)
        self.hit = f("equal", Seen(index, x.axes[-1:]), self.seen)

    def held(self, value: Seen) -> Seen:
        """0 where a row is left out, and NaN where its label is no class: Paddle ends there with an error."""
        f = self.f
        known = f("where", within(f, self.seen, -1, self.classes), value, math.nan)
        return f("where", f("equal", self.seen, self.ignored), 0, known)


@rule("cross_entropy_with_softmax")
def cross_entropy(scope: Scope, operation: Any, arguments: Sequence[Any]) -> list[Seen]:
    """The softmax, and log(Σ exp(x - max)) - (x - max) at the label, or its mean by the labels' probabilities."""
    f, shape = Formula("cross_entropy_with_softmax"), shape_of(arguments[0])
    x = scope.see(f.name, arguments[0])
    centred = f("subtract", x, f.along(scope, "max", x, shape, [-1]))
    power = f("exp", centred)
    total = f.along(scope, "sum", power, shape, [-1])
    if operation.attrs()["soft_label"]:
        require_softmax(f, scope, operation, x)
        labels = scope.see(f.name, arguments[1])
        # -∞ of what is impossible, of which a probability of 0 takes 0.
        logarithm = f("subtract", centred, f("log", total))
        terms = f("where", f("equal", labels, 0), 0, f("multiply", labels, logarithm))
        return [f("divide", power, total), f("multiply", f.along(scope, "sum", terms, shape, [-1]), -1)]
    hard = Labels(f, scope, operation, arguments[1], x)
    chosen = f.along(scope, "sum", f("where", hard.hit, centred, 0), shape, [-1])
    return [f("divide", power, total), hard.held(f("subtract", f("log", total), chosen))]


@rule("cross_entropy_with_softmax_grad")
def cross_entropy_grad(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    f = Formula("cross_entropy_with_softmax_grad")
    softmax, slope = (scope.see(f.name, value) for value in arguments[1:])
    if operation.attrs()["soft_label"]:
        require_softmax(f, scope, operation, softmax)
        return f("multiply", f("subtract", softmax, scope.see(f.name, arguments[0])), slope)
    labels = Labels(f, scope, operation, arguments[0], softmax)
    return f("multiply", f("subtract", softmax, f("where", labels.hit, 1, 0)), labels.held(slope))
