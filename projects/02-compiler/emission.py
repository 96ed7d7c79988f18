"""From a loop nest to C: one function `run`, which every thread enters with its share of the rows.

All inside the loops is a vector (`vec` of kernel.h), a single number too: it stands in every lane. The width of a row
is a constant of the source, so that a compiler knows every trip count; the numbers of rows come at run time.
"""

import math
from collections.abc import Sequence

from loops import Loop, Nest, Statement, in_order
from values import Result, Value

OPERATORS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "equal": "==", "not_equal": "!=",
    "less_than": "<", "less_equal": "<=", "greater_than": ">", "greater_equal": ">=", "logical_and": "&",
    "logical_or": "|",
}  # fmt: skip
FUNCTIONS = {
    "exp": "exponential", "log": "logarithm", "tanh": "hyperbolic_tangent", "erf": "error_function", "sqrt": "root",
    "rsqrt": "inverse_root", "sigmoid": "logistic", "abs": "absolute", "maximum": "larger", "minimum": "smaller",
    "where": "choose", "logical_not": "~", "index": "numbered", "sign": "sign",
}  # fmt: skip
REDUCTIONS = {  # start, step, end
    "reduce_sum": ("0", "{0} + {1}", "sum_of"),
    "reduce_max": ("-__builtin_inff()", "larger({0}, {1})", "max_of"),
    "reduce_min": ("__builtin_inff()", "smaller({0}, {1})", "min_of"),
}
CODES = ("float", "bfloat16", "uint8_t", "int64_t", "double")  # carrier.cc knows them too
AHEAD = 16384  # numbers: two rows of this length still lie in a core's own cache
EXACT = """\
#pragma GCC optimize("fp-contract=off")
#pragma STDC FP_CONTRACT OFF
"""
WIDE = "#define REAL double\n"
HEAD = """\
#include <omp.h>
#include <stdlib.h>

#include "kernel.h"

enum {{ WIDTH = {width} }};
const int64_t interface[] = {{{interface}}};

void run(const void* const* in, void* const* out, const int64_t* size, int threads) {{
  const int64_t rows = {rows};
  if (threads > rows * WIDTH / SHARE) threads = rows * WIDTH / SHARE;
  if (threads < 1) threads = 1;
"""


def emit(nest: Nest) -> str:
    """The C source of the kernel."""
    return Emission(nest).source()


