"""Expressions: what project.yaml may say where a number is too little, as in `8 * u_float32 * sqrt(columns)`.

    names       the part's parameters, cards, the run's other metrics;
                u_float64 = 2**-53, u_float32 = 2**-24, u_float16 = 2**-11, u_bfloat16 = 2**-8: unit roundoffs
    values      numbers, 'texts', True, False
    numbers     + - * / // % ** and min, max, abs, sqrt, log, log2
    truths      == != < <= > >=, and or not, x in ('a', 'b'), x not in ('a', 'b')
    choice      a if c else b

Nothing else is read, and Python's eval is nowhere: an expression is a tree of these and of nothing more, at most 500
letters long and 24 deep. Arithmetic is that of float64 and each of its results is finite, so that no input can make it
slow: what overflows is an error, as are a division by zero and a text where a number is due.
"""

import ast
import functools
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LETTERS, DEPTH = 500, 24
Value = bool | int | float | str

CONSTANTS = {"u_float64": 2.0**-53, "u_float32": 2.0**-24, "u_float16": 2.0**-11, "u_bfloat16": 2.0**-8}
BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: math.pow,
}
ORDER: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
FUNCTIONS: Mapping[str, tuple[Callable[..., float], int]] = {  # with the most arguments that each takes
    "min": (min, LETTERS),
    "max": (max, LETTERS),
    "abs": (abs, 1),
    "sqrt": (math.sqrt, 1),
    "log": (math.log, 1),
    "log2": (math.log2, 1),
}


class ExpressionError(ValueError):
    """An expression that cannot be read or has no value; the message names it and says why."""


@dataclass(frozen=True)
class Expression:
    """A text that keeps the grammar, and the names in it."""

    text: str
    tree: ast.expr
    names: frozenset[str]

    def value(self, names: Mapping[str, Value]) -> Value:
        """Its value where the names have these.

        Raises:
            ExpressionError: it has none.
        """
        try:
            return _value(self.tree, {**names, **CONSTANTS})
        except (ArithmeticError, ValueError) as error:
            raise ExpressionError(f"{self.text}: {error}") from error

    def number(self, names: Mapping[str, Value]) -> float:
        """Its value, which has to be a number."""
        value = self.value(names)
        if isinstance(value, bool | str):
            raise ExpressionError(f"{self.text}: {value!r} is no number")
        return value

    def truth(self, names: Mapping[str, Value]) -> bool:
        """Its value, which has to be true or false."""
        value = self.value(names)
        if not isinstance(value, bool):
            raise ExpressionError(f"{self.text}: {value!r} is neither true nor false")
        return value


@functools.lru_cache(1024)
def parse(text: str) -> Expression:
    """The expression that a text is.

    Raises:
        ExpressionError: it is none.
    """
    shown = text if len(text) <= 80 else text[:80] + "…"
    if len(text) > LETTERS:
        raise ExpressionError(f"{shown}: over {LETTERS} letters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd literals: what is wrong with them is said below
            tree = ast.parse(text.strip(), mode="eval").body
        names = frozenset(_names(tree, DEPTH))
    except SyntaxError as error:
        raise ExpressionError(f"{shown}: {error.msg}") from error
    except (ValueError, MemoryError, RecursionError) as error:
        raise ExpressionError(f"{shown}: {error or 'too deep'}") from error
    return Expression(text, tree, names - set(CONSTANTS))


def _names(node: ast.AST, depth: int) -> set[str]:
    """The names below a node, which keeps the grammar.

    Raises:
        ValueError: it does not.
    """
    if depth == 0:
        raise ValueError(f"over {DEPTH} deep")
    match node:
        case ast.Constant(value=bool() | int() | float() | str()):
            return set()
        case ast.Name(id=name):
            return {name}
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() | ast.Not(), operand=operand):
            inner: list[ast.expr] = [operand]
        case ast.BinOp(op=op, left=left, right=right) if type(op) in BINARY:
            inner = [left, right]
        case ast.BoolOp(values=inner):
            pass
        case ast.Compare(ops=ops, left=left, comparators=rest):
            inner = [left, *(each for pair in zip(ops, rest, strict=True) for each in _compared(*pair))]
        case ast.IfExp(test=test, body=body, orelse=otherwise):
            inner = [test, body, otherwise]
        case ast.Call(func=ast.Name(id=name), args=inner, keywords=[]) if name in FUNCTIONS:
            if not 1 <= len(inner) <= FUNCTIONS[name][1]:
                raise ValueError(f"{name} does not take {len(inner)} values")
        case ast.Call(func=ast.Name(id=name)):
            raise ValueError(f"no such function: {name}; there are {', '.join(FUNCTIONS)}")
        case _:
            raise ValueError(f"{ast.unparse(node)[:40]!r} is not in the grammar of harness/catalogue/expressions.py")
    return set().union(*(_names(each, depth - 1) for each in inner))


