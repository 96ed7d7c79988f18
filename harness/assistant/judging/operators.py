"""The special methods of an answer's objects, by what they may give about a value of the tests."""

COMPARED = {"__lt__", "__le__", "__gt__", "__ge__"}
ARITHMETIC = {
    f"__{way}{name}__"
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "matmul", "and", "or", "xor")
    for way in ("", "r")
}
IN_PLACE = {f"__i{name}__" for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor")}
MEASURED = {
    "__abs__", "__neg__", "__pos__", "__round__", "__float__", "__int__", "__index__", "__complex__", "__trunc__",
    "__floor__", "__ceil__", "__bool__", "__len__",
}  # fmt: skip
OTHERS = {
    "__iter__", "__next__", "__getitem__", "__setitem__", "__delitem__", "__contains__", "__call__", "__enter__",
    "__exit__", "__reversed__", "__hash__", "__str__", "__repr__", "__format__", "__invert__", "__fspath__",
}  # fmt: skip
FORWARDED = COMPARED | ARITHMETIC | IN_PLACE | MEASURED | OTHERS
OF_PLAIN = {"__str__", "__repr__", "__format__", "__call__", "__enter__", "__exit__"}
EXACT = {"__str__": str, "__repr__": str, "__format__": str, "__hash__": int, "__len__": int, "__bool__": bool}