class Emission:
    def __init__(self, nest: Nest) -> None:
        self.nest, self.kernel = nest, nest.kernel
        values = list(in_order([result.value for result in self.kernel.results]))
        self.names = {value: f"v{number}" for number, value in enumerate(values)}
        self.concats = {part: value for value in values if value.operation == "concat" for part in value.arguments}
        self.buffers = list(dict.fromkeys([*nest.buffers, *self.concats.values()]))
        self.leading = range(len(self.kernel.axes))
        # Where a step is taken, x * y - max(x * y) has to be 0 as it is in Paddle, which rounds the product.
        self.steps = any(value.truth or value.operation == "sign" for value in values)

    def source(self) -> str:
        text = (
            (EXACT if self.steps else "")
            + (WIDE if self.kernel.wide else "")
            + HEAD.format(
                width=self.kernel.width,
                interface=", ".join(map(str, self._interface())),
                rows=product([f"size[{axis}]" for axis in self.leading]),
            )
        )
        lines: list[str] = []
        for number, result in enumerate(self.kernel.results):
            if result.accumulated:
                lines.append(f"const int64_t count{number} = {self._count(result)};")
                lines.append(f"REAL* const parts{number} = calloc(threads * count{number}, sizeof(REAL));")
            elif self._streams(number):
                aligned = f"(uintptr_t)out[{number}] % BYTES == 0 && {result.width} % LANES == 0"
                lines.append(f"const int stream{number} = rows * {result.width} >= STREAM && {aligned};")
        lines += ["#pragma omp parallel num_threads(threads) if (threads > 1)", "{", *indent(self._thread()), "}"]
        for number, result in enumerate(self.kernel.results):
            if result.accumulated:
                lines += self._total(number, result)
        return text + "\n".join(indent(lines)) + "\n}\n"

    def _interface(self) -> list[int]:
        words = [len(self.kernel.axes), *(word for axis in self.kernel.axes for word in axis)]
        for tensors in (self.kernel.inputs, tuple(result.tensor for result in self.kernel.results)):
            words.append(len(tensors))
            for tensor in tensors:
                words += [CODES.index(tensor.type), len(tensor.sizes), *tensor.sizes]
        return words

    def _count(self, result: Result) -> str:
        return product([*(f"size[{axis}]" for axis in result.axes), str(result.width)])

    def _streams(self, number: int) -> bool:
        """Whether a result may go past the caches: not beside a sum, whose stores would break its lines into pieces."""
        result = self.kernel.results[number]
        if result.tensor.type != "float" or result.width == 1:
            return False
        loop = next(loop for loop in self.nest.loops if any(s.result == number for s in loop.statements))
        return all(statement.action != "accumulate" for statement in loop.statements)

    # What a thread does.

    def _thread(self) -> list[str]:
        lines = ["const int64_t me = omp_get_thread_num(), team = omp_get_num_threads();"]
        for value in self.buffers:
            name, width = self.names[value], value.width
            lines.append(f"static _Thread_local REAL row_{name}[{width}] __attribute__((aligned(64)));")
            lines.append(f"REAL* const restrict {name}_row = row_{name};")
        lines.append("for (int64_t row = rows * me / team; row < rows * (me + 1) / team; ++row) {")
        lines += indent(self._row())
        lines.append("}")
        if any(self._streams(number) for number in range(len(self.kernel.results))):
            lines.append("STREAM_END;")
        return lines

    def _row(self) -> list[str]:
        lines = []
        partial = any(tuple(axes) not in ((), tuple(self.leading)) for axes in self._all_axes())
        if partial:
            lines.append("int64_t rest = row;")
            for axis in reversed(self.leading):
                lines.append(f"const int64_t i{axis} = rest % size[{axis}]; rest /= size[{axis}];")
        for number, (tensor, axes, width) in enumerate(
            zip(self.kernel.inputs, self.kernel.input_axes, self.kernel.input_widths, strict=True)
        ):
            place = f"(const {tensor.type}*)in[{number}] + {self._index(axes, width)}"
            lines.append(f"const {tensor.type}* const restrict x{number} = {place};")
        for number, result in enumerate(self.kernel.results):
            if result.accumulated:
                start = f"parts{number} + me * count{number} + {self._index(result.axes, result.width)}"
                lines.append(f"REAL* const restrict y{number} = {start};")
            else:
                place = f"({result.tensor.type}*)out[{number}] + row * {result.width}"
                lines.append(f"{result.tensor.type}* const restrict y{number} = {place};")
        for loop in self.nest.loops:
            lines += self._loop(loop)
        lines += [self._single(value) for value in self.nest.after]
        lines += [self._last(statement) for statement in self.nest.last]
        return lines

    def _all_axes(self) -> list[Sequence[int]]:
        return [*self.kernel.input_axes, *(result.axes for result in self.kernel.results if result.accumulated)]

    def _index(self, axes: Sequence[int], width: int) -> str:
        if tuple(axes) == tuple(self.leading):
            return f"row * {width}" if axes else "0"
        index = "0"
        for axis in axes:
            index = f"i{axis}" if index == "0" else f"({index} * size[{axis}] + i{axis})"
        return index if index == "0" else f"{index} * {width}"

    # Loops over the row.

    def _loop(self, loop: Loop) -> list[str]:
        lines = [self._single(value) for value in loop.before]
        reductions = [statement.value for statement in loop.statements if statement.action == "reduce"]
        unroll = f"UNROLL({loop.width})" if reductions else "1"
        for value in reductions:
            start = REDUCTIONS[value.operation][0]
            lines.append(f"vec {self.names[value]}_lanes[UNROLL({loop.width})];")
            lines.append(f"for (int u = 0; u < {unroll}; ++u) {self.names[value]}_lanes[u] = splat({start});")
        body = [line for statement in loop.statements for line in self._statement(statement, loop)]
        lines += [
            f"for (int begin = 0; begin < {loop.width}; begin += {unroll} * LANES) {{",
            '  _Pragma("GCC unroll 4")',
            f"  for (int u = 0; u < {unroll}; ++u) {{",
            f"    const int j = begin + u * LANES, n = LEFT({loop.width}, j);",
            *indent(indent([*self._prefetches(loop), *body])),
            "  }",
            "}",
        ]
        for value in reductions:
            name, (_, step, end) = self.names[value], REDUCTIONS[value.operation]
            joined = step.format(f"{name}_lanes[0]", f"{name}_lanes[u]")
            lines.append(f"for (int u = 1; u < {unroll}; ++u) {name}_lanes[0] = {joined};")
            lines.append(f"const vec {name} = splat({end}({name}_lanes[0]));")
        return lines

    def _prefetches(self, loop: Loop) -> list[str]:
        """The last of several loops asks for the next row: memory idles there, and no processor foresees a new page."""
        if loop is not self.nest.loops[-1] or len(self.nest.loops) == 1 or loop.width > AHEAD:
            return []
        tensors = enumerate(zip(self.kernel.input_axes, self.kernel.input_widths, strict=True))
        rows = [number for number, (axes, width) in tensors if axes == tuple(self.leading) and width == loop.width]
        return [f"__builtin_prefetch(x{number} + {loop.width} + j);" for number in rows]

    def _statement(self, statement: Statement, loop: Loop) -> list[str]:
        value, here = statement.value, {s.value for s in loop.statements if s.action == "compute"}
        if statement.action == "compute":
            return [f"const {kind(value)} {self.names[value]} = {self._expression(value, here)};"]
        if statement.action == "reduce":
            start, step, _ = REDUCTIONS[value.operation]
            lanes = f"{self.names[value]}_lanes[u]"
            return [f"{lanes} = {step.format(lanes, f'only({self._read(value.arguments[0], here)}, n, {start})')};"]
        if statement.action == "keep":
            if value.operation == "part":
                row, place = self.names[self.concats[value]], f"{value.offset} + j"
                return [f"store_real({row}_row + {place}, {self._read(value.arguments[0], here)}, n);"]
            return [f"store_real({self.names[value]}_row + j, {self.names[value]}, n);"]
        number, read = statement.result, self._read(value, here)
        if statement.action == "accumulate":
            return [f"store_real(y{number} + j, load_real(y{number} + j, n) + {read}, n);"]
        result = self.kernel.results[number]
        store = f"store_{result.tensor.type}(y{number} + j, {read}, n);"
        return (
            [f"if (stream{number}) stream_float(y{number} + j, {read}); else {store}"]
            if self._streams(number)
            else [store]
        )

    def _read(self, value: Value, here: set[Value]) -> str:
        """An expression for `value` inside a loop that computes the values `here`."""
        if value.operation == "constant":
            return f"splat({literal(value.number)})"
        if value.operation == "load" and value.width > 1:
            place = f"{value.offset} + j" if value.offset else "j"
            return f"load_{self.kernel.inputs[int(value.number)].type}(x{int(value.number)} + {place}, n)"
        if value.operation == "slice":
            return f"load_real({self.names[value.arguments[0]]}_row + {value.offset} + j, n)"
        if value.width > 1 and value not in here:
            return f"load_real({self.names[value]}_row + j, n)"
        return self.names[value]

    def _expression(self, value: Value, here: set[Value]) -> str:
        arguments = [self._read(argument, here) for argument in value.arguments] or ["j"]
        if value.operation in OPERATORS:
            return f" {OPERATORS[value.operation]} ".join(arguments)
        return f"{FUNCTIONS[value.operation]}({', '.join(arguments)})"

    # Single numbers.

    def _single(self, value: Value) -> str:
        if value.operation == "load":
            number = int(value.number)
            expression = f"splat(load_{self.kernel.inputs[number].type}(x{number}, 1)[0])"
        else:
            expression = self._expression(value, set())
        return f"const {kind(value)} {self.names[value]} = {expression};"

    def _last(self, statement: Statement) -> str:
        number, read = statement.result, self._read(statement.value, set())
        if statement.action == "accumulate":
            return f"y{number}[0] += {read}[0];"
        return f"store_{self.kernel.results[number].tensor.type}(y{number}, {read}, 1);"

    def _total(self, number: int, result: Result) -> list[str]:
        return [
            f"for (int64_t k = 0; k < count{number}; ++k) {{  // in the order of the threads: the same every time",
            "  REAL total = 0;",
            f"  for (int t = 0; t < threads; ++t) total += parts{number}[t * count{number} + k];",
            f"  store_{result.tensor.type}(({result.tensor.type}*)out[{number}] + k, splat(total), 1);",
            "}",
            f"free(parts{number});",
        ]


def kind(value: Value) -> str:
    return "ivec" if value.truth else "vec"


def literal(number: float) -> str:
    if math.isnan(number):
        return '__builtin_nanf("")'
    if math.isinf(number):
        return "-__builtin_inff()" if number < 0 else "__builtin_inff()"
    return f"(REAL){float(number)!r}"


def product(factors: Sequence[str]) -> str:
    return " * ".join(factor for factor in factors if factor != "1") or "1"


def indent(lines: Sequence[str]) -> list[str]:
    return ["  " + line for line in lines]
