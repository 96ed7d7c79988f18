"""Operators that Paddle's decomposition leaves whole, forward or backward, written out in simpler ones.

The formulas are those of Paddle's kernels, ties included: the gradient of `clip` is 0 at its bounds.
"""

from collections.abc import Sequence
from typing import Any

from layout import Scope, Seen, shape_of
from operators import constant_of, elementwise, row_reduction, rule, split_places
from values import Unsupported, constant

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