def _compared(op: ast.cmpop, right: ast.expr) -> list[ast.expr]:
    """What stands on the right of a comparison; behind `in` it is a list of values."""
    if isinstance(op, ast.In | ast.NotIn):
        if not isinstance(right, ast.Tuple | ast.List):
            raise ValueError("behind `in` stands a list: x in ('a', 'b')")
        return right.elts
    if not isinstance(op, ast.Eq | ast.NotEq) and type(op) not in ORDER:
        raise ValueError("compare by == != < <= > >= or in")
    return [right]


def _value(node: ast.expr, names: Mapping[str, Value]) -> Value:
    match node:
        case ast.Constant(value=bool() | str() as value):
            return value
        case ast.Constant(value=int() | float() as value):
            _finite(float(value))
            return value
        case ast.Name(id=name):
            return _named(name, names)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _truth(operand, names)
        case ast.UnaryOp(op=op, operand=operand):
            return _number(operand, names) * (-1 if isinstance(op, ast.USub) else 1)
        case ast.BinOp(op=op, left=left, right=right):
            return _finite(BINARY[type(op)](_number(left, names), _number(right, names)))
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_truth(each, names) for each in values)
        case ast.BoolOp(values=values):
            return any(_truth(each, names) for each in values)
        case ast.Compare(ops=ops, left=left, comparators=rest):
            pairs = zip([left, *rest], ops, rest, strict=False)
            return all(_holds(one, op, other, names) for one, op, other in pairs)
        case ast.IfExp(test=test, body=body, orelse=otherwise):
            return _value(body if _truth(test, names) else otherwise, names)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            numbers = [_number(each, names) for each in arguments]
            function = FUNCTIONS[name][0]
            return _finite(numbers[0] if len(numbers) == 1 and name in ("min", "max") else function(*numbers))
    raise AssertionError(node)


def _named(name: str, names: Mapping[str, Value]) -> Value:
    if name not in names:
        raise ValueError(f"there is no {name}")
    value = names[name]
    if value in ("NaN", "Infinity", "-Infinity") or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{name} is {value}")
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"{name} is neither a number nor a text")
    return value


def _number(node: ast.expr, names: Mapping[str, Value]) -> float:
    value = _value(node, names)
    if isinstance(value, bool | str):
        raise ValueError(f"{ast.unparse(node)} is {value!r} and no number")
    return float(value)


def _truth(node: ast.expr, names: Mapping[str, Value]) -> bool:
    value = _value(node, names)
    if not isinstance(value, bool):
        raise ValueError(f"{ast.unparse(node)} is {value!r}, neither true nor false")
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise OverflowError("it overflows")
    return value


def _holds(left: ast.expr, op: ast.cmpop, right: ast.expr, names: Mapping[str, Value]) -> bool:
    if isinstance(op, ast.In | ast.NotIn):
        assert isinstance(right, ast.Tuple | ast.List)
        return any(_same(left, each, names) for each in right.elts) is isinstance(op, ast.In)
    if isinstance(op, ast.Eq | ast.NotEq):
        return _same(left, right, names) is isinstance(op, ast.Eq)
    return ORDER[type(op)](_number(left, names), _number(right, names))


def _same(left: ast.expr, right: ast.expr, names: Mapping[str, Value]) -> bool:
    """Whether two values of one kind are equal; of two kinds they are not compared."""
    one, other = _value(left, names), _value(right, names)
    kinds = {str if isinstance(each, str) else bool if isinstance(each, bool) else float for each in (one, other)}
    if len(kinds) > 1:
        raise ValueError(f"{one!r} and {other!r} are not of one kind")
    return one == other
